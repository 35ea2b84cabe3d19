// SPDX-License-Identifier: BSD-2-Clause
//! The acceptance set: `retsnoop-rs -- CMD` with no option tells why commands failed whose reason is
//! known beforehand. `scripts/why` prints the same as a table for any kernel.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::harness::{bare_program, kernel};
use crate::why::cases;
use crate::why::suite::run::{Place, load_modules};
use crate::why::suite::score::{Score, score_all, score_played};
use crate::why::suite::table::{Sum, render};

/// Cases of each area. A case takes half a minute of a guest, most of which attaches and detaches;
/// `scripts/why` runs all of them.
const SAMPLE: &[&str] = &[
    "mount-tmpfs-mode",
    "exec-noexec",
    "unshare-user-max",
    "cat-mode",
    "ip-route-gateway",
    "bpf-map-size",
];

// In percent of the cases that run on the kernel.
const RIGHT_SESSION_FIRST: f64 = 95.0;
const CULPRIT: f64 = 93.0;
const CERTAIN_BUT_WRONG: f64 = 2.0;

/// Where the answers go; they stay there when the guest has ended.
fn folder(name: &str) -> PathBuf {
    let out = env::var("RETSNOOP_VM_OUT").unwrap();
    Path::new(&out).join(name)
}

fn assert_good(kernel: &str, scores: &[Score]) {
    let table = render(kernel, scores);
    let sum = Sum::of(scores);
    assert_eq!(sum.n_trouble, 0, "{table}");
    assert!(sum.percent(sum.n_first) >= RIGHT_SESSION_FIRST, "{table}");
    assert!(sum.percent(sum.n_culprit) >= CULPRIT, "{table}");
    assert!(sum.percent(sum.n_wrong) <= CERTAIN_BUT_WRONG, "{table}");
}

#[test]
fn commands_that_fail_are_told_the_reason() {
    let kernel = kernel();
    let out = folder("why");
    let mut cases = cases(&kernel);
    cases.retain(|case| SAMPLE.contains(&case.id.as_str()));
    assert_eq!(cases.len(), SAMPLE.len());
    let place = Place::prepare(&kernel, &out).unwrap();
    place.run_all(&cases).unwrap();
    assert_good(&kernel, &score_all(&cases, &out).unwrap());
}

/// Of so many cases one is played here; `scripts/why --play` plays all.
const ONE_OF: usize = 6;

/// One run traces the commands of many cases, so each takes two or three seconds. Which failure comes
/// first is not asked here: there is one verdict about all.
#[test]
fn culprits_of_many_cases_in_one_run_are_right() {
    let kernel = kernel();
    let out = folder("played");
    fs::create_dir_all(&out).unwrap();
    load_modules().unwrap();
    let cases = cases(&kernel);
    let player = env::var("WHY_BIN").unwrap();
    let mut arguments = vec!["--json", "--", &player, "play", out.to_str().unwrap()];
    let chosen = cases.iter().step_by(ONE_OF);
    arguments.extend(chosen.map(|case| case.id.as_str()));
    let ended = bare_program(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(out.join("answers")).unwrap())
        .status()
        .unwrap();
    assert!(ended.success(), "{ended}");
    assert_good(&kernel, &score_played(&cases, &out).unwrap());
}
