// SPDX-License-Identifier: BSD-2-Clause
//! Damages the numbers of debug sections. Whatever an image contains, answers must come soon, must
//! take little memory, and nothing may panic: panics are not caught here.
//!
//! As a test it takes a few seconds. `RETSNOOP_FUZZ_SECONDS=600 cargo test --release --lib hostile`
//! runs longer, with another seed each time. The seed is printed when a failure is found.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use object::{Object, ObjectSection};

use super::{data, kallsyms, random};
use crate::forge;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, GlobKind, GlobSpec, Ip};
use crate::symbolize::{Level, LineOptions, LineSource, PendingLines, Symbolizer};

/// Maximum time of one answer about an image of six kilobytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Minimum number of attempts, however slow the machine is.
const AT_LEAST: u32 = 50;

/// Maximum memory, including that of tests that run in parallel. This test alone takes some 6 MiB.
/// The limit for a single file is tested in `tests/it/hostile.rs`.
const MEMORY_KIB: u64 = 256 << 10;

/// Byte values that malformed files contain.
const NUMBERS: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xf0, 0xfe, 0xff, 0x55];

fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// The byte ranges of the debug sections in a file.
fn debug_sections(bytes: &[u8]) -> Vec<Range<usize>> {
    let file = object::File::parse(bytes).unwrap();
    let sections = file
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug")));
    let ranges = sections.filter_map(|section| section.file_range());
    ranges
        .map(|(start, length)| start as usize..(start + length) as usize)
        .filter(|range| !range.is_empty())
        .collect()
}

fn damage(bytes: &mut Vec<u8>, sections: &[Range<usize>], seed: &mut u64) {
    let section = sections[random(seed) % sections.len()].clone();
    let mut at = || section.start + random(seed) % section.len();
    match at() % 8 {
        0 => {
            let (start, length) = (at(), at() % 64);
            let end = (start + length).min(section.end);
            bytes[start..end].fill(0);
        }
        1 => {
            let (from, to) = (at(), at());
            let length = 16.min(section.end - from.max(to));
            bytes.copy_within(from..from + length, to);
        }
        2 => {
            let start = at();
            bytes.truncate(start);
        }
        _ => {
            for _ in 0..1 + at() % 3 {
                let number = NUMBERS[at() % NUMBERS.len()];
                let start = at();
                let end = (start + [1, 1, 1, 4, 8][at() % 5]).min(section.end);
                bytes[start..end].fill(number);
            }
        }
    }
}

fn ask_everything(lines: LineSource, kallsyms: &Arc<Kallsyms>) {
    for glob in [":*.c", ":include/*"] {
        let spec: GlobSpec = glob.parse().unwrap();
        if let GlobKind::Source(path) = spec.kind() {
            let _ = lines.functions(path);
        }
    }
    let symbolizer = Symbolizer::new(Arc::clone(kallsyms), Level::Inlines, Some(lines));
    for offset in 0..0xe0 {
        let _ = symbolizer.frame(Ip::exact(Addr(0xffff_ffff_8100_0000 + offset)));
    }
}

#[test]
fn whatever_an_image_says_answers_come_soon() {
    let seconds = env::var("RETSNOOP_FUZZ_SECONDS").map(|text| text.parse().unwrap());
    let (limit, mut seed) = match seconds {
        Ok(seconds) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            (Duration::from_secs(seconds), now.as_nanos() as u64)
        }
        Err(_) => (Duration::from_secs(3), 7),
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged");
    let names = [
        "dwarf5",
        "dwarf4",
        "lto",
        "no-aranges",
        "relocatable",
        "zlib",
        "zstd",
        "dwz",
    ];
    let images = names.map(|name| (name, fs::read(data(name)).unwrap()));
    let images: Vec<_> = images
        .into_iter()
        .chain(forge::small())
        .map(|(name, bytes)| {
            let sections = debug_sections(&bytes);
            (name, bytes, sections)
        })
        .filter(|(_, _, sections)| !sections.is_empty())
        .collect();
    let kallsyms = kallsyms("dwarf5");
    let (began, before) = (Instant::now(), anonymous_kib());
    let mut n_tried = 0;
    while began.elapsed() < limit || n_tried <= AT_LEAST {
        for (name, bytes, sections) in &images {
            let this = seed;
            let mut damaged = bytes.clone();
            damage(&mut damaged, sections, &mut seed);
            fs::write(&path, &damaged).unwrap();
            let start = Instant::now();
            let fed = catch_unwind(AssertUnwindSafe(|| {
                let opened = if *name == "relocatable" {
                    let text = vec![(".text".to_owned(), 0xffff_ffff_8100_0000)];
                    PendingLines::open_module(path.clone(), text, 1 << 20)
                } else {
                    let options = LineOptions::default();
                    let pending = PendingLines::open(path.clone(), &kallsyms, options);
                    pending.unwrap().join()
                };
                if let Ok(lines) = opened {
                    ask_everything(lines, &kallsyms);
                }
            }));
            assert!(fed.is_ok(), "{name}, seed {this}: a panic");
            assert!(start.elapsed() < PATIENCE, "{name}, seed {this}");
            let more = anonymous_kib().saturating_sub(before);
            assert!(more < MEMORY_KIB, "{name}, seed {this}: {more} KiB");
            n_tried += 1;
        }
    }
}

#[test]
fn an_image_that_is_replaced_is_read_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmlinux");
    fs::copy(data("dwarf5"), &path).unwrap();
    let kallsyms = kallsyms("dwarf5");
    let open = || {
        let pending = PendingLines::open(path.clone(), &kallsyms, LineOptions::default());
        pending.unwrap().join().unwrap()
    };
    let addrs: Vec<Addr> = (0..0xe0)
        .map(|at| Addr(0xffff_ffff_8100_0000 + at))
        .collect();
    let expected = open().answers(&addrs);
    let lines = open();
    let other = directory.path().join("other");
    fs::write(&other, b"another kernel").unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(lines.answers(&addrs), expected);
}
