// SPDX-License-Identifier: BSD-2-Clause
//! Small images of a kernel (`tests/data/image/make`). Every byte of their code is compared with
//! the answer of llvm-symbolizer. Damaged images are tested as well.

mod fgkaslr;
mod forged;
mod hostile;
mod shared;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use object::Object;
use tempfile::TempDir;

use super::{
    DEFAULT_LINE_MEMORY, Frame, Level, LineOptions, ModuleLines, OpenError, PendingLines,
    SourceLine, Symbolizer,
};
use crate::kernel::images::KernelIdentity;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, GlobKind, GlobSpec, Ip};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/image")
        .join(name)
}

fn kallsyms(name: &str) -> Arc<Kallsyms> {
    let text = fs::read(data(&format!("{name}.kallsyms"))).unwrap();
    Arc::new(Kallsyms::parse(text).unwrap())
}

/// The symbols of a kernel that KASLR moved.
fn moved_kallsyms(name: &str, by: u64) -> Arc<Kallsyms> {
    let text = fs::read_to_string(data(&format!("{name}.kallsyms"))).unwrap();
    let moved = text.lines().map(|line| {
        let (addr, rest) = line.split_once(' ').unwrap();
        let addr = u64::from_str_radix(addr, 16).unwrap();
        format!("{:016x} {rest}\n", addr + by)
    });
    Arc::new(Kallsyms::parse(moved.collect::<String>().into_bytes()).unwrap())
}

fn symbolizer(image: &Path, kallsyms: &Arc<Kallsyms>, level: Level) -> Symbolizer {
    let lines = Symbolizer::prepare(image.to_owned(), kallsyms, LineOptions::default())
        .unwrap()
        .join()
        .unwrap();
    Symbolizer::new(Arc::clone(kallsyms), level, Some(lines))
}

fn line_text(source: Option<&SourceLine>) -> String {
    source.map_or_else(
        || "??:0".to_owned(),
        |source| format!("{}:{}", source.path, source.line),
    )
}

/// The chain of a frame, innermost first: function, line, function, line.
fn chain(frame: &Frame) -> Vec<String> {
    let mut chain = Vec::new();
    for inlined in frame.inlined.iter().rev() {
        chain.extend([
            inlined.function.to_string(),
            line_text(inlined.source.as_ref()),
        ]);
    }
    let symbol = frame.symbol.as_ref().map_or("??", |symbol| &symbol.name);
    chain.extend([symbol.to_owned(), line_text(frame.source.as_ref())]);
    chain
}

/// Compares every address of `expected` with what `image` says, in a kernel moved by `by` bytes.
fn check(image: &str, expected: &str, by: u64) {
    let kallsyms = moved_kallsyms(expected, by);
    let symbolizer = symbolizer(&data(image), &kallsyms, Level::Inlines);
    check_all(&symbolizer, expected, by, image);
}

fn check_all(symbolizer: &Symbolizer, expected: &str, by: u64, image: &str) {
    let text = fs::read_to_string(data(&format!("{expected}.expected"))).unwrap();
    let mut compared = 0;
    for block in text.split("0xffff").skip(1) {
        let (addr, block) = block.split_once('\n').unwrap();
        let addr = u64::from_str_radix(&format!("ffff{addr}"), 16).unwrap();
        let frame = symbolizer.frame(Ip::exact(Addr(addr + by)));
        let lines = block.lines().map(|line| {
            let line = line
                .split_once(" (discriminator")
                .map_or(line, |(line, _)| line);
            line.replace("/build/linux-6.12/", "")
                .replace("kernel/../", "")
                .replace("mm/../", "")
        });
        let mut lines: Vec<_> = lines.collect();
        let mut chain = chain(&frame);
        if lines[0] == "??" {
            // Padding has a line but no function. kallsyms counts it as part of the function
            // before.
            lines.remove(0);
            chain.remove(0);
        }
        assert_eq!(chain, lines, "{image} {addr:#x}");
        compared += 1;
    }
    assert!(compared > 150, "{compared} addresses compared");
}

#[test]
fn every_address_has_the_lines_and_inlined_functions_that_llvm_finds() {
    check("dwarf5", "dwarf5", 0);
    check("dwarf4", "dwarf4", 0);
}

#[test]
fn b20_compressed_sections_are_read_as_any_other() {
    check("zlib", "dwarf5", 0);
    check("zstd", "dwarf5", 0);
}

#[test]
fn units_without_aranges_are_found() {
    check("no-aranges", "dwarf5", 0);
}

