// SPDX-License-Identifier: BSD-2-Clause
//! Debug files that somebody made to harm, given to the program itself: whatever they claim, it
//! ends soon, within a fixed amount of memory.
//!
//! The limit is the kernel's (`RLIMIT_DATA`): beyond it an allocation fails, which aborts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::forge::{self, Packing};

/// Private memory in KiB: what no file may exceed.
const MOST_KIB: u32 = 96 << 10;

/// Unoptimized, on a busy machine. The worst files took minutes before there were limits.
const PATIENCE: Duration = Duration::from_secs(20);

/// As many addresses as have a unit of their own in the worst file.
const N_ADDRS: u64 = 200;

fn symbolize(image: &Path) -> (Output, Duration) {
    let addrs = (0..N_ADDRS).map(|index| format!("{:#x}", forge::TEXT + 16 * index + 1));
    let program = env!("CARGO_BIN_EXE_retsnoop-rs");
    let script = format!("ulimit -d {MOST_KIB}; exec \"$@\"");
    let began = Instant::now();
    let output = Command::new("sh")
        .args([
            "-c",
            &script,
            "sh",
            program,
            "symbolize",
            "--no-cache",
            "-k",
        ])
        .arg(image)
        .args(addrs)
        .output()
        .unwrap();
    (output, began.elapsed())
}

/// Gives the program a file; what it said.
fn survives(what: &str, file: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, file).unwrap();
    let (output, took) = symbolize(&image);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{what}: {code:?}, {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(took < PATIENCE, "{what} took {took:?}");
    said
}

#[test]
fn note_sections_that_overlap_are_not_copied_into_memory() {
    let file = forge::overlapping_notes(400, 1_000_000);
    assert!(file.len() < 2_000_000);
    survives("overlapping notes", &file);
}

#[test]
fn a_line_header_with_millions_of_files_takes_little_memory() {
    for packing in [Packing::Plain, Packing::Zlib, Packing::Zstd] {
        let what = format!("{packing:?}");
        survives(&what, &forge::files_without_bytes(4_000_000, packing));
        survives(&what, &forge::files_of_one_byte(4_000_000, packing));
        survives(&what, &forge::rows_of_one_byte(8_000_000, packing));
    }
}

#[test]
fn entries_that_name_the_same_long_list_of_ranges_end_soon() {
    for packing in [Packing::Plain, Packing::Zlib] {
        let what = format!("{packing:?}");
        survives(&what, &forge::functions_with_long_ranges(200_000, packing));
        survives(&what, &forge::entries_of_two_bytes(2_000_000, packing));
    }
}

#[test]
fn units_that_share_a_long_table_of_abbreviations_end_soon() {
    for packing in [Packing::Plain, Packing::Zlib] {
        let file = forge::units_with_long_abbreviations(100_000, 20_000, packing);
        survives(&format!("{packing:?}"), &file);
    }
}

#[test]
fn units_that_overlap_are_not_read_once_for_each_address() {
    let file = forge::overlapping_units(N_ADDRS as u16, 16_000_000, Packing::Zlib);
    assert!(file.len() < 200_000, "{}", file.len());
    let said = survives("overlapping units", &file);
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn symbols_that_share_a_long_name_are_not_copied_for_each() {
    // The longest name that is one, and one that is not.
    for length in [3900, 4_000_000] {
        let file = forge::symbols_with_one_end(160_000, length);
        survives(&format!("a name of {length} bytes"), &file);
    }
}
