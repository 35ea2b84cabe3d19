// SPDX-License-Identifier: BSD-2-Clause
//! The destination of sessions: stdout, stderr if stdout belongs to the command, or a file that is
//! rotated by size or reopened after SIGHUP.
//!
//! Output is buffered until it is flushed after whole sessions, so that no session is split between
//! two files.

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

/// Maximum number of sessions per flush. More would only take more memory: the cost of a write is
/// small compared with that of its sessions by then.
const MAX_SESSIONS_PER_FLUSH: u64 = 32;

/// The destination of sessions, with its buffer.
pub(crate) struct SessionOutput<'a> {
    writer: Writer,
    stream: Option<Stream>,
    name: String,
    takes_at_once: u64,
    /// The buffer. It is reused after a flush.
    pending: Vec<u8>,
    stop: &'a StopFlag,
    diag: &'a Diag,
}

impl<'a> SessionOutput<'a> {
    /// Opens the destination. A file that cannot be written is an error before anything is traced.
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
            takes_at_once: if is_limited {
                1
            } else {
                MAX_SESSIONS_PER_FLUSH
            },
            pending: Vec::new(),
            stop,
            diag,
        })
    }

    /// Returns the name for messages: `stdout`, `stderr` or the quoted path.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many sessions may be flushed together: one if files are rotated by size.
    pub(crate) fn takes_at_once(&self) -> u64 {
        self.takes_at_once
    }

    /// Returns the stream that width and color depend on; `None` for a file.
    pub(crate) fn stream(&self) -> Option<Stream> {
        self.stream
    }
}

/// Duplicates the descriptor, so that we do not wait for the lock of a stream that blocks.
fn of_stream(stream: Option<Stream>) -> io::Result<File> {
    let fd = match stream {
        Some(Stream::Stderr) => io::stderr().as_fd().try_clone_to_owned(),
        _ => io::stdout().as_fd().try_clone_to_owned(),
    };
    fd.map(File::from)
}

impl Write for SessionOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Bytes that cannot be written are lost.
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