#[test]
fn units_that_refer_to_each_other_are_read_together() {
    check("lto", "lto", 0);
}

#[test]
fn a_kernel_that_kaslr_moved_has_the_lines_of_its_image() {
    check("dwarf5", "dwarf5", 0x1e20_0000);
}

/// The functions that matching files define, by name, and how many are inlined everywhere.
fn defined(image: &str, symbols: &str, glob: &str) -> (Vec<String>, usize) {
    let kallsyms = moved_kallsyms(symbols, 0x1000_0000);
    let lines = Symbolizer::prepare(data(image), &kallsyms, LineOptions::default()).unwrap();
    let spec: GlobSpec = glob.parse().unwrap();
    let GlobKind::Source(path) = spec.kind() else {
        panic!("{glob}")
    };
    let found = lines.join().unwrap().functions(path);
    assert_eq!(found.n_damaged, 0);
    let name = |addr: &u64| {
        let index = kallsyms.starts_at(Addr(*addr)).unwrap();
        kallsyms.symbol(index).name.to_owned()
    };
    (found.addrs.iter().map(name).collect(), found.n_inlined)
}

#[test]
fn functions_are_found_by_the_file_that_defines_them() {
    for image in ["dwarf5", "dwarf4", "zstd", "no-aranges"] {
        let symbols = if image == "dwarf4" { image } else { "dwarf5" };
        let defined = |glob| defined(image, symbols, glob);
        let (names, _) = defined(":kernel/*.c");
        assert_eq!(
            names,
            ["entry", "plain", "die", "doomed", "behind"],
            "{image}"
        );
        assert_eq!(
            defined(":mm/alloc.c"),
            (vec!["alloc".to_owned()], 1),
            "{image}"
        );
        assert_eq!(defined(":include/*.h"), (vec![], 2), "{image}");
        assert_eq!(defined(":fs/*.c"), (vec![], 0), "{image}");
    }
}

/// The files of a kernel with one module, `mod`, loaded to `text`.
fn loaded_module(build_id: &[u8], text: u64) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let note = [
        &[4, 0, 0, 0, build_id.len() as u8, 0, 0, 0, 3, 0, 0, 0],
        &b"GNU\0"[..],
        build_id,
    ];
    write("sys/module/mod/notes/.note.gnu.build-id", &note.concat());
    write(
        "sys/module/mod/sections/.text",
        format!("{text:#018x}\n").as_bytes(),
    );
    write(
        "sys/module/mod/sections/.init.text",
        b"0x0000000000000000\n",
    );
    write(
        "lib/modules/6.12/modules.dep",
        b"kernel/other.ko:\nkernel/mm/mod.ko.xz: kernel/other.ko\n",
    );
    write(
        "usr/lib/debug/lib/modules/6.12/kernel/mm/mod.ko",
        &fs::read(data("relocatable")).unwrap(),
    );
    root
}

/// A symbolizer of a kernel whose only symbols are those of `mod`.
fn module_symbolizer(root: &Path, by: u64) -> Symbolizer {
    let text = fs::read_to_string(data("dwarf5.kallsyms")).unwrap();
    let moved = text
        .lines()
        .filter(|line| !line.contains(" _"))
        .map(|line| {
            let (addr, rest) = line.split_once(' ').unwrap();
            let addr = u64::from_str_radix(addr, 16).unwrap() + by;
            format!("{addr:016x} {rest}\t[mod]\n")
        });
    let kallsyms = Kallsyms::parse(moved.collect::<String>().into_bytes()).unwrap();
    let symbolizer = Symbolizer::new(Arc::new(kallsyms), Level::Inlines, None);
    let kernel = KernelIdentity {
        release: "6.12".to_owned(),
        build_id: None,
    };
    symbolizer.set_modules(ModuleLines::new(root.to_owned(), Vec::new(), kernel));
    symbolizer
}

#[test]
fn a_module_has_the_lines_of_its_file_where_it_was_loaded() {
    let by = 0x4000_0000;
    let id = build_id_of("relocatable");
    let root = loaded_module(&id, 0xffff_ffff_8100_0000 + by);
    let symbolizer = module_symbolizer(root.path(), by);
    check_all(&symbolizer, "dwarf5", by, "relocatable");
    assert_eq!(symbolizer.take_module_problems(), Vec::<String>::new());
}

