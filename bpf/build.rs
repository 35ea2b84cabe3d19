// SPDX-License-Identifier: BSD-2-Clause
//! Compiles `retsnoop.bpf.c` to a skeleton in `OUT_DIR`. Cargo runs it again when a header changes.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "bpf/retsnoop.bpf.c";

fn main() {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    SkeletonBuilder::new()
        .source(SOURCE)
        .clang_args(clang_args(&arch))
        // Tests read the object file, to find the marked instructions.
        .obj(out_dir.join("retsnoop.bpf.o"))
        .build_and_generate(out_dir.join("retsnoop.skel.rs"))
        .expect(
            "failed to compile the BPF programs (is clang installed? scripts/setup installs it)",
        );
    // A test compiles the programs for other architectures.
    let headers = env::var("DEP_BPF_INCLUDE").expect("libbpf-sys says where its headers are");
    println!("cargo:rustc-env=RETSNOOP_LIBBPF_HEADERS={headers}");
    for input in inputs() {
        println!("cargo:rerun-if-changed={}", input.display());
    }
}

fn clang_args(arch: &str) -> Vec<OsString> {
    let target = if arch == "aarch64" { "arm64" } else { "x86" };
    [
        format!("-D__TARGET_ARCH_{target}"),
        format!("-Ivmlinux/{arch}"),
        "-Ibpf/include".to_owned(),
        // v3: 32-bit registers and jumps. The kernel accepts them since 5.1 (092ed0968bb6, "bpf:
        // verifier support JMP32").
        "-mcpu=v3".to_owned(),
        "-std=gnu11".to_owned(),
        "-Wall".to_owned(),
        "-Wextra".to_owned(),
        "-Werror".to_owned(),
        // All programs have a context parameter, and not all use it.
        "-Wno-unused-parameter".to_owned(),
    ]
    .into_iter()
    .map(OsString::from)
    .collect()
}

fn inputs() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from(SOURCE)];
    for dir in [
        "bpf/include",
        "vmlinux",
        "vmlinux/x86_64",
        "vmlinux/aarch64",
    ] {
        let entries = fs::read_dir(Path::new(dir)).expect("the headers are part of the source");
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files
}
