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

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::OnceLock;

use crate::spec::Addr;

/// The symbols of a kernel and of what it has loaded.
#[derive(Debug)]
pub struct Kallsyms {
    /// The whole file; every [`Entry`] points into it.
    text: String,
    /// In ascending order of address, the preferred name of an address first.
    entries: Vec<Entry>,
    /// (hash of the name, index), sorted; made when a name is first asked for.
    by_name: OnceLock<Vec<(u32, u32)>>,
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
        Ok(Self {
            text,
            entries,
            by_name: OnceLock::new(),
        })
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
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let index = self.by_name.get_or_init(|| self.index_names());
        let hash = hash(name);
        let start = index.partition_point(|(other, _)| *other < hash);
        let found: Vec<u32> = index[start..]
            .iter()
            .take_while(|(other, _)| *other == hash)
            .filter(|(_, at)| self.name(self.entries[*at as usize]) == name)
            .map(|(_, at)| *at)
            .collect();
        found.into_iter().map(|at| self.symbol(at as usize))
    }

    fn index_names(&self) -> Vec<(u32, u32)> {
        let hashes = self.entries.iter().map(|entry| hash(self.name(*entry)));
        let mut index: Vec<_> = hashes.zip(0..).collect();
        index.sort_unstable();
        index
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

fn hash(name: &str) -> u32 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(name) as u32
}
