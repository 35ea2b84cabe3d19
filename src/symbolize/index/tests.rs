// SPDX-License-Identifier: BSD-2-Clause
//! Answers with an index equal those without. A damaged, foreign or old index is not used.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use twox_hash::XxHash64;

use super::{Built, HEADER_SIZE, IndexHeader, IndexPart, UNIT_ENTRY_SIZE, build_index, range};
use crate::cache::Cache;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, GlobKind, GlobSpec};
use crate::symbolize::{LineAnswer, LineOptions, LineSource, Missing, PendingLines};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/image")
        .join(name)
}

fn kallsyms(image: &str) -> Kallsyms {
    let name = match image {
        "dwarf4" | "lto" => image,
        _ => "dwarf5",
    };
    Kallsyms::parse(fs::read(data(&format!("{name}.kallsyms"))).unwrap()).unwrap()
}

fn open(image: &str, cache: Option<&Cache>) -> LineSource {
    let options = LineOptions {
        cache: cache.cloned(),
        ..LineOptions::default()
    };
    PendingLines::open(data(image), &kallsyms(image), options)
        .unwrap()
        .join()
        .unwrap()
}

fn build(image: &str, cache: &Cache) -> Option<Built> {
    build_index(&open(image, Some(cache)), cache, &AtomicBool::new(false)).unwrap()
}

/// Everything that an image says about its code.
fn all(lines: &LineSource) -> (Vec<Result<LineAnswer, Missing>>, Vec<Vec<u64>>) {
    let addrs: Vec<Addr> = (0..0x400)
        .map(|at| Addr(0xffff_ffff_8100_0000 + at))
        .collect();
    let functions = [":*", ":kernel/*.c", ":include/*.h", ":mm/alloc.c"].map(|glob| {
        let spec: GlobSpec = glob.parse().unwrap();
        let GlobKind::Source(path) = spec.kind() else {
            panic!("{glob}")
        };
        let found = lines.functions(path);
        let counts = [found.n_inlined as u64, found.n_damaged as u64];
        found.addrs.into_iter().chain(counts).collect()
    });
    (lines.answers(&addrs), functions.to_vec())
}

fn cache() -> (TempDir, Cache) {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::open(base.path()).unwrap();
    (base, cache)
}

/// The only file of a cache.
fn file(base: &TempDir) -> PathBuf {
    let mut files = fs::read_dir(base.path().join("retsnoop-rs")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[test]
fn answers_with_an_index_are_those_without() {
    for image in ["dwarf5", "dwarf4", "zlib", "zstd", "no-aranges", "lto"] {
        let (_base, cache) = cache();
        let built = build(image, &cache).unwrap();
        assert_eq!(built.n_damaged, 0, "{image}");
        assert!(built.n_units > 1, "{image}");
        let with = open(image, Some(&cache));
        assert!(with.has_index(), "{image}");
        let without = open(image, None);
        assert!(!without.has_index());
        assert_eq!(all(&with), all(&without), "{image}");
        assert_eq!(build(image, &cache), None, "there is one already");
    }
}

#[test]
fn an_index_of_another_image_is_not_used() {
    let (base, cache) = cache();
    build("dwarf5", &cache).unwrap();
    let written = file(&base);
    build("dwarf4", &cache).unwrap();
    let directory = base.path().join("retsnoop-rs");
    let other = fs::read_dir(directory).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        (path != written).then_some(path)
    });
    fs::rename(other.unwrap(), &written).unwrap();
    assert!(!open("dwarf5", Some(&cache)).has_index());
    assert!(build("dwarf5", &cache).is_some());
    assert!(open("dwarf5", Some(&cache)).has_index());
}

#[test]
fn nothing_is_kept_of_an_index_that_was_given_up() {
    let (base, cache) = cache();
    let lines = open("dwarf5", Some(&cache));
    let built = build_index(&lines, &cache, &AtomicBool::new(true)).unwrap();
    assert_eq!(built, None);
    let mut left = fs::read_dir(base.path().join("retsnoop-rs")).unwrap();
    assert!(left.next().is_none());
}

