// SPDX-License-Identifier: BSD-2-Clause
//! The functions of an executable or a library, from its symbol tables or from those of its debug
//! file.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use lzma_rust2::XzReader;
use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

use super::demangle::readable;
use super::denied::why_denied;
use super::elf::{BadElf, ElfBytes, UserElf};
use super::go::{go_functions, is_go};
use super::symbol_table::SymbolTable;
use super::types;
use crate::spec::ResultType;
use crate::trusted::open_regular;

/// Maximum size of a compressed `.gnu_debugdata` section, in bytes.
const MAX_MINI_COMPRESSED: u64 = 16 << 20;

/// Maximum size of the decompressor's dictionary, in KiB: that of xz's usual level.
const LARGEST_DICTIONARY_KIB: u32 = 8 << 10;

/// Where distributions install separate debug files, by build id.
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// A function and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserSymbol {
    /// Name, demangled if it is of C++ or Rust.
    pub(super) name: String,
    /// Offset of the first instruction in the file.
    pub(super) offset: u64,
    /// Size in bytes; 0 if unknown.
    pub(super) size: u64,
}

/// What is known of a file's functions.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// In order of offset and name. Several may have the same offset.
    pub(super) defined: Vec<UserSymbol>,
    /// Why code at these offsets must not be traced. Debug symbols have further names for it
    /// (`__GI__setjmp`).
    pub(super) denied: BTreeMap<u64, &'static str>,
    /// Functions that the loader chooses by the CPU. The symbol leads to the code that chooses.
    pub(super) resolved: BTreeSet<String>,
    /// Functions that belong to another file.
    pub(super) imported: BTreeSet<String>,
    /// Whether the file has no full symbol table, and no debug file with one was found.
    pub(super) is_stripped: bool,
    /// Whether it is a Go program.
    pub(super) is_go: bool,
}

/// Reads the functions of a file.
pub(super) fn functions(file: &File) -> Result<Functions, BadElf> {
    functions_of(ElfBytes::File(file))
}

fn functions_of(source: ElfBytes<'_>) -> Result<Functions, BadElf> {
    let elf = UserElf::read(source)?;
    let mut tables: Vec<SymbolTable> = Vec::new();
    let full = elf.symbol_table(SHT_SYMTAB.0)?;
    let full = full
        .or_else(|| of_debug_file(&elf))
        .or_else(|| mini_debug_info(&elf));
    let is_stripped = full.is_none();
    tables.extend(full);
    tables.extend(elf.symbol_table(SHT_DYNSYM.0)?);
    let mut found = Functions {
        is_stripped,
        is_go: is_go(&elf),
        ..Functions::default()
    };
    // Both tables have the exported functions.
    let mut defined: BTreeMap<(u64, String), u64> = BTreeMap::new();
    let n_name_bytes = Cell::new(0);
    for symbol in tables.iter().flat_map(SymbolTable::functions) {
        let name = || {
            let name = readable(symbol.name);
            n_name_bytes.set(n_name_bytes.get() + name.len() as u64);
            name
        };
        if n_name_bytes.get() > elf.max_derived_bytes() {
            return Err(BadElf::Malformed(
                "the names of its functions are larger than it",
            ));
        }
        match symbol.addr {
            None => {
                found.imported.insert(name());
            }
            Some(_) if symbol.is_resolver => {
                found.resolved.insert(name());
            }
            Some(addr) => {
                if let Some(offset) = elf.offset_of(addr) {
                    defined.entry((offset, name())).or_insert(symbol.size);
                }
            }
        }
    }
    if found.is_go && is_stripped {
        let of_go = go_functions(&elf)?;
        found.is_stripped = of_go.is_empty();
        for function in of_go {
            if let Some(offset) = elf.offset_of(function.addr) {
                defined.insert((offset, function.name), function.size);
            }
        }
    }
    let denied = |(offset, name): &(u64, String)| Some((*offset, why_denied(name)?));
    found.denied = defined.keys().filter_map(denied).collect();
    let defined = defined.into_iter();
    found.defined = defined
        .map(|((offset, name), size)| UserSymbol { name, offset, size })
        .collect();
    Ok(found)
}

