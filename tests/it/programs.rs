// SPDX-License-Identifier: BSD-2-Clause
//! The BPF programs compile for every architecture that has a file of its own, also where nothing
//! of it is run yet.

use std::process::Command;

/// Compiles the programs as `bpf/build.rs` does; returns what clang says.
fn compile(target: &str, folder: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let compiled = Command::new("clang")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-std=gnu11"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"])
        .arg(format!("-D__TARGET_ARCH_{target}"))
        .arg(format!("-Ivmlinux/{folder}"))
        .arg("-Ibpf/include")
        .arg(concat!("-I", env!("RETSNOOP_LIBBPF_HEADERS")))
        .args(["-c", "bpf/retsnoop.bpf.c", "-o"])
        .arg(directory.path().join("programs.o"))
        .output()
        .unwrap();
    if compiled.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&compiled.stderr).into_owned())
    }
}

#[test]
fn the_programs_compile_for_x86_64_and_arm64() {
    assert_eq!(compile("x86", "x86_64"), Ok(()));
    assert_eq!(compile("arm64", "aarch64"), Ok(()));
}

#[test]
fn another_architecture_is_refused_with_what_to_add() {
    let said = compile("riscv", "x86_64").unwrap_err();
    assert!(said.contains("add bpf/include/arch_<name>.bpf.h"), "{said}");
}