/// Tries every bit of a small index, and every length.
#[test]
fn a_damaged_index_never_changes_an_answer() {
    let (base, cache) = cache();
    build("dwarf5", &cache).unwrap();
    let path = file(&base);
    let whole = fs::read(&path).unwrap();
    let expected = all(&open("dwarf5", None));
    let n_believed = Cell::new(0);
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let lines = open("dwarf5", Some(&cache));
        n_believed.set(n_believed.get() + usize::from(lines.has_index()));
        assert_eq!(all(&lines), expected, "{what}");
    };
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        check(&damaged, &format!("a bit of byte {at}"));
    }
    for length in (0..whole.len()).step_by(97) {
        check(&whole[..length], &format!("{length} bytes"));
        let mut zeros = whole.clone();
        zeros[length..].fill(0);
        check(&zeros, &format!("zeros from {length}"));
    }
    // Damage in a table is detected only when the table is used.
    assert!(n_believed.get() > 0);
    check(&[0; HEADER_SIZE], "zeros");
    check(&[], "nothing");
}

/// Corrects the checksums, whatever the rest contains.
fn seal(bytes: &mut [u8]) {
    let mut header = IndexHeader::read(bytes).unwrap();
    let units = &header.parts[IndexPart::Units as usize];
    let units = range(units.start, units.length).unwrap();
    for at in units.step_by(UNIT_ENTRY_SIZE) {
        let number = |field: usize| {
            let start = at + 8 * field;
            u64::from_le_bytes(bytes[start..start + 8].try_into().unwrap())
        };
        let table = range(number(1), number(2)).and_then(|table| bytes.get(table));
        if let Some(sum) = table.map(|table| XxHash64::oneshot(0, table)) {
            bytes[at + 24..at + 32].copy_from_slice(&sum.to_le_bytes());
        }
    }
    for part in &mut header.parts {
        let place = range(part.start, part.length).unwrap();
        part.checksum = XxHash64::oneshot(0, &bytes[place]);
    }
    bytes[..HEADER_SIZE].copy_from_slice(&header.bytes());
}

/// Somebody who can write to our files can also write correct checksums.
#[test]
fn a_hostile_index_with_right_checksums_answers_soon() {
    let (base, cache) = cache();
    build("dwarf5", &cache).unwrap();
    let path = file(&base);
    let whole = fs::read(&path).unwrap();
    let mut same = whole.clone();
    seal(&mut same);
    assert_eq!(same, whole);
    let mut seed = 7_u64;
    let mut random = |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % end
    };
    let (began, mut n_believed) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        let mut hostile = whole.clone();
        for _ in 0..=random(3) {
            let at = HEADER_SIZE + random(whole.len() - HEADER_SIZE);
            let end = (at + [1, 1, 2, 4, 8][random(5)]).min(whole.len());
            hostile[at..end].fill([0, 1, 0x7f, 0x80, 0xff][random(5)]);
        }
        seal(&mut hostile);
        fs::write(&path, &hostile).unwrap();
        let start = Instant::now();
        let lines = open("dwarf5", Some(&cache));
        n_believed += usize::from(lines.has_index());
        let _ = all(&lines);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    assert!(n_believed > 20, "{n_believed} believed");
}

#[test]
fn instances_that_write_at_once_leave_a_whole_index() {
    let (base, cache) = cache();
    let cache = Arc::new(cache);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let lines = open("dwarf5", None);
                    let _ = build_index(&lines, &cache, &AtomicBool::new(false));
                    let lines = open("dwarf5", Some(&cache));
                    let _ = lines.answer(Addr(0xffff_ffff_8100_0030));
                }
            });
        }
    });
    assert!(open("dwarf5", Some(&cache)).has_index());
    assert!(file(&base).extension().is_some_and(|end| end == "index"));
}
