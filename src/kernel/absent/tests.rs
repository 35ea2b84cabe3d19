// SPDX-License-Identifier: BSD-2-Clause
//! A hand-made module file, and damaged copies of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::file::{existing, read};
use super::{AbsentModule, NotAbsent};
use crate::spec::{Hook, Placeholder};

/// A section: name, type, flags, bytes, link, info, entry size.
struct Section(&'static str, u32, u64, Vec<u8>, u32, u32, u64);

/// A module with `.text` (1), `.init.text` (2), `.modinfo` (3), `__mcount_loc` (4) with its
/// relocations (5), symbols (6) and their names (7).
fn module() -> Vec<u8> {
    let names = b"\0first\0second\0start\0init_module\0data\0bad name\0";
    let at = |name: &[u8]| {
        let found = names.windows(name.len()).position(|window| window == name);
        found.unwrap() as u32
    };
    let symbol = |name: u32, info: u8, section: u16, value: u64| {
        let mut bytes = name.to_le_bytes().to_vec();
        bytes.extend([info, 0]);
        bytes.extend(section.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend(8_u64.to_le_bytes());
        bytes
    };
    let (local, global, object) = (0x02, 0x12, 0x01);
    let symbols = [
        symbol(0, 0, 0, 0),
        symbol(0, 3, 1, 0), // the section `.text`
        symbol(at(b"first\0"), local, 1, 0),
        symbol(at(b"second\0"), local, 1, 0x20),
        symbol(at(b"start\0"), local, 2, 0x10),
        symbol(at(b"data\0"), object, 3, 0),
        symbol(at(b"bad name\0"), local, 1, 0x30),
        symbol(at(b"init_module\0"), global, 2, 0x10),
        symbol(at(b"first\0"), global, 1, 0x4000), // beyond its section
        symbol(at(b"first\0"), global, 99, 0),     // of no section
    ]
    .concat();
    let relocation = |offset: u64, symbol: u64, addend: u64| {
        [offset, symbol << 32 | 1, addend]
            .map(u64::to_le_bytes)
            .concat()
    };
    // The second function begins with `endbr64`. The start function has its own symbol.
    let relocations = [relocation(0, 1, 0x24), relocation(8, 4, 0)].concat();
    let code = 0x6;
    elf(&[
        Section(".text", 1, code, vec![0; 0x40], 0, 0, 0),
        Section(".init.text", 1, code, vec![0; 0x18], 0, 0, 0),
        Section(
            ".modinfo",
            1,
            2,
            b"license=GPL\0name=mine_own\0".to_vec(),
            0,
            0,
            0,
        ),
        Section("__mcount_loc", 1, 2, vec![0; 16], 0, 0, 0),
        Section(".rela__mcount_loc", 4, 0x40, relocations, 6, 4, 24),
        Section(".symtab", 2, 0, symbols, 7, 7, 24),
        Section(".strtab", 3, 0, names.to_vec(), 0, 0, 0),
    ])
}

/// Builds a relocatable file with these sections.
fn elf(sections: &[Section]) -> Vec<u8> {
    let mut names = vec![0];
    let mut headers = vec![0; 64];
    let mut bytes = vec![0; 64];
    let machine: u16 = if cfg!(target_arch = "x86_64") {
        62
    } else {
        183
    };
    let mut add = |Section(name, kind, flags, content, link, info, entry): &Section,
                   names: &mut Vec<u8>,
                   bytes: &mut Vec<u8>| {
        let name_at = names.len() as u32;
        names.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        headers.extend([name_at, *kind].map(u32::to_le_bytes).concat());
        let words = [*flags, 0, bytes.len() as u64, content.len() as u64];
        headers.extend(words.map(u64::to_le_bytes).concat());
        headers.extend([*link, *info].map(u32::to_le_bytes).concat());
        headers.extend([8, *entry].map(u64::to_le_bytes).concat());
        bytes.extend(content);
    };
    for section in sections {
        add(section, &mut names, &mut bytes);
    }
    let mut all = names.clone();
    all.extend(b".shstrtab\0");
    add(
        &Section(".shstrtab", 3, 0, all, 0, 0, 0),
        &mut names,
        &mut bytes,
    );
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let (table, count) = (bytes.len() as u64, sections.len() as u16 + 2);
    bytes.extend(headers);
    bytes[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    bytes[16..18].copy_from_slice(&1_u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20..24].copy_from_slice(&1_u32.to_le_bytes());
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    for (at, value) in [(52, 64), (58, 64), (60, count), (62, count - 1)] {
        bytes[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
    }
    bytes
}

/// The placeholder at this offset from the first one.
fn placeholder(offset: u64) -> Placeholder {
    let first = Placeholder::of_module(0).start;
    first.checked_add(offset).unwrap()
}

fn parse(bytes: &[u8]) -> Result<AbsentModule, NotAbsent> {
    AbsentModule::parse(bytes, Path::new("mine.ko"), 0)
}

#[test]
fn functions_have_placeholders_section_by_section() {
    let module = parse(&module()).unwrap();
    assert_eq!(module.name, "mine_own");
    let functions: Vec<_> = module
        .functions
        .iter()
        .map(|function| (&*function.name, function.placeholder))
        .collect();
    let expected = [
        ("first", placeholder(0)),
        ("second", placeholder(0x20)),
        ("start", placeholder(0x1010)),
        ("init_module", placeholder(0x1010)),
    ];
    assert_eq!(functions, expected);
    let sections: Vec<_> = module
        .sections
        .iter()
        .map(|s| (&*s.name, s.range.clone()))
        .collect();
    let expected = [
        (".text", placeholder(0)..placeholder(0x40)),
        (".init.text", placeholder(0x1000)..placeholder(0x1018)),
    ];
    assert_eq!(sections, expected);
    assert!(module.contains(placeholder(0x3f)) && !module.contains(placeholder(0x40)));
}

#[test]
fn what_ftrace_will_patch_can_be_traced() {
    let module = parse(&module()).unwrap();
    let traceable: Vec<&str> = module
        .functions
        .iter()
        .filter(|function| module.is_traceable(function.placeholder))
        .map(|function| &*function.name)
        .collect();
    assert_eq!(traceable, ["second", "start", "init_module"]);
}

#[test]
fn a_file_that_is_no_module_is_named() {
    for bytes in [&b""[..], b"\x7fELF", &[0; 4096]] {
        let error = parse(bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`mine.ko` is no kernel module for this machine"
        );
    }
    let mut foreign = module();
    foreign[18] ^= 0xff;
    assert!(matches!(parse(&foreign), Err(NotAbsent::NoModule(_))));
}

#[test]
fn damaged_files_neither_panic_nor_leave_their_range() {
    let module = module();
    for len in 0..module.len() {
        let _ = parse(&module[..len]);
    }
    for at in 0..module.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = module.clone();
            damaged[at] = value;
            if let Ok(module) = parse(&damaged) {
                for function in &module.functions {
                    assert!(
                        Hook::of_symbol(function.placeholder.addr()).is_absent()
                            && module.contains(function.placeholder)
                    );
                }
            }
        }
    }
}

#[test]
fn compressed_files_are_found_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.ko");
    assert_eq!(existing(&path), None);
    let compressed = directory.path().join("mine.ko.gz");
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(&module()).unwrap();
    fs::write(&compressed, file.finish().unwrap()).unwrap();
    assert_eq!(existing(&path), Some(compressed.clone()));
    assert_eq!(read(&compressed).unwrap(), module());
    // An error of a decoder is reported. Without a magic number no decoder runs.
    for magic in [
        &b"\xfd7zXZ\0junk"[..],
        b"\x28\xb5\x2f\xfdjunk",
        b"\x1f\x8bjunk",
    ] {
        fs::write(&compressed, magic).unwrap();
        assert!(read(&compressed).is_err());
    }
    fs::write(&compressed, b"x").unwrap();
    assert_eq!(read(&compressed).unwrap(), b"x");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("mine.ko");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let error = read(&pipe).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    assert!(read(directory.path()).is_err());
}

#[test]
fn a_section_for_each_function_is_not_gone_through_again_and_again() {
    const MANY: usize = 30_000;
    let names = b"\0f\0";
    let symbol = |section: usize| {
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend([0x02, 0]);
        bytes.extend((section as u16).to_le_bytes());
        bytes.extend([0; 16]);
        bytes
    };
    let mut sections: Vec<Section> = (0..MANY)
        .map(|_| Section(".text", 1, 0x6, vec![0; 16], 0, 0, 0))
        .collect();
    let info = b"name=mine\0".to_vec();
    sections.push(Section(".modinfo", 1, 0, info, 0, 0, 0));
    let symbols = (0..=MANY).flat_map(symbol).collect();
    let strings = MANY as u32 + 3;
    sections.push(Section(".symtab", 2, 0, symbols, strings, 1, 24));
    sections.push(Section(".strtab", 3, 0, names.to_vec(), 0, 0, 0));
    let bytes = elf(&sections);
    let began = Instant::now();
    let module = parse(&bytes).unwrap();
    assert_eq!(module.functions.len(), MANY);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
