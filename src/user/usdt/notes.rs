// SPDX-License-Identifier: BSD-2-Clause
//! The USDT probes of a file, from the notes in its section `.note.stapsdt`
//! (<https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation>). The file is hostile: the
//! number and the sizes of the notes are limited.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fmt;

use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

use super::arguments::arguments;
use crate::spec::UsdtSite;
use crate::user::elf::{BadElf, UserElf};
use crate::user::symbol_table::SymbolTable;

/// The section with the notes.
const NOTES: &str = ".note.stapsdt";

/// The section whose address was known when the notes were written. It has moved since if the file
/// was prelinked, and the probes with it.
const BASE: &str = ".stapsdt.base";

/// Maximum size of all notes, in bytes. Those of QEMU, with 3,000 probes, have 600 KB.
const MAX_NOTES: u64 = 8 << 20;

/// Maximum number of notes.
const MAX_SITES: usize = 1 << 16;

/// Maximum length of the name of a provider or of a probe, in bytes.
const MAX_NAME: usize = 256;

/// Maximum length of the text of all arguments of a probe, in bytes.
const MAX_ARGUMENTS: usize = 1024;

/// `stapsdt`, with its end.
const OWNER: &[u8] = b"stapsdt\0";

/// `NT_STAPSDT`: the version of these notes.
const KIND: u32 = 3;

/// The name of a probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::user) struct ProbeName {
    pub(in crate::user) provider: String,
    pub(in crate::user) name: String,
}

impl fmt::Display for ProbeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.name)
    }
}

/// A place where a probe is, and the text of its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::user) struct ProbeSite {
    /// Address of the instruction in the file.
    pub(in crate::user) addr: u64,
    pub(in crate::user) site: UsdtSite,
    /// The arguments as the note has them.
    pub(in crate::user) text: String,
}

/// The probes of a file.
#[derive(Debug, Default)]
pub(in crate::user) struct Probes {
    /// Each probe with its places, in order of their offsets.
    pub(in crate::user) by_name: BTreeMap<ProbeName, Vec<ProbeSite>>,
    /// Number of notes that were left out: they are damaged, or lead to no code.
    pub(in crate::user) n_damaged: usize,
}

/// What one note says.
struct Note<'n> {
    addr: u64,
    base: u64,
    semaphore: u64,
    provider: &'n str,
    name: &'n str,
    arguments: &'n str,
}

/// Reads the probes of a file.
pub(in crate::user) fn probes(elf: &UserElf<'_>) -> Result<Probes, BadElf> {
    let mut probes = Probes::default();
    let Some((_, size)) = elf.section_range(NOTES) else {
        return Ok(probes);
    };
    if size > MAX_NOTES {
        return Err(BadElf::Malformed("its section .note.stapsdt is too large"));
    }
    let bytes = elf.section(NOTES, MAX_NOTES)?.unwrap_or_default();
    let base = elf.section_range(BASE).map(|(addr, _)| addr);
    let symbols = Symbols::new(elf);
    let mut n_sites = 0;
    for note in Notes(&bytes) {
        n_sites += 1;
        if n_sites > MAX_SITES {
            return Err(BadElf::Malformed("it has too many USDT probes"));
        }
        let note = note.and_then(|note| Some((site(&note, base, elf, &symbols)?, note)));
        let Some((site, note)) = note else {
            probes.n_damaged += 1;
            continue;
        };
        let name = ProbeName {
            provider: note.provider.to_owned(),
            name: note.name.to_owned(),
        };
        probes.by_name.entry(name).or_default().push(site);
    }
    for sites in probes.by_name.values_mut() {
        sites.sort_by_key(|site| site.site.offset);
        sites.dedup_by_key(|site| site.site.offset);
    }
    Ok(probes)
}

/// Returns where the probe of a note is; `None` if no code of the file is there, or if its semaphore
/// is no variable of the file.
fn site(
    note: &Note<'_>,
    base: Option<u64>,
    elf: &UserElf<'_>,
    symbols: &Symbols<'_>,
) -> Option<ProbeSite> {
    let moved = base.map_or(0, |base| base.wrapping_sub(note.base));
    let addr = note.addr.wrapping_add(moved);
    let offset = elf.offset_of(addr)?;
    let semaphore = match note.semaphore {
        0 => None,
        // It is a counter of 16 bits.
        semaphore => {
            let semaphore = elf.variable_offset(semaphore.wrapping_add(moved))?;
            Some(semaphore).filter(|semaphore| semaphore % 2 == 0)
        }
    };
    let distance = |name: &str| Some(symbols.addr_of(name)?.wrapping_sub(addr).cast_signed());
    let site = UsdtSite {
        offset,
        semaphore,
        arguments: arguments(note.arguments, &distance),
    };
    Some(ProbeSite {
        addr,
        site,
        text: note.arguments.to_owned(),
    })
}

/// The symbols that arguments name. Hardly any do, so the tables are read when they are needed.
struct Symbols<'e> {
    elf: &'e UserElf<'e>,
    tables: OnceCell<Vec<SymbolTable>>,
    /// How many names may still be looked up: each is a search of all symbols.
    left: Cell<u32>,
}

/// Maximum number of symbols that are looked up for the arguments of a file.
const MAX_LOOKUPS: u32 = 256;

