// SPDX-License-Identifier: BSD-2-Clause
//! `/proc/kallsyms`: bytes → symbols in order of address, and the symbol that an address lies in.
//!
//! The text is kept as it was read and a symbol is 16 bytes of offsets into it: two hundred
//! thousand symbols cost one allocation each for the text and the table. kallsyms has no sizes:
//! a symbol reaches to the next one, but never across the end of the text it belongs to, or
//! whatever is loaded there later would carry its name (`bounds.rs`).

mod bounds;
mod parse;
#[cfg(test)]
mod tests;

use memchr::memmem;

use crate::spec::Addr;

/// The symbols of a kernel and of what it has loaded.
#[derive(Debug)]
pub struct Kallsyms {
    /// The whole file; every [`Entry`] points into it.
    text: String,
    /// In ascending order of address, the preferred name of an address first.
    entries: Vec<Entry>,
}

/// One symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// The module it belongs to; `None` for the kernel itself. BPF programs and trampolines
    /// belong to `bpf`.
    pub module: Option<&'a str>,
    /// Its address.
    pub addr: Addr,
    /// The bytes that belong to it; 0 for data and for the markers at the end of a text.
    pub size: u64,
    /// Whether it is code.
    pub is_function: bool,
}

/// A parsed line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    addr: u64,
    /// Where the name begins in the text.
    name: u32,
    name_len: u16,
    /// The type letter.
    kind: u8,
    /// How welcome the name is among those of the same address, 0 first.
    rank: u8,
}

impl Entry {
    fn is_function(self) -> bool {
        matches!(self.kind, b't' | b'T' | b'w' | b'W')
    }
}

impl Kallsyms {
    /// Reads the text of `/proc/kallsyms`. Lines that make no sense are passed over.
    ///
    /// # Errors
    ///
    /// When nothing can be read from it, or when the kernel hides the addresses.
    pub fn parse(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned());
        let entries = parse::entries(&text)?;
        Ok(Self { text, entries })
    }

    /// The number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none; never, after [`Kallsyms::parse`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A symbol by its place in the order of addresses.
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

    /// The symbols of code, in ascending address order: what is left when most lines, which are
    /// data, have been passed over by their letter.
    pub fn functions(&self) -> impl Iterator<Item = Symbol<'_>> {
        let of_code = |(_, entry): &(usize, &Entry)| entry.is_function();
        self.entries
            .iter()
            .enumerate()
            .filter(of_code)
            .map(|(index, _)| self.symbol(index))
    }

    /// The function that an address lies in, and the distance from its start; `None` where the
    /// address is in no known text.
    #[must_use]
    pub fn resolve(&self, addr: Addr) -> Option<(Symbol<'_>, u64)> {
        let end = self.entries.partition_point(|entry| entry.addr <= addr.0);
        let last = self.entries.get(end.checked_sub(1)?)?.addr;
        let first = self.entries[..end].partition_point(|entry| entry.addr < last);
        let symbol = self.symbol(first);
        let offset = addr.0 - last;
        (offset < symbol.size).then_some((symbol, offset))
    }

    /// All symbols of a name, in order of address: static functions share names.
    ///
    /// Goes through the text, which takes a millisecond: for a handful of names.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let text = self.text.as_bytes();
        let is_whole = |at: &usize| {
            let before = at.checked_sub(1).map(|before| text[before]);
            let behind = text.get(at + name.len());
            before == Some(b' ') && matches!(behind, None | Some(b'\n' | b'\t' | b' '))
        };
        let found = memmem::find_iter(text, name).filter(is_whole);
        let mut indices: Vec<usize> = found.filter_map(|at| self.index_at(at)).collect();
        indices.sort_unstable();
        indices.into_iter().map(|index| self.symbol(index))
    }

    /// The symbol whose name stands at this place of the text.
    fn index_at(&self, at: usize) -> Option<usize> {
        let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let digits = self.text[line..at].split(' ').next()?;
        let addr = u64::from_str_radix(digits, 16).ok()?;
        let first = self.entries.partition_point(|entry| entry.addr < addr);
        let here = self.entries[first..]
            .iter()
            .take_while(|entry| entry.addr == addr);
        Some(
            first
                + here
                    .zip(0..)
                    .find(|(entry, _)| entry.name as usize == at)?
                    .1,
        )
    }

    fn name(&self, entry: Entry) -> &str {
        let start = entry.name as usize;
        &self.text[start..start + usize::from(entry.name_len)]
    }

    /// What stands in brackets behind the name: it is looked for when asked, because most
    /// symbols have none and an offset for it would cost each of them 8 bytes.
    fn module(&self, entry: Entry) -> Option<&str> {
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
