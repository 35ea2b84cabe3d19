// SPDX-License-Identifier: BSD-2-Clause
//! What an executable or a library tells the loader about the libraries that it needs
//! (`PT_DYNAMIC`): their names, and directories to look for them in.

use super::elf::UserElf;

/// Maximum number of entries that are read. A real file has about 30, and one for each library.
const MAX_ENTRIES: u64 = 4096;

/// Size of an entry: a tag and a value of 8 bytes each.
const ENTRY: u64 = 16;

/// Maximum size of what is read of the table of names, in bytes.
const MAX_NAMES: u64 = 4 << 20;

/// Maximum length of a name or a list of directories, in bytes.
const MAX_NAME: usize = 4096;

/// Tags of entries (`elf.h`).
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What a file says of the libraries that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dynamic {
    /// Names of the libraries, in order.
    pub(super) needed: Vec<String>,
    /// Its own name, which other files ask for.
    pub(super) soname: Option<String>,
    /// Directories, separated by colons, for what it and its libraries need.
    pub(super) rpath: Option<String>,
    /// Directories, separated by colons, for what it needs itself. Then `rpath` does not count.
    pub(super) runpath: Option<String>,
}

/// Reads what a file tells the loader. What is damaged is missing.
pub(super) fn dynamic(elf: &UserElf<'_>) -> Dynamic {
    let table = elf.dynamic_table(MAX_ENTRIES * ENTRY).unwrap_or_default();
    let entries: Vec<(u64, u64)> = table
        .chunks_exact(ENTRY as usize)
        .map(|entry| (word(&entry[..8]), word(&entry[8..])))
        .take_while(|(tag, _)| *tag != DT_NULL)
        .collect();
    let value = |wanted| {
        let mut entries = entries.iter();
        entries
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, value)| *value)
    };
    let size = value(DT_STRSZ).unwrap_or(MAX_NAMES).min(MAX_NAMES);
    let names = value(DT_STRTAB).and_then(|addr| elf.memory(addr, size));
    let names = names.unwrap_or_default();
    let text = |tag| value(tag).and_then(|offset| text_at(&names, offset));
    let needed = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
    Dynamic {
        needed: needed
            .filter_map(|(_, offset)| text_at(&names, *offset))
            .collect(),
        soname: text(DT_SONAME),
        rpath: text(DT_RPATH),
        runpath: text(DT_RUNPATH),
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

fn text_at(names: &[u8], offset: u64) -> Option<String> {
    let rest = names.get(usize::try_from(offset).ok()?..)?;
    let rest = &rest[..rest.len().min(MAX_NAME + 1)];
    let end = memchr::memchr(0, rest).filter(|end| *end > 0)?;
    str::from_utf8(&rest[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::dynamic;
    use crate::user::elf::{ElfBytes, UserElf};

    #[test]
    fn a_program_names_its_libraries() {
        let bytes = fs::read("/bin/true").unwrap();
        let elf = UserElf::read(ElfBytes::Bytes(&bytes)).unwrap();
        let found = dynamic(&elf);
        assert!(found.needed.iter().any(|name| name == "libc.so.6"));
        assert_eq!(found.rpath, None);
        let interpreter = elf.interpreter().unwrap();
        assert!(interpreter.starts_with(b"/lib"), "{interpreter:?}");
    }
}