impl<'e> Symbols<'e> {
    fn new(elf: &'e UserElf<'e>) -> Self {
        Self {
            elf,
            tables: OnceCell::new(),
            left: Cell::new(MAX_LOOKUPS),
        }
    }

    fn addr_of(&self, name: &str) -> Option<u64> {
        self.left.set(self.left.get().checked_sub(1)?);
        let tables = self.tables.get_or_init(|| {
            let kinds = [SHT_SYMTAB.0, SHT_DYNSYM.0].into_iter();
            let tables = kinds.filter_map(|kind| self.elf.symbol_table(kind).ok()?);
            tables.collect()
        });
        tables.iter().find_map(|table| table.addr_of(name))
    }
}

/// The notes of the section. A note that cannot be read is `None`; what follows one that reaches
/// beyond the end is left out.
struct Notes<'n>(&'n [u8]);

impl<'n> Iterator for Notes<'n> {
    type Item = Option<Note<'n>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let all = self.0;
        let parts = || {
            let (header, rest) = all.split_first_chunk::<12>()?;
            let word = |at: usize| Some(u32::from_le_bytes(*header[at..].first_chunk()?));
            let (n_owner, n_content, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
            let (owner, _) = rest.split_at_checked(n_owner)?;
            let rest = rest.get(n_owner.checked_next_multiple_of(4)?..)?;
            let (content, _) = rest.split_at_checked(n_content)?;
            // The last note may lack the bytes that would align the next one.
            let n_aligned = n_content.checked_next_multiple_of(4)?.min(rest.len());
            Some((owner, kind, content, &rest[n_aligned..]))
        };
        let Some((owner, kind, content, rest)) = parts() else {
            self.0 = &[];
            return Some(None);
        };
        self.0 = rest;
        let is_probe = owner == OWNER && kind == KIND;
        Some(is_probe.then(|| note(content)).flatten())
    }
}

/// Reads the content of a note: three addresses and three texts.
fn note(content: &[u8]) -> Option<Note<'_>> {
    let (addrs, texts) = content.split_first_chunk::<24>()?;
    let addr = |at: usize| Some(u64::from_le_bytes(*addrs[at..].first_chunk()?));
    let mut texts = texts.split(|byte| *byte == 0);
    let mut text = |max: usize| {
        let text = str::from_utf8(texts.next()?).ok()?;
        let is_printable = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
        (is_printable && text.len() <= max).then_some(text)
    };
    let (provider, name) = (text(MAX_NAME)?, text(MAX_NAME)?);
    let arguments = text(MAX_ARGUMENTS)?;
    (!provider.is_empty() && !name.is_empty()).then_some(Note {
        addr: addr(0)?,
        base: addr(8)?,
        semaphore: addr(16)?,
        provider,
        name,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::{Notes, note};

    fn forged(addrs: [u64; 3], texts: &[u8]) -> Vec<u8> {
        let mut content: Vec<u8> = addrs.iter().flat_map(|addr| addr.to_le_bytes()).collect();
        content.extend(texts);
        let header = [8, content.len() as u32, 3].map(u32::to_le_bytes).concat();
        let mut bytes = [&header[..], b"stapsdt\0", &content].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn notes_are_read_one_by_one() {
        let bytes = [
            forged([0x1000, 0x2000, 0], b"app\0start\0-4@%eax 8@%rdi\0"),
            forged([0x1010, 0x2000, 0x3000], b"app\0done\0\0"),
        ]
        .concat();
        let notes: Vec<_> = Notes(&bytes).map(Option::unwrap).collect();
        assert_eq!(notes.len(), 2);
        assert_eq!((notes[0].addr, notes[0].semaphore), (0x1000, 0));
        assert_eq!((notes[0].provider, notes[0].name), ("app", "start"));
        assert_eq!(notes[0].arguments, "-4@%eax 8@%rdi");
        assert_eq!((notes[1].semaphore, notes[1].arguments), (0x3000, ""));
    }

    #[test]
    fn sizes_that_reach_beyond_the_end_end_the_notes() {
        for at in [0, 4] {
            let mut bytes = forged([0; 3], b"app\0start\0\0");
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            bytes.extend(forged([0; 3], b"app\0done\0\0"));
            let notes: Vec<bool> = Notes(&bytes).map(|note| note.is_some()).collect();
            assert_eq!(notes, [false], "{at}");
        }
        assert!(Notes(&[1, 2, 3]).all(|note| note.is_none()));
    }

    #[test]
    fn notes_of_others_and_damaged_texts_are_left_out() {
        let mut other = forged([0; 3], b"app\0start\0\0");
        other[8] = 4;
        let bytes = [other, forged([0; 3], b"app\0done\0\0")].concat();
        let found: Vec<bool> = Notes(&bytes).map(|note| note.is_some()).collect();
        assert_eq!(found, [false, true]);
        let texts: [&[u8]; 6] = [
            b"",
            b"app",
            b"app\0start",
            b"\0start\0\0",
            b"app\0st\x1brt\0\0",
            b"app\0\xff\0\0",
        ];
        for text in texts {
            assert!(note(&[&[0; 24][..], text].concat()).is_none(), "{text:?}");
        }
        let long = [&[0; 24][..], &[b'a'; 300], b"\0start\0\0"].concat();
        assert!(note(&long).is_none());
        assert!(note(&[0; 20]).is_none());
    }
}
