// SPDX-License-Identifier: BSD-2-Clause
//! Recorded runs of real kernels (scripts/record makes them), through every stage but the kernel:
//! decoding, sessions, symbols and lines, text and JSON. `UPDATE_GOLDEN=1` writes what is expected
//! anew, to be read before it is committed.

use std::path::{Path, PathBuf};
use std::{env, fs, str};

use retsnoop_rs::app::{Replayed, replay};
use retsnoop_rs::capture::Recording;
use retsnoop_rs::config::OutputFormat;

use crate::noise::Noise;

const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "newest"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn text_of(kernel: &str) -> Vec<u8> {
    let path = path(&format!("data/recordings/{kernel}.json"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn recording(kernel: &str) -> Recording {
    Recording::from_json(&text_of(kernel)).unwrap()
}

fn shown(recording: &Recording, format: OutputFormat) -> (Replayed, String) {
    let mut out = Vec::new();
    let replayed = replay(recording, format, &mut out).unwrap();
    (replayed, String::from_utf8(out).unwrap())
}

fn check_golden(name: &str, actual: &str) {
    let path = path(&format!("golden/replay/{name}"));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "`{}` differs (UPDATE_GOLDEN=1 writes it anew)\n--- expected\n{expected}--- actual\n{actual}",
        path.display()
    );
}

fn check(kernel: &str) {
    let recording = recording(kernel);
    let (replayed, text) = shown(&recording, OutputFormat::Text);
    assert_eq!(replayed.undecodable, 0);
    assert!(replayed.shown >= 3, "{replayed:?}");
    check_golden(&format!("{kernel}.txt"), &text);
    let (again, json) = shown(&recording, OutputFormat::Json);
    assert_eq!(again, replayed);
    check_golden(&format!("{kernel}.json"), &json);
}

#[test]
fn the_recording_of_5_10_shows_what_it_showed() {
    check("5.10");
}

#[test]
fn the_recording_of_6_1_shows_what_it_showed() {
    check("6.1");
}

#[test]
fn the_recording_of_6_12_shows_what_it_showed() {
    check("6.12");
}

#[test]
fn the_recording_of_the_newest_kernel_shows_what_it_showed() {
    check("newest");
}

#[test]
fn every_recording_names_the_culprits_that_the_table_of_simfail_has() {
    for kernel in KERNELS {
        let (_, text) = shown(&recording(kernel), OutputFormat::Text);
        // The first calls nobody; the second calls what is not traced here.
        let certain = "culprit (certain): array_map_alloc_check returned";
        assert!(text.contains(certain), "{kernel}: {text}");
        let doubtful = "culprit (probably): may_open returned";
        assert!(text.contains(doubtful), "{kernel}: {text}");
        assert!(text.contains("-a inode_permission)"), "{kernel}: {text}");
    }
}

#[test]
fn damaged_records_never_panic_and_are_counted_or_shown() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for kernel in KERNELS {
        let whole = recording(kernel);
        for _ in 0..500 {
            let mut damaged = whole.clone();
            for record in &mut damaged.records {
                damage(record, &mut noise);
            }
            let (text, _) = shown(&damaged, OutputFormat::Text);
            let (json, lines) = shown(&damaged, OutputFormat::Json);
            assert_eq!(text, json);
            assert_eq!(lines.lines().count() as u64, json.shown);
        }
    }
}

/// Cuts a record's hexadecimal text short, or changes some of its bytes.
fn damage(record: &mut String, noise: &mut Noise) {
    if noise.below(4) == 0 {
        let end = noise.below(record.len() / 2 + 1) * 2;
        record.truncate(end);
    }
    if record.is_empty() {
        return;
    }
    let mut digits = record.clone().into_bytes();
    for _ in 0..noise.below(6) {
        let at = noise.below(digits.len());
        digits[at] = b"0123456789abcdef"[noise.below(16)];
    }
    *record = str::from_utf8(&digits).unwrap().to_owned();
}

#[test]
fn damaged_recordings_are_errors_or_replay() {
    let mut noise = Noise(42);
    for kernel in KERNELS {
        let whole = text_of(kernel);
        for _ in 0..60 {
            let mut damaged = whole.clone();
            if noise.below(3) == 0 {
                damaged.truncate(noise.below(whole.len()));
            }
            for _ in 0..noise.below(4) {
                let at = noise.below(damaged.len().max(1));
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << noise.below(8);
                }
            }
            if let Ok(recording) = Recording::from_json(&damaged) {
                // An error is fine; a panic is not.
                let _ = replay(&recording, OutputFormat::Text, &mut Vec::new());
            }
        }
    }
}
