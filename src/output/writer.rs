// SPDX-License-Identifier: BSD-2-Clause
//! The thread that writes output. A pipe that nobody reads, a stopped terminal or a hung file
//! system blocks this thread only. The main thread can give up waiting for it, so signals and
//! `--duration` still end the run.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::rotating::Rotating;
use super::stop::StopFlag;

/// The interval of checks whether to give up.
const GIVE_UP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The destination that the thread writes to.
pub(crate) enum OutputTarget {
    /// A stream that we inherited.
    Stream(File),
    /// A file that is rotated.
    File(Rotating),
}

/// The writing thread and its channels.
pub(crate) struct Writer {
    /// `None` once output was given up. Everything written later is lost.
    thread: Option<Thread>,
}

struct Thread {
    jobs: Sender<Vec<u8>>,
    done: Receiver<(Vec<u8>, io::Result<()>)>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(mut target: OutputTarget, stop: &StopFlag) -> Result<Self> {
        let (jobs, to_do) = channel::<Vec<u8>>();
        let (finished, done) = channel();
        let stop = stop.clone();
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                while let Ok(mut bytes) = to_do.recv() {
                    let written = target.write(&bytes, &stop);
                    bytes.clear();
                    if finished.send((bytes, written)).is_err() {
                        return;
                    }
                }
            })
            .context("failed to start a thread")?;
        Ok(Self {
            thread: Some(Thread { jobs, done }),
        })
    }

    /// Writes `bytes` and waits until that is done or the wait is given up. Returns the empty
    /// buffer.
    pub(crate) fn write(&mut self, bytes: Vec<u8>, stop: &StopFlag) -> (Vec<u8>, io::Result<()>) {
        let given_up = || {
            let why = "nobody took what was written, and the run had to end";
            io::Error::new(ErrorKind::TimedOut, why)
        };
        let Some(thread) = &self.thread else {
            return (Vec::new(), Err(given_up()));
        };
        let waiting = stop.begin_waiting();
        if thread.jobs.send(bytes).is_ok() {
            loop {
                match thread.done.recv_timeout(GIVE_UP_CHECK_INTERVAL) {
                    Ok(done) => return done,
                    Err(RecvTimeoutError::Timeout) if !waiting.is_in_vain() => {}
                    Err(_) => break,
                }
            }
        }
        self.thread = None;
        (Vec::new(), Err(given_up()))
    }
}

impl OutputTarget {
    fn write(&mut self, bytes: &[u8], stop: &StopFlag) -> io::Result<()> {
        match self {
            Self::Stream(file) => write_all(file, bytes),
            Self::File(rotating) => {
                if stop.takes_reopening() {
                    rotating.reopen()?;
                }
                rotating.write(bytes)
            }
        }
    }
}

/// Writes all bytes. If another process made the stream non-blocking, waits until it is writable.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                poll(&mut ready, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, PipeReader, Read, pipe};
    use std::os::fd::OwnedFd;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{OutputTarget, Writer};
    use crate::output::stop::{Hangup, StopFlag};

    /// More bytes than a pipe holds.
    const MUCH: usize = 1 << 20;

    fn to_pipe(stop: &StopFlag) -> (PipeReader, Writer) {
        let (reader, writer) = pipe().unwrap();
        let target = OutputTarget::Stream(File::from(OwnedFd::from(writer)));
        (reader, Writer::start(target, stop).unwrap())
    }

    #[test]
    fn a_stalled_stdout_does_not_keep_a_run_from_ending() {
        let stop = StopFlag::of_test(Hangup::Ends);
        let (_reader, mut writer) = to_pipe(&stop);
        let asked = Instant::now();
        stop.raise();
        let (_, written) = writer.write(vec![b'x'; MUCH], &stop);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(asked.elapsed() < Duration::from_secs(1));
        // The summary does not wait again.
        let asked = Instant::now();
        assert!(writer.write(vec![b'x'], &stop).1.is_err());
        assert!(asked.elapsed() < Duration::from_millis(100));
    }

    #[test]
    fn a_stalled_stdout_does_not_outlast_duration() {
        let stop = StopFlag::of_test(Hangup::Ends);
        let (_reader, mut writer) = to_pipe(&stop);
        stop.until(Some(Duration::from_millis(10)));
        let (_, written) = writer.write(vec![b'x'; MUCH], &stop);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_slow_reader_gets_all_of_it_after_the_end_was_asked_for() {
        let stop = StopFlag::of_test(Hangup::Ends);
        let (mut reader, mut writer) = to_pipe(&stop);
        stop.raise();
        thread::scope(|scope| {
            let read = scope.spawn(move || {
                let mut all = vec![0; MUCH];
                reader.read_exact(&mut all).unwrap();
            });
            writer.write(vec![b'x'; MUCH], &stop).1.unwrap();
            read.join().unwrap();
        });
    }
}
