// SPDX-License-Identifier: BSD-2-Clause
//! Which packages `scripts/kernels` chooses, by a recorded answer of apt (`tests/data/apt`) and by
//! what may become of it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `available_packages` of the script printed on the day in its name.
const RECORDED: &str = include_str!("../data/apt/2026-11-28.txt");

fn recorded() -> Vec<&'static str> {
    RECORDED.lines().collect()
}

/// The recorded answer without the packages that `is_missing` tells.
fn without(is_missing: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let kept: Vec<_> = recorded()
        .into_iter()
        .filter(|line| !is_missing(line.split(' ').next().unwrap()))
        .collect();
    assert!(kept.len() < recorded().len(), "nothing is left out");
    kept
}

/// What the script prints: chosen releases with their packages, newest first, and remarks.
fn choose(kernel: &str, available: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kernels");
    let mut child = Command::new(script)
        .args(["--choose", kernel])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(available.join("\n").as_bytes()).unwrap();
    stdin.write_all(b"\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_kernel_of_the_matrix_can_be_chosen() {
    for (kernel, first) in [
        (
            "5.10",
            "5.10.0-32-cloud-amd64 linux-image-5.10.0-32-cloud-amd64 \
             linux-image-5.10.0-32-cloud-amd64-dbg",
        ),
        (
            "6.12",
            "6.12.117+deb13-cloud-amd64 linux-image-6.12.117+deb13-cloud-amd64 \
             linux-image-6.12.117+deb13-cloud-amd64-dbg",
        ),
        (
            "newest",
            "7.3.4+deb13-cloud-amd64 linux-binary-7.3.4+deb13-cloud-amd64 \
             linux-modules-7.3.4+deb13-cloud-amd64 linux-base-7.3.4+deb13-cloud-amd64 \
             linux-image-7.3.4+deb13-cloud-amd64-dbg",
        ),
    ] {
        assert_eq!(choose(kernel, &recorded())[0], first);
    }
}

/// `linux-image-6.1.0-57-cloud-amd64` was named by others and could not be downloaded.
#[test]
fn a_release_without_signed_image_takes_the_unsigned_one() {
    let chosen = choose("6.1", &recorded());
    assert_eq!(
        chosen[..2],
        [
            "# 6.1.0-57-cloud-amd64: no signed image of version 6.1.192-3; the unsigned one has \
             the same code",
            "6.1.0-57-cloud-amd64 linux-image-6.1.0-57-cloud-amd64-unsigned \
             linux-image-6.1.0-57-cloud-amd64-dbg",
        ]
    );
}

#[test]
fn a_release_without_debug_package_is_passed_over() {
    let available = without(|name| name == "linux-image-6.1.0-57-cloud-amd64-dbg");
    assert_eq!(
        choose("6.1", &available)[0],
        "6.1.0-56-cloud-amd64 linux-image-6.1.0-56-cloud-amd64 \
         linux-image-6.1.0-56-cloud-amd64-dbg"
    );
}

#[test]
fn a_release_without_any_image_is_passed_over_and_said() {
    let available = without(|name| name == "linux-image-6.1.0-57-cloud-amd64-unsigned");
    let chosen = choose("6.1", &available);
    assert_eq!(
        chosen[0],
        "# 6.1.0-57-cloud-amd64: neither a signed nor an unsigned image of version 6.1.192-3"
    );
    assert!(chosen[1].starts_with("6.1.0-56-cloud-amd64 "), "{chosen:?}");
}

/// The parts of a release come one after the other.
#[test]
fn an_archive_in_the_middle_of_an_upload_gives_the_release_before() {
    let available = without(|name| name == "linux-modules-7.3.4+deb13-cloud-amd64");
    let chosen = choose("newest", &available);
    assert_eq!(
        chosen[0],
        "# 7.3.4+deb13-cloud-amd64: no linux-modules package of version 7.3.4-1~bpo13+1"
    );
    assert!(
        chosen[1].starts_with("7.2.13+deb14-cloud-amd64 "),
        "{chosen:?}"
    );
    // A debug package of a build that is newer than the image has other addresses.
    let mut available = without(|name| name == "linux-image-6.1.0-57-cloud-amd64-dbg");
    available.push("linux-image-6.1.0-57-cloud-amd64-dbg 6.1.192-4");
    let chosen = choose("6.1", &available);
    assert!(
        chosen[0].starts_with("# 6.1.0-57-cloud-amd64: "),
        "{chosen:?}"
    );
    assert!(chosen[1].starts_with("6.1.0-56-cloud-amd64 "), "{chosen:?}");
}

#[test]
fn split_packages_are_taken_together_signed_or_not() {
    let available = without(|name| name == "linux-binary-7.3.4+deb13-cloud-amd64");
    let chosen = choose("newest", &available);
    assert_eq!(
        chosen[1],
        "7.3.4+deb13-cloud-amd64 linux-binary-unsigned-7.3.4+deb13-cloud-amd64 \
         linux-modules-7.3.4+deb13-cloud-amd64 linux-base-7.3.4+deb13-cloud-amd64 \
         linux-image-7.3.4+deb13-cloud-amd64-dbg"
    );
}

#[test]
fn a_suite_that_is_gone_leaves_the_older_pocket() {
    let available = without(|name| name.contains("-7.3.") || name.contains("+deb13"));
    assert!(choose("newest", &available)[0].starts_with("7.2.13+deb14-cloud-amd64 "));
    assert!(choose("6.12", &available)[0].starts_with("6.12.117+deb12-cloud-amd64 "));
    assert!(choose("newest", &without(|name| !name.contains("-6.1."))).is_empty());
}
