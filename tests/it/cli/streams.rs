// SPDX-License-Identifier: BSD-2-Clause
//! What becomes of output that nobody takes.

use std::fs::OpenOptions;
use std::io;
use std::process::Stdio;

use super::program::{Stage, output};

const PRINTING: [&[&str]; 4] = [
    &["--help"],
    &["-V"],
    &["-c", "help"],
    &["--generate", "man"],
];

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let stage = Stage::new();
    for arguments in PRINTING {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = stage.command(arguments);
        let output = output(command.stdout(writer).stderr(Stdio::piped()));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let stage = Stage::new();
    for arguments in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = stage.command(arguments);
        let output = output(command.stdout(full).stderr(Stdio::piped()));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "retsnoop-rs: error: failed to write to stdout: No space left on device (os error 28)\n",
            "{arguments:?}"
        );
    }
}