#[test]
fn a_compressed_module_has_the_lines_of_its_file() {
    let by = 0x4000_0000;
    let root = loaded_module(&build_id_of("relocatable"), 0xffff_ffff_8100_0000 + by);
    let path = "usr/lib/debug/lib/modules/6.12/kernel/mm/mod.ko";
    let file = fs::read(root.path().join(path)).unwrap();
    fs::remove_file(root.path().join(path)).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&file).unwrap();
    let directory = root.path().join("lib/modules/6.12/kernel/mm");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("mod.ko.gz"), packed.finish().unwrap()).unwrap();
    let symbolizer = module_symbolizer(root.path(), by);
    check_all(&symbolizer, "dwarf5", by, "mod.ko.gz");
    assert_eq!(symbolizer.take_module_problems(), Vec::<String>::new());
}

#[test]
fn a_module_that_is_loaded_anew_has_its_lines_where_it_is_then() {
    let id = build_id_of("relocatable");
    let root = loaded_module(&id, 0xffff_ffff_9100_0000);
    let symbolizer = module_symbolizer(root.path(), 0x1000_0000);
    let plain = Addr(0xffff_ffff_9100_0030);
    assert!(symbolizer.frame(Ip::exact(plain)).source.is_some());
    let again = loaded_module(&id, 0xffff_ffff_9200_0000);
    let section = "sys/module/mod/sections/.text";
    fs::copy(again.path().join(section), root.path().join(section)).unwrap();
    let kallsyms = b"ffffffff92000030 t plain\t[mod]\nffffffff92000050 t die\t[mod]\n";
    symbolizer.replace_kallsyms(Arc::new(Kallsyms::parse(kallsyms.to_vec()).unwrap()));
    let frame = symbolizer.frame(Ip::exact(Addr(0xffff_ffff_9200_0039)));
    assert_eq!(line_text(frame.source.as_ref()), "kernel/main.c:18");
}

#[test]
fn the_file_of_another_build_of_a_module_is_not_used() {
    let root = loaded_module(&[7; 20], 0xffff_ffff_8100_0000);
    let symbolizer = module_symbolizer(root.path(), 0);
    let frame = symbolizer.frame(Ip::exact(Addr(0xffff_ffff_8100_0039)));
    assert_eq!((frame.source.is_none(), frame.inlined.len()), (true, 0));
    assert_eq!(symbolizer.unresolved().outside_image, 1);
    let problems = symbolizer.take_module_problems();
    assert!(problems[0].contains("build id"), "{problems:?}");
    assert_eq!(symbolizer.take_module_problems(), Vec::<String>::new());
}

fn build_id_of(image: &str) -> Vec<u8> {
    let bytes = fs::read(data(image)).unwrap();
    let elf = object::File::parse(&bytes[..]).unwrap();
    elf.build_id().unwrap().unwrap().to_vec()
}

#[test]
fn b11_a_return_address_shows_the_line_of_the_call() {
    let kallsyms = kallsyms("dwarf5");
    let symbolizer = symbolizer(&data("dwarf5"), &kallsyms, Level::Inlines);
    let check = |function: &str, offset: u64, expected: &str| {
        let start = kallsyms.named(function).next().unwrap().addr.0;
        let frame = symbolizer.frame(Ip::return_to(Addr(start + offset)));
        let symbol = frame.symbol.as_ref().unwrap();
        assert_eq!((&*symbol.name, symbol.offset), (function, offset));
        assert_eq!(line_text(frame.source.as_ref()), expected);
    };
    // The first of two statements; the address itself belongs to the second.
    check("plain", 0x9, "kernel/main.c:17");
    let plain = kallsyms.named("plain").next().unwrap().addr.0;
    let exact = symbolizer.frame(Ip::exact(Addr(plain + 0x9)));
    assert_eq!(line_text(exact.source.as_ref()), "kernel/main.c:18");
    // A call that is the last instruction; padding follows.
    check("doomed", 0x11, "kernel/main.c:33");
}

#[test]
fn a_return_address_at_the_very_start_of_a_function_belongs_to_the_one_before() {
    let kallsyms = kallsyms("dwarf5");
    let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Names, None);
    let behind = kallsyms.named("behind").next().unwrap();
    let frame = symbolizer.frame(Ip::return_to(behind.addr));
    assert_eq!(&*frame.symbol.as_ref().unwrap().name, "doomed");
    let frame = symbolizer.frame(Ip::exact(behind.addr));
    assert_eq!(&*frame.symbol.as_ref().unwrap().name, "behind");
}