/// Returns the result types of the functions at `offsets`, as the debug information of the file or
/// of its debug file has them. Those that it does not tell are missing.
pub(super) fn result_types(file: &File, offsets: &BTreeSet<u64>) -> HashMap<u64, ResultType> {
    types_of(ElfBytes::File(file), offsets).unwrap_or_default()
}

fn types_of(source: ElfBytes<'_>, offsets: &BTreeSet<u64>) -> Option<HashMap<u64, ResultType>> {
    let elf = UserElf::read(source).ok()?;
    let addr_of = |offset: &u64| Some((elf.addr_of(*offset)?, *offset));
    let offsets: HashMap<u64, u64> = offsets.iter().filter_map(addr_of).collect();
    let addrs: BTreeSet<u64> = offsets.keys().copied().collect();
    let of_addrs = if elf.has_section(".debug_info") {
        types::result_types(&elf, &addrs)
    } else {
        let file = debug_file(&elf)?;
        let debug = UserElf::read(ElfBytes::File(&file)).ok()?;
        types::result_types(&debug, &addrs)
    };
    let of_offsets = of_addrs
        .into_iter()
        .filter_map(|(addr, result)| Some((*offsets.get(&addr)?, result)));
    Some(of_offsets.collect())
}

/// Returns the symbol table of the separate debug file.
fn of_debug_file(elf: &UserElf<'_>) -> Option<SymbolTable> {
    let file = debug_file(elf)?;
    let debug = UserElf::read(ElfBytes::File(&file)).ok()?;
    debug.symbol_table(SHT_SYMTAB.0).ok()?
}

/// Opens the separate debug file with the build id of the file.
fn debug_file(elf: &UserElf<'_>) -> Option<File> {
    let id = elf.build_id()?;
    let (directory, rest) = id.split_at_checked(2)?;
    let path = Path::new(DEBUG_FILES)
        .join(directory)
        .join(format!("{rest}.debug"));
    let file = open_regular(&path).ok()?;
    let debug = UserElf::read(ElfBytes::File(&file)).ok()?;
    (debug.build_id() == Some(id)).then_some(file)
}

