// SPDX-License-Identifier: BSD-2-Clause
//! Address in the image → lines, by addr2line over one unit at a time.
//!
//! `addr2line::Context` reads every unit of what it is given before its first answer and keeps
//! all that it ever parsed: 100 ms and 200–290 MB for a kernel. Given one unit of 80 KB it takes a
//! millisecond, and units that were not asked for lately can go. A unit whose entries refer to
//! other units (LTO) cannot be had alone: the whole image is read once then.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use addr2line::{Context, FunctionName, LookupResult};
use gimli::{DwForm, Dwarf};
use rustc_demangle::try_demangle;

use super::functions::{self, SourceFunctions, Where};
use super::lines::{Answer, Missing};
use super::paths::Paths;
use super::sections::{Sections, Slice};
use super::types::{Inlined, SourceLine};
use super::units::{self, UnitAt, UnitIndex};
use crate::spec::NameGlob;

/// Units kept: more than a hundred different stacks touch.
const UNITS_KEPT: usize = 64;

type UnitContext<'data> = Rc<Context<Slice<'data>>>;

pub(super) struct Engine<'data> {
    sections: Sections<'data>,
    dwarf: Dwarf<Slice<'data>>,
    index: UnitIndex,
    paths: Paths,
    /// The most recently used last.
    recent: RefCell<Vec<(UnitAt, UnitContext<'data>)>>,
    whole: OnceCell<Option<UnitContext<'data>>>,
}

impl<'data> Engine<'data> {
    pub(super) fn new(sections: Sections<'data>) -> Self {
        let dwarf = sections.whole();
        let index = UnitIndex::new(&dwarf);
        let paths = Paths::of_image(&dwarf, &index);
        let recent = RefCell::default();
        Self {
            sections,
            dwarf,
            index,
            paths,
            recent,
            whole: OnceCell::new(),
        }
    }

    /// What the image says about some of its addresses: unit by unit, so that each is read once.
    pub(super) fn answers(&self, addrs: &[u64]) -> Vec<Result<Answer, Missing>> {
        let mut order: Vec<usize> = (0..addrs.len()).collect();
        order.sort_unstable_by_key(|at| addrs[*at]);
        let mut answers = vec![Err(Missing::Damaged); addrs.len()];
        for at in order {
            // Damaged DWARF may end a parser; it shall not end us.
            let answer = catch_unwind(AssertUnwindSafe(|| self.answer(addrs[at])));
            answers[at] = answer.unwrap_or(Err(Missing::Damaged));
        }
        answers
    }

    /// The functions that files of such a path define.
    pub(super) fn functions(&self, path: &NameGlob, units: Where) -> SourceFunctions {
        let find = || functions::find(&self.dwarf, &self.paths, path, units);
        // Damaged DWARF may end a parser; it shall not end us.
        catch_unwind(AssertUnwindSafe(find)).unwrap_or(SourceFunctions {
            n_damaged: 1,
            ..SourceFunctions::default()
        })
    }

    /// What the image says about one of its addresses.
    pub(super) fn answer(&self, addr: u64) -> Result<Answer, Missing> {
        if !self.sections.code.iter().any(|range| range.contains(&addr)) {
            return Err(Missing::OutsideImage);
        }
        let mut missing = Missing::NoUnit;
        for unit in self.index.find(&self.dwarf, addr) {
            let Some(context) = self.context(unit) else {
                missing = Missing::Damaged;
                continue;
            };
            match self.look_up(&context, addr) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => missing = Missing::NoLine,
                Err(_) => missing = Missing::Damaged,
            }
        }
        Err(missing)
    }

    fn context(&self, unit: UnitAt) -> Option<UnitContext<'data>> {
        let mut recent = self.recent.borrow_mut();
        if let Some(at) = recent.iter().position(|(other, _)| *other == unit) {
            let found = recent.remove(at);
            let context = Rc::clone(&found.1);
            recent.push(found);
            return Some(context);
        }
        if !self.stands_alone(unit)? {
            return self.whole.get_or_init(|| self.whole_context()).clone();
        }
        let dwarf = self.sections.unit(units::bytes(&self.dwarf, unit)?);
        let context = Rc::new(Context::from_dwarf(dwarf).ok()?);
        if recent.len() >= UNITS_KEPT {
            recent.remove(0);
        }
        recent.push((unit, Rc::clone(&context)));
        Some(context)
    }

    fn whole_context(&self) -> Option<UnitContext<'data>> {
        Context::from_dwarf(self.sections.whole()).ok().map(Rc::new)
    }

    /// Whether no entry of the unit refers to another unit, which its abbreviations tell.
    fn stands_alone(&self, unit: UnitAt) -> Option<bool> {
        const CROSS_UNIT: [DwForm; 1] = [gimli::DW_FORM_ref_addr];
        let header = self
            .dwarf
            .debug_info
            .header_from_offset(gimli::DebugInfoOffset(unit.0));
        let abbreviations = header.ok()?.abbreviations(&self.dwarf.debug_abbrev).ok()?;
        // Compilers number them from 1 without gaps.
        let mut entries = (1..).map_while(|code| abbreviations.get(code));
        let crosses = entries.any(|entry| {
            entry
                .attributes()
                .iter()
                .any(|a| CROSS_UNIT.contains(&a.form()))
        });
        Some(!crosses)
    }

    fn look_up(
        &self,
        context: &Context<Slice<'data>>,
        addr: u64,
    ) -> Result<Option<Answer>, gimli::Error> {
        let LookupResult::Output(frames) = context.find_frames(addr) else {
            // Split DWARF; no kernel is built with it.
            return Ok(None);
        };
        let mut frames = frames?;
        let mut rows = Vec::new();
        while let Some(frame) = frames.next()? {
            let name = frame.function.as_ref().map(FunctionName::raw_name);
            let name = name
                .transpose()?
                .map(|name| demangled(name.as_ref()).into());
            let source = frame.location.and_then(|location| {
                let path = self.paths.trim(location.file?);
                Some(SourceLine {
                    path,
                    line: location.line.unwrap_or(0),
                })
            });
            rows.push((name, source));
        }
        // Innermost first; the outermost is the function that the symbol names.
        let Some((_, source)) = rows.pop() else {
            return Ok(None);
        };
        let inlined = rows.into_iter().rev().map(|(name, source)| Inlined {
            function: name.unwrap_or_else(|| "?".into()),
            source,
        });
        Ok(Some(Answer {
            source,
            inlined: inlined.collect(),
        }))
    }
}

/// Rust's names as they were written; all others as they are.
pub(super) fn demangled(name: &str) -> Cow<'_, str> {
    // C names begin with `_R` as well: only what makes sense as a mangled name is taken for one.
    match try_demangle(name) {
        Ok(name) => Cow::Owned(format!("{name:#}")),
        Err(_) => Cow::Borrowed(name),
    }
}