#[test]
fn a_level_tells_no_more_than_was_asked_for() {
    let kallsyms = kallsyms("dwarf5");
    let alloc = kallsyms.named("alloc").next().unwrap();
    let at = |level| {
        let symbolizer = symbolizer(&data("dwarf5"), &kallsyms, level);
        (0..alloc.size)
            .map(|offset| symbolizer.frame(Ip::exact(Addr(alloc.addr.0 + offset))))
            .max_by_key(|frame| (frame.inlined.len(), frame.source.is_some()))
            .unwrap()
    };
    assert_eq!(
        (
            at(Level::Names).source.is_some(),
            at(Level::Names).inlined.len()
        ),
        (false, 0)
    );
    assert_eq!(
        (
            at(Level::Lines).source.is_some(),
            at(Level::Lines).inlined.len()
        ),
        (true, 0)
    );
    assert!(at(Level::Inlines).inlined.len() > 1);
}

#[test]
fn b24_symbols_that_come_later_are_seen_after_a_reread() {
    let before = "ffffffff81000000 T _stext\nffffffff81000000 T a\nffffffff81000100 T _etext\n";
    let after = format!("{before}ffffffffc0000000 t late\t[module]\n");
    let parse = |text: &str| Arc::new(Kallsyms::parse(text.as_bytes().to_vec()).unwrap());
    let symbolizer = Symbolizer::new(parse(before), Level::Names, None);
    let addr = Addr(0xffff_ffff_c000_0010);
    assert_eq!(symbolizer.frame(Ip::return_to(addr)).symbol, None);
    assert_eq!(symbolizer.unresolved().no_symbol, 1);
    symbolizer.replace_kallsyms(parse(&after));
    let frame = symbolizer.frame(Ip::return_to(addr));
    assert_eq!(
        frame.symbol.as_ref().unwrap().module.as_deref(),
        Some("module")
    );
}

#[test]
fn images_that_cannot_be_used_say_why() {
    let kallsyms = kallsyms("dwarf5");
    let open = |path: PathBuf, kallsyms: &Kallsyms| {
        Symbolizer::prepare(path, kallsyms, LineOptions::default())
            .unwrap()
            .join()
            .unwrap_err()
    };
    assert!(matches!(
        open(data("no-such-file"), &kallsyms),
        OpenError::Unreadable(..)
    ));
    assert!(matches!(
        open(data(""), &kallsyms),
        OpenError::Unreadable(..)
    ));
    assert!(matches!(
        open(data("make"), &kallsyms),
        OpenError::NotElf(_)
    ));
    assert!(matches!(
        open(data("no-dwarf"), &kallsyms),
        OpenError::NoDwarf(_)
    ));
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("32-bit");
    let mut bytes = fs::read(data("dwarf5")).unwrap();
    bytes[4] = 1;
    fs::write(&small, bytes).unwrap();
    assert!(matches!(open(small, &kallsyms), OpenError::NotElf(_)));
    let other = Kallsyms::parse(b"ffffffff81000000 T only\n".to_vec()).unwrap();
    assert!(matches!(
        open(data("dwarf5"), &other),
        OpenError::NoAnchor(_)
    ));
}

/// A small random number generator with the same sequence on every run.
fn random(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

#[test]
fn damaged_images_cost_lines_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged");
    let kallsyms = kallsyms("dwarf5");
    let mut seed = 11;
    for image in [
        "dwarf5",
        "dwarf4",
        "zlib",
        "zstd",
        "lto",
        "no-aranges",
        "relocatable",
    ] {
        let good = fs::read(data(image)).unwrap();
        for round in 0..60 {
            let mut bytes = good.clone();
            for _ in 0..=round % 8 {
                let at = random(&mut seed) % bytes.len();
                bytes[at] = random(&mut seed) as u8;
            }
            if round % 5 == 0 {
                bytes.truncate(random(&mut seed) % bytes.len());
            }
            fs::write(&path, &bytes).unwrap();
            let opened = if image == "relocatable" {
                let text = vec![(".text".to_owned(), 0xffff_ffff_8100_0000)];
                PendingLines::open_module(path.clone(), text, DEFAULT_LINE_MEMORY)
            } else {
                let options = LineOptions::default();
                Symbolizer::prepare(path.clone(), &kallsyms, options)
                    .unwrap()
                    .join()
            };
            let _ = PendingLines::open_alone(path.clone(), None, &LineOptions::default());
            let Ok(lines) = opened else { continue };
            let spec: GlobSpec = ":*.c".parse().unwrap();
            if let GlobKind::Source(path) = spec.kind() {
                let _ = lines.functions(path);
            }
            let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, Some(lines));
            for offset in (0..0xe0).step_by(3) {
                let _ = symbolizer.frame(Ip::return_to(Addr(0xffff_ffff_8100_0000 + offset)));
            }
        }
    }
}
