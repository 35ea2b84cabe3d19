// SPDX-License-Identifier: BSD-2-Clause
//! Walks the entries of a unit and collects its functions, and the inlined calls in them with their
//! code.

use crate::symbolize::dwarf::{
    Abbreviation, Abbreviations, Cursor, EntryAt, Extents, Function, Unit, read_function,
    read_inlined_call, skip,
};

/// Maximum nesting depth of entries. No compiler emits deeper nesting; the unit is then treated as
/// malformed.
const MAX_ENTRY_DEPTH: usize = 1 << 12;

/// Limit for the inlined calls, their ranges, and the functions of one unit. The largest unit of a
/// kernel has some 10,000 of each.
const MAX_PER_UNIT: usize = 1 << 17;

/// Marks the absence of a call.
pub(super) const NO_CALL: u32 = u32::MAX;

/// An inlined call, as its entry describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct InlinedCallEntry {
    /// The call that it was inlined into; [`NO_CALL`] if it was inlined into the function itself.
    pub(super) parent: u32,
    pub(super) origin: Option<EntryAt>,
    pub(super) file: u64,
    pub(super) line: u64,
}

/// One range of the code of an inlined call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Index of the call. Outer calls have smaller numbers than inner ones.
    pub(super) call: u32,
}

/// A function that has code, or that is inlined somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionEntry<'data> {
    pub(super) function: Function<'data>,
    /// Range of its start addresses in [`Walked::starts`].
    pub(super) starts: (u32, u32),
}

/// Which entries are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedEntries {
    /// Inlined calls and their code.
    Calls,
    /// Functions and their start addresses.
    Functions,
}

/// The entries that were found.
#[derive(Debug, Default)]
pub(super) struct Walked<'data> {
    pub(super) calls: Vec<InlinedCallEntry>,
    pub(super) spans: Vec<Span>,
    pub(super) functions: Vec<FunctionEntry<'data>>,
    pub(super) starts: Vec<u64>,
}

/// Walks the entries of a unit; returns `None` if the unit is damaged or exceeds a limit.
pub(super) fn walk<'data>(
    unit: &Unit<'data>,
    abbreviations: &Abbreviations,
    wanted: WantedEntries,
) -> Option<Walked<'data>> {
    let mut walk = Walk {
        unit,
        abbreviations,
        wanted,
        has_only_types: unit.language.is_some_and(is_c),
        found: Walked::default(),
        code: Extents::of_unit(unit),
        open: Vec::new(),
    };
    walk.run()?;
    Some(walk.found)
}

/// Returns whether the language is C or assembler. In these, no type contains functions.
fn is_c(language: gimli::DwLang) -> bool {
    matches!(
        language,
        gimli::DW_LANG_C
            | gimli::DW_LANG_C89
            | gimli::DW_LANG_C99
            | gimli::DW_LANG_C11
            | gimli::DW_LANG_Mips_Assembler
    )
}

/// The context of the entries that follow.
#[derive(Clone, Copy)]
struct OpenEntry {
    call: u32,
    /// Whether the entries belong to a function that has code.
    in_code: bool,
}

struct Walk<'a, 'data> {
    unit: &'a Unit<'data>,
    abbreviations: &'a Abbreviations,
    wanted: WantedEntries,
    has_only_types: bool,
    found: Walked<'data>,
    code: Extents,
    open: Vec<OpenEntry>,
}

