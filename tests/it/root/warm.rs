// SPDX-License-Identifier: BSD-2-Clause
//! What is kept for the next run changes its start, not what it shows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::harness::{Trace, program};

const ARGUMENTS: [&str; 7] = [
    "-e",
    "*_sys_bpf",
    "-a",
    "array_map_alloc*",
    "-sn",
    "-n",
    "simfail",
];

/// The chain and culprit that a run with this cache directory shows.
fn shown(cache: &Path, more: &[&str]) -> (Vec<String>, String) {
    let mut command = program(&ARGUMENTS);
    command
        .args(more)
        .arg("--json")
        .env("XDG_CACHE_HOME", cache);
    let trace = Trace::spawn(command).ready();
    trace.simfail(&["bpf-map-value-size"]);
    let report = trace.finish();
    let session = report.only("simfail");
    let chain = session.chain().into_iter().map(str::to_owned).collect();
    (chain, session.culprit().to_owned())
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(cache.join("retsnoop-rs"));
    found.map_or(Vec::new(), |found| {
        found.map(|entry| entry.unwrap().path()).collect()
    })
}

#[test]
fn a_remembered_selection_shows_the_same() {
    let cache = tempfile::tempdir().unwrap();
    let first = shown(cache.path(), &[]);
    assert_eq!(first.1, "array_map_alloc_check");
    let [entry] = &entries(cache.path())[..] else {
        panic!("{:?}", entries(cache.path()));
    };
    let written = fs::metadata(entry).unwrap().ino();
    assert_eq!(shown(cache.path(), &[]), first);
    assert_eq!(fs::metadata(entry).unwrap().ino(), written, "made anew");
    // Other globs are another selection.
    assert_eq!(shown(cache.path(), &["-d", "nobody_is_called_so"]), first);
    assert_eq!(fs::metadata(entry).unwrap().ino(), written);

    fs::write(entry, b"nonsense").unwrap();
    assert_eq!(shown(cache.path(), &[]), first);
    assert_ne!(fs::metadata(entry).unwrap().len(), 8, "not made anew");
}

#[test]
fn nothing_is_kept_where_nothing_shall_be() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(
        shown(cache.path(), &["--no-cache"]).1,
        "array_map_alloc_check"
    );
    assert!(entries(cache.path()).is_empty());
    // A directory that is none, and one that cannot be written.
    let file = cache.path().join("file");
    fs::write(&file, b"").unwrap();
    assert_eq!(shown(&file, &[]).1, "array_map_alloc_check");
    assert_eq!(shown(Path::new("/proc"), &[]).1, "array_map_alloc_check");
}
