// SPDX-License-Identifier: BSD-2-Clause
//! Compiles programs whose symbols, types and probes are read.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles a program with these options of gcc, and returns its path.
pub(crate) fn compile(directory: &Path, text: &str, options: &[&str]) -> String {
    let source = directory.join("program.c");
    fs::write(&source, text).unwrap();
    let program = directory.join("program");
    let compiled = Command::new("gcc")
        .args(options)
        .arg("-o")
        .args([&program, &source])
        .status();
    assert!(compiled.unwrap().success(), "{options:?}");
    program.display().to_string()
}
