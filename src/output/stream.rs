// SPDX-License-Identifier: BSD-2-Clause
//! Where sessions are written: stdout, stderr where stdout is the command's, or a file that is
//! begun anew when it is large or when SIGHUP says so.
//!
//! What is written is kept until it is flushed, after whole sessions: so none is torn between two
//! files.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;

use anyhow::{Context, Result};

use super::rotating::Rotating;
use super::stop::StopFlag;
use super::terminal::Stream;
use super::writer::{OutputTarget, Writer};
use crate::config::Config;
use crate::diag::Diag;

/// More would only take more memory: by then a write costs little of what its sessions do.
const AT_ONCE: u64 = 32;

/// Where sessions are written.
pub(crate) struct Output<'a> {
    writer: Writer,
    stream: Option<Stream>,
    name: String,
    takes_at_once: u64,
    /// Emptied and not given away: the next session has its room.
    pending: Vec<u8>,
    stop: &'a StopFlag,
    diag: &'a Diag,
}

impl<'a> Output<'a> {
    /// Opens it: a file that cannot be written is an error before anything is traced.
    pub(crate) fn open(config: &Config, stop: &'a StopFlag, diag: &'a Diag) -> Result<Self> {
        let stream = match (&config.output, &config.command) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Stream::Stderr),
            (None, None) => Some(Stream::Stdout),
        };
        let target = match &config.output {
            Some(options) => OutputTarget::File(Rotating::open(options, diag)?),
            None => {
                OutputTarget::Stream(of_stream(stream).context("failed to open stdout or stderr")?)
            }
        };
        let name = match (&config.output, stream) {
            (Some(options), _) => format!("`{}`", options.path.display()),
            (None, Some(Stream::Stderr)) => "stderr".to_owned(),
            (None, _) => "stdout".to_owned(),
        };
        let is_limited = config
            .output
            .as_ref()
            .is_some_and(|options| options.max_size.is_some());
        Ok(Self {
            writer: Writer::start(target, stop)?,
            stream,
            name,
            takes_at_once: if is_limited { 1 } else { AT_ONCE },
            pending: Vec::new(),
            stop,
            diag,
        })
    }

    /// In words.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many sessions may be flushed together: files that are begun anew by size take each
    /// alone.
    pub(crate) fn takes_at_once(&self) -> u64 {
        self.takes_at_once
    }

    /// What width and colour depend on; `None` for a file.
    pub(crate) fn stream(&self) -> Option<Stream> {
        self.stream
    }
}

/// A descriptor of its own, so that nobody waits for the lock of a stream that is stuck.
fn of_stream(stream: Option<Stream>) -> io::Result<File> {
    let fd = match stream {
        Some(Stream::Stderr) => io::stderr().as_fd().try_clone_to_owned(),
        _ => io::stdout().as_fd().try_clone_to_owned(),
    };
    fd.map(File::from)
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// What cannot be written is lost.
    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.stream == Some(Stream::Stderr) {
            self.diag.end_progress();
        }
        let (emptied, written) = self.writer.write(mem::take(&mut self.pending), self.stop);
        self.pending = emptied;
        written
    }
}
