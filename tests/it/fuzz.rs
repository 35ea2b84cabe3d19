// SPDX-License-Identifier: BSD-2-Clause
//! The targets of the fuzzer with random damage, for a bounded time: everywhere in a file, not
//! only where its debug information is.
//!
//! In CI (`CI=true`) each is fed for a minute. `RETSNOOP_FUZZ_SECONDS=600 cargo test --test it fuzz`
//! looks as long as that. Both begin elsewhere each time, and tell where if something is found.
//!
//! The seeds that are forged are kept compressed in `tests/data/seeds`, for the fuzzer;
//! `UPDATE_GOLDEN=1` writes them anew.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs::File;
use std::io::{Read, Write};
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use retsnoop_rs::symbolize::{Caught, take_caught};

use self::targets::Target;
use crate::noise::Noise;
use crate::{forge, forge_user};

/// No answer about files of a few kilobytes takes as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many are tried, however slow the machine is.
const AT_LEAST: u32 = 50;

/// What numbers of hostile files are.
const NUMBERS: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xf0, 0xfe, 0xff, 0x55];

fn damage(noise: &mut Noise, bytes: &mut Vec<u8>) {
    for _ in 0..=noise.below(4) {
        let (at, length) = (noise.below(bytes.len()), 1 << noise.below(4));
        let end = (at + length).min(bytes.len());
        match noise.below(8) {
            0 => bytes.truncate(at),
            1 => {
                let from = noise.below(bytes.len().saturating_sub(length));
                let to = at.min(bytes.len().saturating_sub(length));
                if bytes.len() >= length {
                    bytes.copy_within(from..from + length, to);
                }
            }
            2 => bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte ^= 1 << (at % 8)),
            _ => bytes[at..end].fill(NUMBERS[noise.below(NUMBERS.len())]),
        }
    }
}

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image");
    fs::read(folder.join(name)).unwrap()
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/seeds");
    let entries = fs::read_dir(folder.join(target)).unwrap();
    let seeds = entries.map(|entry| {
        let path = entry.unwrap().path();
        let mut bytes = Vec::new();
        let file = File::open(&path).unwrap();
        GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        (name.to_owned(), bytes)
    });
    let mut seeds: Vec<_> = seeds.collect();
    seeds.sort();
    seeds
}

/// For how long each target is fed, and from where.
fn limit() -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let elsewhere = now.as_nanos() as u64 | 1;
    match env::var("RETSNOOP_FUZZ_SECONDS") {
        Ok(text) => (text.parse().unwrap(), elsewhere),
        Err(_) if env::var("CI").is_ok_and(|value| value == "true") => (60, elsewhere),
        Err(_) => (2, 0x9e37_79b9_7f4a_7c15),
    }
}

/// Feeds a target with damaged files.
fn feed(target: Target, files: &[(String, Vec<u8>)]) {
    let (limit, seed) = limit();
    // As they are, and damaged.
    for (name, whole) in files {
        let start = Instant::now();
        target(whole);
        assert!(start.elapsed() < PATIENCE, "{name}");
    }
    let (mut noise, began, mut n_fed) = (Noise(seed), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(limit) || n_fed <= AT_LEAST {
        for (name, whole) in files {
            let this = noise.0;
            let mut bytes = whole.clone();
            damage(&mut noise, &mut bytes);
            let start = Instant::now();
            let fed = catch_unwind(|| target(&bytes));
            assert!(fed.is_ok(), "{name} damaged from seed {this:#x}");
            // What the program catches in production is a fault of it all the same.
            let caught = take_caught();
            assert_eq!(
                caught,
                Caught::default(),
                "{name} damaged from seed {this:#x}"
            );
            assert!(
                start.elapsed() < PATIENCE,
                "{name} damaged from seed {this:#x}"
            );
            n_fed += 1;
        }
    }
}

#[test]
fn whatever_a_file_is_it_is_opened_or_refused() {
    let names = [
        "dwarf5",
        "dwarf4",
        "lto",
        "relocatable",
        "zlib",
        "zstd",
        "linked",
        "dwz",
    ];
    let files = names.map(|name| (name.to_owned(), data(name)));
    feed(targets::image, &[&files[..], &seeds("image")].concat());
}

#[test]
fn whatever_kallsyms_says_it_is_read() {
    let files = ["dwarf5.kallsyms", "lto.kallsyms"].map(|name| (name.to_owned(), data(name)));
    feed(targets::kallsyms, &files);
}

#[test]
fn whatever_a_record_is_it_is_decoded_or_refused() {
    // Any bytes: those of recordings are damaged in `replay`.
    let files = ["dwarf5", "dwarf5.kallsyms"].map(|name| (name.to_owned(), data(name)));
    feed(targets::records, &files);
}

#[test]
fn whatever_types_a_kernel_says_it_has_they_are_read_or_refused() {
    feed(targets::btf, &seeds("btf"));
}

#[test]
fn whatever_a_user_file_is_it_is_read_or_refused() {
    feed(targets::user, &seeds("user"));
}

#[test]
fn the_seeds_are_those_that_are_forged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/seeds");
    for (target, forged) in [
        ("image", forge::small()),
        ("btf", forge::btf()),
        ("user", forge_user::user()),
    ] {
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(folder.join(target)).unwrap();
            for (name, bytes) in &forged {
                let file = File::create(folder.join(target).join(format!("{name}.gz"))).unwrap();
                let mut encoder = GzEncoder::new(file, Compression::best());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap();
            }
        }
        let mut forged: Vec<_> = forged
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect();
        forged.sort();
        assert!(
            seeds(target) == forged,
            "{target}: run with UPDATE_GOLDEN=1"
        );
    }
}
