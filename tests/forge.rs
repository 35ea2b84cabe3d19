// SPDX-License-Identifier: BSD-2-Clause
//! ELF files made by hand, for tests of hostile input: each asks for far more memory or time than
//! its size justifies. Shared by the unit tests and the integration tests.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test crate uses a part of it"
)]

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// Where the code of these files lies.
pub const TEXT: u64 = 0xffff_ffff_8100_0000;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOTE: u32 = 7;
const SHF_CODE: u64 = 6;
const SHF_COMPRESSED: u64 = 0x800;
const HEADER: usize = 64;

/// How debug sections are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Zlib,
    Zstd,
}

#[derive(Clone, Debug)]
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    addr: u64,
    data: Vec<u8>,
    link: u32,
    entry: u64,
}

/// A file that is being made.
#[derive(Clone, Debug, Default)]
pub struct Elf {
    sections: Vec<Section>,
    /// Section headers that point into the file, not to data of their own.
    overlapping: Vec<(u32, u64, u64)>,
}

impl Elf {
    /// With code, and the symbols `_stext` and `f`.
    pub fn kernel() -> Self {
        let (mut names, mut symbols) = (vec![0], vec![0; 24]);
        for (name, addr, size) in [("_stext", TEXT, 0x1000), ("f", TEXT + 0x10, 0x100)] {
            symbol(&mut symbols, names.len(), addr, size);
            names.extend(name.as_bytes());
            names.push(0);
        }
        Self::of_symbols(symbols, names)
    }

    fn of_symbols(symbols: Vec<u8>, names: Vec<u8>) -> Self {
        let section = |name, kind, data| Section {
            name,
            kind,
            flags: 0,
            addr: 0,
            data,
            link: 0,
            entry: 0,
        };
        let text = Section {
            flags: SHF_CODE,
            addr: TEXT,
            ..section(".text", SHT_PROGBITS, vec![0x90; 0x1000])
        };
        let symtab = Section {
            link: 3,
            entry: 24,
            ..section(".symtab", SHT_SYMTAB, symbols)
        };
        Self {
            sections: vec![text, symtab, section(".strtab", SHT_STRTAB, names)],
            overlapping: Vec::new(),
        }
    }

