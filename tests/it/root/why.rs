// SPDX-License-Identifier: BSD-2-Clause
//! The acceptance set: `retsnoop-rs -- CMD` with no option tells why commands failed whose reason is
//! known beforehand. `scripts/why` prints the same as a table for any kernel.

use std::env;
use std::path::Path;

use super::harness::kernel;
use crate::why::cases;
use crate::why::suite::run::Place;
use crate::why::suite::score::score_all;
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

#[test]
fn commands_that_fail_are_told_the_reason() {
    let kernel = kernel();
    let out = env::var("RETSNOOP_VM_OUT").unwrap();
    let out = Path::new(&out).join("why");
    let mut cases = cases(&kernel);
    cases.retain(|case| SAMPLE.contains(&case.id.as_str()));
    assert_eq!(cases.len(), SAMPLE.len());
    let place = Place::prepare(&kernel, &out).unwrap();
    place.run_all(&cases).unwrap();
    let scores = score_all(&cases, &out).unwrap();
    let table = render(&kernel, &scores);
    let sum = Sum::of(&scores);
    assert_eq!(sum.n_trouble, 0, "{table}");
    assert!(sum.percent(sum.n_first) >= RIGHT_SESSION_FIRST, "{table}");
    assert!(sum.percent(sum.n_culprit) >= CULPRIT, "{table}");
    assert!(sum.percent(sum.n_wrong) <= CERTAIN_BUT_WRONG, "{table}");
}
