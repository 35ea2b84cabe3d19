// SPDX-License-Identifier: BSD-2-Clause
//! Small programs with all that is read of user files: symbols, probes, names of Go, what the loader
//! is told. They run nowhere.

use std::fs;

use retsnoop_rs::config::{GlobOrigin, GlobUse, Role};
use retsnoop_rs::spec::HookId;
use retsnoop_rs::user::{FileSearch, list_probes, select_user};

/// Sizes of the header and of the table of segments. Sections are in memory as in the file.
const HEADER: usize = 64;
const SEGMENTS: usize = 3 * 56;

fn word(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

/// A section: its name, type, content, and the index of the section that it refers to.
struct Section {
    name: &'static str,
    kind: u32,
    content: Vec<u8>,
    link: u32,
}

fn section(name: &'static str, kind: u32, content: Vec<u8>) -> Section {
    Section {
        name,
        kind,
        content,
        link: 0,
    }
}

/// A program with these sections and a table for the loader.
fn elf(mut sections: Vec<Section>, dynamic: &[(usize, &str)]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut table = Vec::new();
    for (tag, text) in dynamic {
        table.extend([word(*tag), word(strings.len())].concat());
        strings.extend([text.as_bytes(), b"\0"].concat());
    }
    let at = HEADER + SEGMENTS;
    let (table_at, size) = (at + strings.len(), strings.len());
    table.extend([word(5), word(at), word(10), word(size), word(0), word(0)].concat());
    let mut file = vec![0; HEADER];
    let mut body = [strings, table.clone()].concat();
    let mut names = vec![0];
    sections.push(section(".shstrtab", 3, Vec::new()));
    let mut headers = vec![0; 64];
    let n_sections = sections.len();
    for (number, mut section) in sections.into_iter().enumerate() {
        let name = names.len() as u32;
        names.extend([section.name.as_bytes(), b"\0"].concat());
        if number + 1 == n_sections {
            section.content.clone_from(&names);
        }
        let start = at + body.len();
        headers.extend([name.to_le_bytes(), section.kind.to_le_bytes()].concat());
        headers.extend([2, start, start, section.content.len()].map(word).concat());
        headers.extend([section.link.to_le_bytes(), [0; 4]].concat());
        headers.extend([1, 24].map(word).concat());
        body.extend(section.content);
    }
    let sections_at = at + body.len();
    let len = sections_at + headers.len();
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16] = 3;
    file[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    file[20] = 1;
    file[32..40].copy_from_slice(&word(HEADER));
    file[40..48].copy_from_slice(&word(sections_at));
    for (at, number) in [
        (52, 64),
        (54, 56),
        (56, 3),
        (58, 64),
        (60, n_sections + 1),
        (62, n_sections),
    ] {
        file[at..at + 2].copy_from_slice(&(number as u16).to_le_bytes());
    }
    // All of it is code and is writable; the table for the loader; the path of the loader.
    for (kind, offset, size) in [(1_u32, 0, len), (2, table_at, table.len()), (3, at, 16)] {
        file.extend([kind.to_le_bytes(), 7_u32.to_le_bytes()].concat());
        file.extend([offset, offset, offset, size, size, 8].map(word).concat());
    }
    [file, body, headers].concat()
}

fn symbols() -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut names) = (vec![0; 24], vec![0]);
    for (number, name) in ["open_it", "_ZN3app4readEv", "setjmp", "chosen"]
        .iter()
        .enumerate()
    {
        let kind = if *name == "chosen" { 10 } else { 2 };
        table.extend((names.len() as u32).to_le_bytes());
        table.extend([kind, 0, 1, 0]);
        table.extend([word(64 + 16 * number), word(16)].concat());
        names.extend([name.as_bytes(), b"\0"].concat());
    }
    (table, names)
}

fn probe() -> Vec<u8> {
    let texts = b"app\0request\0-4@%eax 8@16(%rsp,%rcx,4) 1@$7\0";
    let mut note = Vec::new();
    for number in [8_u32, 24 + texts.len() as u32, 3] {
        note.extend(number.to_le_bytes());
    }
    note.extend(b"stapsdt\0");
    note.extend([80, 0, 96].map(word).concat());
    note.extend(texts);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

fn go_table() -> Vec<u8> {
    let names = b"main.main\0net/http.Get\0";
    let mut table = 0xffff_fff1_u32.to_le_bytes().to_vec();
    table.extend([0, 0, 1, 8]);
    let functions = 72 + names.len();
    table.extend([2, 0, 64, 72, 0, 0, 0, functions].map(word).concat());
    table.extend(names);
    for number in [0_u32, 20, 16, 28, 48, 0, 0, 16, 10] {
        table.extend(number.to_le_bytes());
    }
    table
}

/// The seeds, by name.
pub(crate) fn user() -> Vec<(&'static str, Vec<u8>)> {
    let loader = [
        (1, "libc.so.6"),
        (1, "libx.so"),
        (15, "$ORIGIN/a:/b"),
        (29, "${ORIGIN}:/nosuch"),
    ];
    let (table, names) = symbols();
    let with_symbols = |kind, name, strings| {
        let table = Section {
            link: 2,
            ..section(name, kind, table.clone())
        };
        vec![table, section(strings, 3, names.clone())]
    };
    let mut full = with_symbols(2, ".symtab", ".strtab");
    full.push(section(".note.stapsdt", 7, probe()));
    full.push(section(".stapsdt.base", 1, vec![0]));
    let mut id = [4_u32, 20, 3].map(u32::to_le_bytes).concat();
    id.extend(b"GNU\0");
    id.extend([7; 20]);
    full.push(section(".note.gnu.build-id", 7, id));
    let mut mini = with_symbols(11, ".dynsym", ".dynstr");
    mini.push(section(
        ".gnu_debugdata",
        1,
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F".to_vec(),
    ));
    let go = vec![
        section(".gopclntab", 1, go_table()),
        section(".text", 1, vec![0x90; 64]),
    ];
    vec![
        ("full", elf(full, &loader)),
        ("mini", elf(mini, &[])),
        ("go", elf(go, &loader[..1])),
    ]
}

/// The seeds are no noise: what is to be read of them is found.
#[test]
fn forged_programs_have_functions_and_probes() {
    let directory = tempfile::tempdir().unwrap();
    let find = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let glob = format!("u:{}:*", path.display()).parse().unwrap();
        let globs = [(Role::Entry, GlobUse::new(glob, GlobOrigin::Option))];
        let found = select_user(&globs, &FileSearch::default(), HookId(0));
        (path.display().to_string(), found)
    };
    for (name, bytes) in user() {
        let (path, found) = find(name, &bytes);
        let names: Vec<&str> = found.functions.iter().map(|it| &*it.name).collect();
        let left_out: Vec<&str> = found.left_out.iter().map(|(name, ..)| &**name).collect();
        if name == "go" {
            assert_eq!(
                left_out,
                ["main.main", "net/http.Get"],
                "{:?}",
                found.reports
            );
        } else {
            assert_eq!(
                names,
                ["open_it", "app::read"],
                "{name}: {:?}",
                found.reports
            );
            assert_eq!(left_out, ["setjmp"]);
        }
        if name == "full" {
            let probes = list_probes(&path.parse().unwrap()).unwrap();
            assert_eq!(probes[0].probes[0].name, "request");
            assert_eq!(probes[0].probes[0].sites[0].site.arguments.len(), 3);
        }
    }
}