impl<'data> Walk<'_, 'data> {
    fn run(&mut self) -> Option<()> {
        let mut cursor = self.unit.cursor(self.unit.header.entries);
        let mut now = OpenEntry {
            call: NO_CALL,
            in_code: false,
        };
        while !cursor.is_at_end() {
            let code = cursor.uleb()?;
            if code == 0 {
                // Padding may follow the last entry.
                let Some(outer) = self.open.pop() else {
                    break;
                };
                now = outer;
                continue;
            }
            let abbreviation = self.abbreviations.get(code)?;
            let inner = match abbreviation.tag {
                gimli::DW_TAG_inlined_subroutine if now.in_code && self.wants_calls() => {
                    self.call(&mut cursor, abbreviation, now)?
                }
                gimli::DW_TAG_subprogram => match self.function(&mut cursor, abbreviation)? {
                    Some(inner) => inner,
                    None => continue,
                },
                tag => {
                    let sibling = skip(self.unit, &mut cursor, self.abbreviations, abbreviation)?;
                    if abbreviation.has_children
                        && !self.may_hold_functions(tag)
                        && let Some(sibling) = sibling
                    {
                        self.go_on(&mut cursor, sibling)?;
                        continue;
                    }
                    now
                }
            };
            if abbreviation.has_children {
                (self.open.len() < MAX_ENTRY_DEPTH).then_some(())?;
                self.open.push(now);
                now = inner;
            }
        }
        Some(())
    }

    fn wants_calls(&self) -> bool {
        self.wanted != WantedEntries::Functions
    }

    /// Moves to a sibling entry. The sibling must be after the current position, so that the walk
    /// ends.
    fn go_on(&self, cursor: &mut Cursor<'data>, sibling: usize) -> Option<()> {
        (cursor.at()..=self.unit.header.end)
            .contains(&sibling)
            .then(|| cursor.go_to(sibling))
    }

    fn may_hold_functions(&self, tag: gimli::DwTag) -> bool {
        match tag {
            gimli::DW_TAG_compile_unit
            | gimli::DW_TAG_partial_unit
            | gimli::DW_TAG_namespace
            | gimli::DW_TAG_module
            | gimli::DW_TAG_lexical_block
            | gimli::DW_TAG_try_block
            | gimli::DW_TAG_catch_block
            | gimli::DW_TAG_inlined_subroutine => true,
            gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_interface_type => !self.has_only_types,
            _ => false,
        }
    }

    fn call(
        &mut self,
        cursor: &mut Cursor<'data>,
        abbreviation: &Abbreviation,
        now: OpenEntry,
    ) -> Option<OpenEntry> {
        self.code.ranges.clear();
        let call = read_inlined_call(
            self.unit,
            cursor,
            self.abbreviations,
            abbreviation,
            &mut self.code,
        )?;
        let number = self.found.calls.len() as u32;
        self.found.calls.push(InlinedCallEntry {
            parent: now.call,
            origin: call.origin,
            file: call.file,
            line: call.line,
        });
        self.found
            .spans
            .extend(self.code.ranges.iter().map(|range| Span {
                start: range.start,
                end: range.end,
                call: number,
            }));
        (self.found.calls.len().max(self.found.spans.len()) < MAX_PER_UNIT).then_some(())?;
        Some(OpenEntry {
            call: number,
            in_code: true,
        })
    }

    /// Reads a function. Returns `Some(None)` if its children were skipped.
    fn function(
        &mut self,
        cursor: &mut Cursor<'data>,
        abbreviation: &Abbreviation,
    ) -> Option<Option<OpenEntry>> {
        self.code.ranges.clear();
        let function = read_function(
            self.unit,
            cursor,
            self.abbreviations,
            abbreviation,
            &mut self.code,
        )?;
        let has_code = !self.code.ranges.is_empty();
        if self.wanted != WantedEntries::Calls && (has_code || function.is_inlined) {
            let first = self.found.starts.len() as u32;
            self.found
                .starts
                .extend(self.code.ranges.iter().map(|range| range.start));
            let starts = (first, self.found.starts.len() as u32);
            self.found
                .functions
                .push(FunctionEntry { function, starts });
            let n_found = self.found.starts.len().max(self.found.functions.len());
            (n_found < MAX_PER_UNIT).then_some(())?;
        }
        let is_of_interest = (has_code && self.wants_calls()) || !self.has_only_types;
        if abbreviation.has_children
            && !is_of_interest
            && let Some(sibling) = function.sibling
        {
            self.go_on(cursor, sibling)?;
            return Some(None);
        }
        Some(Some(OpenEntry {
            call: NO_CALL,
            in_code: has_code,
        }))
    }
}