/// Returns the symbol table in `.gnu_debugdata`, an ELF file that is compressed by xz.
fn mini_debug_info(elf: &UserElf<'_>) -> Option<SymbolTable> {
    let compressed = elf.section(".gnu_debugdata", MAX_MINI_COMPRESSED).ok()??;
    let mut content = Vec::new();
    XzReader::new_mem_limit(compressed.as_slice(), true, LARGEST_DICTIONARY_KIB)
        .take(elf.max_derived_bytes())
        .read_to_end(&mut content)
        .ok()?;
    let elf = UserElf::read(ElfBytes::Bytes(&content)).ok()?;
    elf.symbol_table(SHT_SYMTAB.0).ok()?
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::functions_of;
    use crate::user::elf::{BadElf, ElfBytes};

    #[test]
    fn functions_of_a_library_have_offsets_in_the_file() {
        let file = File::open("/proc/self/exe").unwrap();
        let ours = functions_of(ElfBytes::File(&file)).unwrap();
        let len = file.metadata().unwrap().len();
        assert!(ours.defined.len() > 1000);
        assert!(ours.defined.iter().all(|symbol| symbol.offset < len));
        assert!(!ours.is_go);
        let this = ours
            .defined
            .iter()
            .find(|symbol| symbol.name.ends_with("user::symbols::functions_of"));
        assert!(this.is_some());
    }

    #[test]
    fn files_that_are_not_for_us_say_why() {
        let why = |bytes: &[u8]| {
            functions_of(ElfBytes::Bytes(bytes))
                .unwrap_err()
                .to_string()
        };
        assert!(why(b"#!/bin/sh\n").contains("no ELF file"));
        assert!(why(b"\x7fELF\x01\x01\x01").contains("32-bit"));
        assert!(why(b"\x7fELF\x02\x01\x01").contains("cut off"));
        let mut relocatable = [0; 64];
        relocatable[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        relocatable[18] = 0xf3;
        assert!(why(&relocatable).contains("another architecture"));
    }

    /// A file of 2 MiB: a header, one code segment, 30,000 symbols that share one name of 4,000 bytes,
    /// or a string table that never ends.
    fn with_shared_names(name: &[u8]) -> Vec<u8> {
        const N: usize = 30_000;
        let word = |number: u64| number.to_le_bytes();
        let mut file = fs::read("/proc/self/exe").unwrap()[..64].to_vec();
        let (segments, sections) = (64, 64 + 56);
        let symbols = sections + 3 * 64;
        let names = symbols + 24 * N;
        file[32..40].copy_from_slice(&word(segments as u64));
        file[40..48].copy_from_slice(&word(sections as u64));
        file[56..58].copy_from_slice(&1_u16.to_le_bytes());
        file[60..62].copy_from_slice(&3_u16.to_le_bytes());
        file[62..64].copy_from_slice(&0_u16.to_le_bytes());
        let len = (names + name.len() + 64) as u64;
        // PT_LOAD, readable and executable: the whole file.
        file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        file.extend([word(0), word(0), word(0), word(len), word(len), word(1)].concat());
        file.extend([0; 64]);
        for (kind, offset, size, link) in
            [(2_u64, symbols, 24 * N, 2_u64), (3, names, name.len(), 0)]
        {
            file.extend(word(kind << 32));
            file.extend([word(0), word(0), word(offset as u64), word(size as u64)].concat());
            file.extend([word(link), word(8), word(24)].concat());
        }
        for number in 0..N as u64 {
            // Its name, STT_FUNC, of section 1; address and size.
            file.extend([0, 0, 0, 0, 2, 0, 1, 0]);
            file.extend([word(number), word(1)].concat());
        }
        file.extend(name);
        file.resize(len as usize, 0);
        file
    }

    #[test]
    fn symbols_that_share_a_long_name_do_not_take_it_each() {
        let usual = functions_of(ElfBytes::Bytes(&with_shared_names(b"f\0")));
        assert_eq!(usual.unwrap().defined.len(), 30_000);
        let mut long = vec![b'f'; 4000];
        long.push(0);
        let error = functions_of(ElfBytes::Bytes(&with_shared_names(&long)));
        assert!(error.unwrap_err().to_string().contains("names"));
        let endless = with_shared_names(&vec![b'f'; 1 << 20]);
        let none = functions_of(ElfBytes::Bytes(&endless)).unwrap();
        assert!(none.defined.is_empty());
    }

    /// A table of 4 GiB, tables that overlap, links that lead nowhere.
    #[test]
    fn damaged_files_cost_their_functions_and_nothing_else() {
        let whole = fs::read("/bin/true").unwrap();
        assert!(functions_of(ElfBytes::Bytes(&whole)).is_ok());
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let tables = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
        let mut n_refused = 0;
        for _ in 0..5000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(6) {
                // Most of it in the header, the segments and the section table.
                let at = match random(3) {
                    0 => random(64),
                    1 => random(1024),
                    _ => tables + random(bytes.len() - tables),
                };
                bytes[at] = [0, 0xff, 0x7f, random(256) as u8][random(4)];
            }
            if random(8) == 0 {
                bytes.truncate(random(whole.len()));
            }
            match functions_of(ElfBytes::Bytes(&bytes)) {
                Ok(found) => {
                    let len = bytes.len() as u64;
                    assert!(found.defined.iter().all(|symbol| symbol.offset < len));
                }
                Err(BadElf::Io(error)) => panic!("{error}"),
                Err(_) => n_refused += 1,
            }
        }
        assert!((500..4900).contains(&n_refused), "{n_refused}");
    }
}