    /// Adds a debug section.
    pub fn with(mut self, name: &'static str, data: Vec<u8>, packing: Packing) -> Self {
        let header = |kind: u32, data: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend(kind.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend((data.len() as u64).to_le_bytes());
            bytes.extend(1_u64.to_le_bytes());
            bytes
        };
        let (flags, data) = match packing {
            Packing::Plain => (0, data),
            Packing::Zlib => {
                let mut encoder = ZlibEncoder::new(header(1, &data), Compression::best());
                encoder.write_all(&data).unwrap();
                (SHF_COMPRESSED, encoder.finish().unwrap())
            }
            Packing::Zstd => {
                let mut bytes = header(2, &data);
                bytes.extend(compress_to_vec(&data[..], CompressionLevel::Fastest));
                (SHF_COMPRESSED, bytes)
            }
        };
        self.sections.push(Section {
            name,
            kind: SHT_PROGBITS,
            flags,
            addr: 0,
            data,
            link: 0,
            entry: 0,
        });
        self
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut bytes = vec![0; HEADER];
        let mut headers = vec![0; HEADER];
        let mut sections = self.sections.clone();
        sections.push(Section {
            name: ".shstrtab",
            kind: SHT_STRTAB,
            flags: 0,
            addr: 0,
            data: Vec::new(),
            link: 0,
            entry: 0,
        });
        let n_sections = sections.len();
        for (index, section) in sections.iter_mut().enumerate() {
            let name = names.len() as u32;
            names.extend(section.name.as_bytes());
            names.push(0);
            if index + 1 == n_sections {
                section.data.clone_from(&names);
            }
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            let place = (bytes.len() as u64, section.data.len() as u64);
            header(&mut headers, (name, section), place);
            bytes.extend(&section.data);
        }
        for (kind, start, length) in &self.overlapping {
            let section = Section {
                name: "",
                kind: *kind,
                flags: 0,
                addr: 0,
                data: Vec::new(),
                link: 0,
                entry: 0,
            };
            header(&mut headers, (0, &section), (*start, *length));
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let table = bytes.len() as u64;
        let n_headers = (headers.len() / HEADER) as u16;
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(16, 0);
        head.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        head.extend([0; 16]);
        head.extend(table.to_le_bytes());
        head.extend([0, 0, 0, 0, 64, 0, 56, 0, 0, 0, 64, 0]);
        head.extend(n_headers.to_le_bytes());
        head.extend((n_sections as u16).to_le_bytes());
        bytes[..HEADER].copy_from_slice(&head);
        bytes.extend(headers);
        bytes
    }
}

fn symbol(into: &mut Vec<u8>, name: usize, addr: u64, size: u64) {
    into.extend((name as u32).to_le_bytes());
    into.extend([0x12, 0, 1, 0]);
    into.extend(addr.to_le_bytes());
    into.extend(size.to_le_bytes());
}

fn header(into: &mut Vec<u8>, (name, section): (u32, &Section), (start, length): (u64, u64)) {
    into.extend(name.to_le_bytes());
    into.extend(section.kind.to_le_bytes());
    for number in [section.flags, section.addr, start, length] {
        into.extend(number.to_le_bytes());
    }
    into.extend(section.link.to_le_bytes());
    into.extend(1_u32.to_le_bytes());
    for number in [1, section.entry] {
        into.extend(number.to_le_bytes());
    }
}

fn uleb(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A DWARF 5 unit whose first entry covers the code, with these entries below it, and the
/// abbreviations: 1 is the unit's, others follow.
pub fn unit(entries: &[u8], abbreviations: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // DW_TAG_compile_unit: low_pc addr, high_pc data8, stmt_list sec_offset.
    let mut table = vec![1, 0x11, 1, 0x11, 1, 0x12, 7, 0x10, 0x17, 0, 0];
    table.extend(abbreviations);
    table.push(0);
    let mut body = vec![5, 0, 1, 8, 0, 0, 0, 0, 1];
    body.extend(TEXT.to_le_bytes());
    body.extend(0x1000_u64.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    body.extend(entries);
    body.push(0);
    let mut info = (body.len() as u32).to_le_bytes().to_vec();
    info.extend(body);
    (info, table)
}

/// A line program of DWARF 5: its tables of directories and files, then its instructions.
fn line_program(tables: &[u8], program: &[u8]) -> Vec<u8> {
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    header.extend(tables);
    let mut body = vec![5, 0, 8, 0];
    body.extend((header.len() as u32).to_le_bytes());
    body.extend(header);
    body.extend(program);
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// A line program without files and without rows.
pub fn no_lines() -> Vec<u8> {
    line_program(&[0, 0, 0, 0], &[])
}

/// An image with these sections.
pub fn image(info: Vec<u8>, abbrev: Vec<u8>, line: Vec<u8>, packing: Packing) -> Elf {
    Elf::kernel()
        .with(".debug_info", info, packing)
        .with(".debug_abbrev", abbrev, packing)
        .with(".debug_line", line, packing)
}

/// A file whose note sections all cover the same bytes.
pub fn overlapping_notes(n_sections: usize, length: usize) -> Vec<u8> {
    let mut elf = Elf::kernel().with(".data", vec![0; length + 16 * n_sections], Packing::Plain);
    let start = |index| (HEADER + 0x1000 + 4096 + 16 * index) as u64;
    elf.overlapping = (0..n_sections)
        .map(|index| (SHT_NOTE, start(index), length as u64))
        .collect();
    elf.bytes()
}

/// Directories and files without a byte each (`DW_FORM_flag_present`).
pub fn files_without_bytes(n_files: u64, packing: Packing) -> Vec<u8> {
    let mut tables = Vec::new();
    for _ in 0..2 {
        tables.extend([1, 1, 0x19]);
        uleb(&mut tables, n_files);
    }
    many_files(&tables, n_files, packing)
}

/// Directories and files of one byte each (`DW_FORM_data1`).
pub fn files_of_one_byte(n_files: u64, packing: Packing) -> Vec<u8> {
    let mut tables = Vec::new();
    for _ in 0..2 {
        tables.extend([1, 1, 0x0b]);
        uleb(&mut tables, n_files);
        tables.extend(vec![0; n_files as usize]);
    }
    many_files(&tables, 0, packing)
}

fn many_files(tables: &[u8], n_zeros: u64, packing: Packing) -> Vec<u8> {
    let line = line_program(tables, &vec![0; n_zeros as usize + 64]);
    let (info, abbrev) = unit(&[], &[]);
    image(info, abbrev, line, packing).bytes()
}

/// A line program of which each byte is a row.
pub fn rows_of_one_byte(n_rows: usize, packing: Packing) -> Vec<u8> {
    let mut program = vec![0, 9, 2];
    program.extend(TEXT.to_le_bytes());
    // Address + 1, line + 1.
    program.extend(vec![0x21; n_rows]);
    program.extend([0, 1, 1]);
    let tables = [1, 1, 8, 1, b'/', 0, 1, 1, 8, 1, b'a', 0];
    let (info, abbrev) = unit(&[], &[]);
    image(info, abbrev, line_program(&tables, &program), packing).bytes()
}

/// Functions that all name the same list of 65,535 ranges.
pub fn functions_with_long_ranges(n_functions: usize, packing: Packing) -> Vec<u8> {
    let abbreviation = [2, 0x2e, 0, 0x55, 0x17, 0, 0];
    let entry = [2, 12, 0, 0, 0];
    let (info, abbrev) = unit(&entry.repeat(n_functions), &abbreviation);
    let list = [[4, 1, 2].repeat(65_535), vec![0]].concat();
    let mut lists = (list.len() as u32 + 8).to_le_bytes().to_vec();
    lists.extend([5, 0, 8, 0, 0, 0, 0, 0]);
    lists.extend(list);
    image(info, abbrev, no_lines(), packing)
        .with(".debug_rnglists", lists, packing)
        .bytes()
}

/// Functions and inlined calls of two bytes each.
pub fn entries_of_two_bytes(n_entries: usize, packing: Packing) -> Vec<u8> {
    // 2: subprogram, inlined, line data1. 3: subprogram with code and children. 4: inlined call.
    let abbreviations = [
        &[2, 0x2e, 0, 0x20, 0x21, 1, 0x3a, 0x21, 1, 0x3b, 0x0b, 0, 0][..],
        &[3, 0x2e, 1, 0x11, 1, 0x12, 7, 0, 0],
        &[4, 0x1d, 0, 0x59, 0x0b, 0, 0],
    ]
    .concat();
    let mut entries = [2, 7].repeat(n_entries);
    entries.push(3);
    entries.extend(TEXT.to_le_bytes());
    entries.extend(0x100_u64.to_le_bytes());
    entries.extend([4, 9].repeat(n_entries));
    entries.push(0);
    let (info, abbrev) = unit(&entries, &abbreviations);
    image(info, abbrev, no_lines(), packing).bytes()
}

/// Units of 12 bytes that all use one long table of abbreviations.
pub fn units_with_long_abbreviations(
    n_units: usize,
    n_abbreviations: u64,
    packing: Packing,
) -> Vec<u8> {
    let mut abbrev = Vec::new();
    let mut starts = Vec::new();
    for code in 1..=n_abbreviations {
        starts.push(abbrev.len() as u32);
        uleb(&mut abbrev, code);
        abbrev.extend([0x34, 0, 0, 0]);
    }
    abbrev.push(0);
    let mut info = Vec::new();
    for index in 0..n_units {
        info.extend([8, 0, 0, 0, 5, 0, 1, 8]);
        // Each begins at another entry of the table.
        info.extend(starts[index % starts.len().min(64)].to_le_bytes());
    }
    image(info, abbrev, no_lines(), packing).bytes()
}

/// Units that begin 256 bytes behind each other and all end where the file does: each address is in
/// another one, and each has all of the entries.
pub fn overlapping_units(n_units: u16, n_entries: usize, packing: Packing) -> Vec<u8> {
    const STEP: usize = 256;
    // 1: compile_unit with children and a block2. 2: variable.
    let abbrev = vec![1, 0x11, 1, 2, 3, 0, 0, 2, 0x34, 0, 0, 0, 0];
    let heads = STEP * usize::from(n_units);
    let total = heads + n_entries;
    let (mut info, mut aranges) = (Vec::new(), Vec::new());
    for index in 0..usize::from(n_units) {
        let start = STEP * index;
        info.resize(start, 0);
        info.extend(((total - start - 4) as u32).to_le_bytes());
        info.extend([5, 0, 1, 8, 0, 0, 0, 0, 1]);
        info.extend(((heads - start - 15) as u16).to_le_bytes());
        aranges.extend(44_u32.to_le_bytes());
        aranges.extend([2, 0]);
        aranges.extend((start as u32).to_le_bytes());
        aranges.extend([8, 0, 0, 0, 0, 0]);
        for number in [TEXT + 16 * index as u64, 16, 0, 0] {
            aranges.extend(number.to_le_bytes());
        }
    }
    info.resize(heads, 0);
    info.resize(total, 2);
    image(info, abbrev, no_lines(), packing)
        .with(".debug_aranges", aranges, Packing::Plain)
        .bytes()
}

/// Symbols whose names all end where one long name does.
pub fn symbols_with_one_end(n_symbols: usize, length: usize) -> Vec<u8> {
    let names = [b"\0_stext\0".to_vec(), vec![b'x'; length], vec![0]].concat();
    let mut symbols = vec![0; 24];
    symbol(&mut symbols, 1, TEXT, 0x1000);
    for index in 0..n_symbols {
        symbol(&mut symbols, 8 + index % 64, TEXT + index as u64 % 4096, 1);
    }
    let (info, abbrev) = unit(&[], &[]);
    Elf::of_symbols(symbols, names)
        .with(".debug_info", info, Packing::Plain)
        .with(".debug_abbrev", abbrev, Packing::Plain)
        .with(".debug_line", no_lines(), Packing::Plain)
        .bytes()
}

/// An image that says that entries of it are in another file.
pub fn shares_with(name: &[u8]) -> Vec<u8> {
    let (info, abbrev) = unit(&[], &[]);
    let link = [name, b"\0", &[0x11; 20]].concat();
    image(info, abbrev, no_lines(), Packing::Plain)
        .with(".gnu_debugaltlink", link, Packing::Plain)
        .bytes()
}

/// Small files of each kind, to be damaged.
pub fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("notes", overlapping_notes(8, 512)),
        ("no-bytes", files_without_bytes(64, Packing::Zlib)),
        ("one-byte", files_of_one_byte(64, Packing::Zstd)),
        ("rows", rows_of_one_byte(256, Packing::Zlib)),
        ("ranges", functions_with_long_ranges(4, Packing::Zlib)),
        ("entries", entries_of_two_bytes(64, Packing::Plain)),
        (
            "units",
            units_with_long_abbreviations(16, 64, Packing::Zstd),
        ),
        ("overlap", overlapping_units(8, 4096, Packing::Zlib)),
        ("shares", shares_with(b"dwz.common")),
        ("symbols", symbols_with_one_end(64, 512)),
    ]
}

/// Type information of kernels to come: a kind that is not known, with and without a layout that
/// says how long it is; one with many elements; and a struct that contains itself several times.
pub fn btf() -> Vec<(&'static str, Vec<u8>)> {
    const STRINGS: &[u8] = b"\0int\0f\0g\0e\0";
    let word = |info: u32, name: u32, size: u32| [name, info, size];
    let int = [&word(1 << 24, 1, 4)[..], &[0x0100_0020]].concat();
    let proto = word(13 << 24, 0, 1);
    let func = |name| word(12 << 24 | 1, name, 2);
    let unknown = [&word(0x55 << 24 | 2, 0, 0)[..], &[7; 4]].concat();
    let many = [&word(6 << 24 | 0x1_0001, 9, 4)[..], &vec![0; 0x2_0002]].concat();
    let known = [&int[..], &proto, &func(5)].concat();
    let itself = [0, 4, 0];
    let cycle = [&word(4 << 24 | 8, 9, 8)[..], &itself.repeat(8)].concat();
    let file = |types: &[u32], layout: &[u8]| {
        let (types_len, strings) = (4 * types.len() as u32, STRINGS.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let header = [32, 0, types_len, types_len, strings, types_len + strings];
        for number in header.iter().chain(&[layout.len() as u32]).chain(types) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(STRINGS);
        bytes.extend(layout);
        bytes
    };
    let mut layout = vec![0; 4 * 0x56];
    layout[4 * 0x55..].copy_from_slice(&[8, 4, 0, 0]);
    let with_unknown = [&known[..], &unknown, &func(7)].concat();
    vec![
        ("known", file(&known, &[])),
        ("layout", file(&with_unknown, &layout)),
        ("no-layout", file(&with_unknown, &[])),
        ("many", file(&[&known[..], &many, &func(7)].concat(), &[])),
        ("cycle", file(&[&known[..], &cycle].concat(), &[])),
    ]
}
