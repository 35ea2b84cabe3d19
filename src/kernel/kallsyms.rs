// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's symbols in order of address, and lookups of the symbol that contains an address.
//!
//! The symbols come from the text of `/proc/kallsyms` (`parse.rs`), or, much faster, from the
//! tables in the kernel's memory from which that file is printed (`memory.rs`, `loaded.rs`). All
//! names are one text, and a symbol is 16 bytes with an offset into it. Two hundred thousand
//! symbols thus cost one allocation for the text and one for the table. kallsyms has no sizes. A
//! symbol extends to the next one, but not beyond the end of the text it belongs to. Otherwise code
//! that is loaded there later would get its name (`bounds.rs`).

mod bounds;
mod loaded;
mod memory;
mod parse;
mod search;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem;

pub use self::loaded::LoadedLayout;
pub use self::search::FoundPart;

use crate::spec::Addr;

/// Distance of the entries in [`Kallsyms::steps`].
const ENTRIES_PER_STEP: usize = 64;

/// The symbols of a kernel and of what it has loaded.
#[derive(Debug)]
pub struct Kallsyms {
    /// All names, one per line, followed by the module in brackets. Each [`SymbolEntry`] refers to
    /// it.
    text: String,
    /// Sorted by address, with the preferred name of an address first.
    entries: Vec<SymbolEntry>,
    /// Number of bytes of the text that belong to the kernel itself.
    kernel_text_len: usize,
    /// The address of each [`ENTRIES_PER_STEP`]th entry. The array fits into the processor's cache,
    /// and half of a search is done in it.
    steps: OnceLock<Vec<u64>>,
}

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Name of the symbol.
    pub name: &'a str,
    /// Name of its module; `None` for the kernel itself. BPF programs and trampolines have the
    /// module `bpf`.
    pub module: Option<&'a str>,
    /// Address of its first byte.
    pub addr: Addr,
    /// Size in bytes; 0 for data and for the markers at the end of a text.
    pub size: u64,
    /// Whether it is code.
    pub is_function: bool,
}

/// A symbol in the table.
#[derive(Clone, Copy, Debug)]
struct SymbolEntry {
    addr: u64,
    /// Offset of the name in the text.
    name: u32,
    name_len: u16,
    /// The type letter, as in `nm`.
    kind: u8,
    /// Preference of the name among those with the same address; 0 is the best.
    rank: u8,
}

impl SymbolEntry {
    fn is_function(self) -> bool {
        matches!(self.kind, b't' | b'T' | b'w' | b'W')
    }
}

