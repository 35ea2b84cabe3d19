// SPDX-License-Identifier: BSD-2-Clause
//! The targets of the fuzzer with random damage, for a bounded time: everywhere in a file, not
//! only where its debug information is.
//!
//! `RETSNOOP_FUZZ_SECONDS=600 cargo test --test it fuzz` looks longer, from another seed each
//! time, which is told where something is found.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use self::targets::Target;
use crate::noise::Noise;

/// No answer about files of a few kilobytes takes as long.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Feeds a target with damaged files.
fn feed(target: Target, files: &[&str]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (limit, seed) = match env::var("RETSNOOP_FUZZ_SECONDS") {
        Ok(text) => (text.parse().unwrap(), now.as_nanos() as u64 | 1),
        Err(_) => (2, 0x9e37_79b9_7f4a_7c15),
    };
    let whole: Vec<Vec<u8>> = files.iter().map(|name| data(name)).collect();
    let (mut noise, began, mut n_fed) = (Noise(seed), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(limit) {
        for (name, whole) in files.iter().zip(&whole) {
            let this = noise.0;
            let mut bytes = whole.clone();
            damage(&mut noise, &mut bytes);
            let start = Instant::now();
            let fed = catch_unwind(|| target(&bytes));
            assert!(fed.is_ok(), "{name} damaged from seed {this:#x}");
            assert!(
                start.elapsed() < PATIENCE,
                "{name} damaged from seed {this:#x}"
            );
            n_fed += 1;
        }
    }
    assert!(n_fed > 50, "{n_fed} files fed");
}

#[test]
fn whatever_a_file_is_it_is_opened_or_refused() {
    let files = [
        "dwarf5",
        "dwarf4",
        "lto",
        "relocatable",
        "zlib",
        "zstd",
        "linked",
        "dwz",
    ];
    feed(targets::image, &files);
}

#[test]
fn whatever_kallsyms_says_it_is_read() {
    feed(targets::kallsyms, &["dwarf5.kallsyms", "lto.kallsyms"]);
}

#[test]
fn whatever_a_record_is_it_is_decoded_or_refused() {
    // Any bytes: those of recordings are damaged in `replay`.
    feed(targets::records, &["dwarf5", "dwarf5.kallsyms"]);
}