impl Kallsyms {
    /// Parses the text of `/proc/kallsyms`. Malformed lines are ignored.
    ///
    /// # Errors
    ///
    /// When there is no valid line, or when the kernel hides the addresses.
    pub fn parse(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned());
        let entries = parse::entries(&text)?;
        let mut symbols = Self::from_parts(text, entries);
        // Symbols of modules and other loaded code follow those of the kernel itself.
        if let Some(first) = memmem::find(symbols.text.as_bytes(), b"\t[") {
            let line = symbols.text[..first].rfind('\n');
            symbols.kernel_text_len = line.map_or(0, |end| end + 1);
        }
        Ok(symbols)
    }

    /// Collects the symbols of an image, each with address, type letter as in `nm`, and name.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn of_image<'a>(symbols: impl Iterator<Item = (u64, u8, &'a str)>) -> anyhow::Result<Self> {
        let mut text = String::new();
        let mut entries = Vec::new();
        for (addr, kind, name) in symbols {
            let (Ok(start), Ok(name_len)) = (u32::try_from(text.len()), name.len().try_into())
            else {
                continue;
            };
            // `named` recognizes whole names by the characters around them.
            text.push(' ');
            text.push_str(name);
            text.push('\n');
            entries.push(SymbolEntry {
                addr,
                name: start + 1,
                name_len,
                kind,
                rank: parse::rank(kind, name),
            });
        }
        if entries.is_empty() {
            anyhow::bail!("the image has no symbols");
        }
        parse::sort(&mut entries);
        Ok(Self::from_parts(text, entries))
    }

    fn from_parts(text: String, entries: Vec<SymbolEntry>) -> Self {
        Self {
            kernel_text_len: text.len(),
            text,
            entries,
            steps: OnceLock::new(),
        }
    }

    /// Number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no symbols. False after [`Kallsyms::parse`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The symbol with an index in the order of addresses.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`Kallsyms::len`].
    #[must_use]
    pub fn symbol(&self, index: usize) -> Symbol<'_> {
        let entry = self.entries[index];
        Symbol {
            name: self.name(entry),
            module: self.module(entry),
            addr: Addr(entry.addr),
            size: self.size(index),
            is_function: entry.is_function(),
        }
    }

    /// The indices of all symbols with the address of the symbol at `index`.
    #[must_use]
    pub fn namesakes_of_address(&self, index: usize) -> Range<usize> {
        let addr = self.entries[index].addr;
        let same = |entry: &&SymbolEntry| entry.addr == addr;
        let before = self.entries[..index].iter().rev().take_while(same).count();
        let behind = self.entries[index..].iter().take_while(same).count();
        index - before..index + behind
    }

    /// The index of the preferred function that begins at an address; `None` if no function begins
    /// there.
    #[must_use]
    pub fn starts_at(&self, addr: Addr) -> Option<usize> {
        let first = self.entries.partition_point(|entry| entry.addr < addr.0);
        let here = self.entries[first..]
            .iter()
            .take_while(|entry| entry.addr == addr.0);
        here.zip(first..)
            .find(|(entry, _)| entry.is_function())
            .map(|(_, index)| index)
    }

    /// The function that contains an address, and the distance from its start in bytes; `None` if
    /// the address is in no known text.
    #[must_use]
    pub fn resolve(&self, addr: Addr) -> Option<(Symbol<'_>, u64)> {
        let end = self.behind(addr);
        let mut first = end.checked_sub(1)?;
        let last = self.entries.get(first)?.addr;
        if first > 0 && self.entries[first - 1].addr == last {
            first = self.entries[..end].partition_point(|entry| entry.addr < last);
        }
        let symbol = self.symbol(first);
        let offset = addr.0 - last;
        (offset < symbol.size).then_some((symbol, offset))
    }

    /// Index of the first entry above an address.
    fn behind(&self, addr: Addr) -> usize {
        let steps = self.steps.get_or_init(|| {
            let steps = self.entries.iter().step_by(ENTRIES_PER_STEP);
            steps.map(|entry| entry.addr).collect()
        });
        let start = steps
            .partition_point(|step| *step <= addr.0)
            .saturating_sub(1)
            * ENTRIES_PER_STEP;
        let rest = self.entries.get(start..).unwrap_or_default();
        let rest = rest.get(..ENTRIES_PER_STEP + 1).unwrap_or(rest);
        start + rest.partition_point(|entry| entry.addr <= addr.0)
    }

    /// All symbols with a name, in order of address. Static functions may share a name.
    ///
    /// Each call searches the whole text, which takes a millisecond. It is meant for a handful of
    /// names.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let found = self.places_of(name);
        let mut indices: Vec<usize> = found.filter_map(|at| self.index_at(at)).collect();
        indices.sort_unstable();
        indices.into_iter().map(|index| self.symbol(index))
    }

    /// Offsets in the text at which a name occurs as a whole.
    fn places_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let text = self.text.as_bytes();
        memmem::find_iter(text, name).filter(|at| {
            let before = at.checked_sub(1).map(|before| text[before]);
            let behind = text.get(at + name.len());
            before == Some(b' ') && matches!(behind, None | Some(b'\n' | b'\t' | b' '))
        })
    }

    /// One of the symbols with a name. The search ends at the first match.
    #[must_use]
    pub fn any_named(&self, name: &str) -> Option<Symbol<'_>> {
        let mut found = self.places_of(name);
        let index = found.find_map(|at| self.index_at(at))?;
        Some(self.symbol(index))
    }

    /// The index of the symbol whose name is at an offset of the text.
    fn index_at(&self, at: usize) -> Option<usize> {
        let place = u32::try_from(at).ok()?;
        self.entries.iter().position(|entry| entry.name == place)
    }

    /// The indices and names of the code symbols, in order of address. Most symbols are data and
    /// are skipped by their type letter.
    pub fn function_names(&self) -> impl Iterator<Item = (usize, &str)> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.is_function())
            .map(|(index, entry)| (index, self.name(*entry)))
    }

    /// As [`Self::function_names`], for modules only.
    pub fn module_function_names(&self) -> impl Iterator<Item = (usize, &str)> {
        let entries = self.entries.iter().enumerate();
        let of_module = |entry: &SymbolEntry| entry.name as usize >= self.kernel_text_len;
        entries
            .filter(move |(_, entry)| of_module(entry) && entry.is_function())
            .map(|(index, entry)| (index, self.name(*entry)))
    }

    fn name(&self, entry: SymbolEntry) -> &str {
        let start = entry.name as usize;
        &self.text[start..start + usize::from(entry.name_len)]
    }

    /// The name in brackets after the symbol's name. It is searched for on demand, because most
    /// symbols have none, and an offset would cost 8 bytes per symbol.
    fn module(&self, entry: SymbolEntry) -> Option<&str> {
        let end = entry.name as usize + usize::from(entry.name_len);
        let rest = self.text.get(end..)?;
        let rest = rest
            .strip_prefix(['\t', ' '])?
            .trim_start_matches(['\t', ' ']);
        let rest = rest.strip_prefix('[')?;
        let end = rest.find([']', '\n'])?;
        rest[end..].starts_with(']').then(|| &rest[..end])
    }
}
