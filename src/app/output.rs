// SPDX-License-Identifier: BSD-2-Clause
//! Where sessions are written: stdout, stderr where stdout is the command's, or a file that is
//! begun anew when it is large or when SIGHUP says so.
//!
//! What is written is kept until it is flushed, after whole sessions: so none is torn between two
//! files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::failure::Failure;
use super::stop::StopFlag;
use super::terminal::Stream;
use crate::config::{Config, OutputFile};
use crate::diag::Diag;

/// More would only take more memory: by then a write costs little of what its sessions do.
const AT_ONCE: u64 = 32;

/// Where sessions are written.
pub(super) struct Output<'a> {
    target: Target,
    /// Emptied and not given away: the next session has its room.
    pending: Vec<u8>,
    stop: &'a StopFlag,
    diag: &'a Diag,
}

enum Target {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(Rotating),
}

/// A file that is begun anew when it is large.
struct Rotating {
    options: OutputFile,
    file: File,
    written: u64,
}

impl<'a> Output<'a> {
    /// Opens it: a file that cannot be written is an error before anything is traced.
    pub(super) fn open(config: &Config, stop: &'a StopFlag, diag: &'a Diag) -> Result<Self> {
        let target = match &config.output {
            Some(options) => Target::File(Rotating::open(options)?),
            None if config.command.is_some() => Target::Stderr(io::stderr()),
            None => Target::Stdout(io::stdout()),
        };
        Ok(Self {
            target,
            pending: Vec::new(),
            stop,
            diag,
        })
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        match &self.target {
            Target::Stdout(_) => "stdout".to_owned(),
            Target::Stderr(_) => "stderr".to_owned(),
            Target::File(rotating) => format!("`{}`", rotating.options.path.display()),
        }
    }

    /// How many sessions may be flushed together: files that are begun anew by size take each
    /// alone.
    pub(super) fn takes_at_once(&self) -> u64 {
        match &self.target {
            Target::File(rotating) if rotating.options.max_size.is_some() => 1,
            _ => AT_ONCE,
        }
    }

    /// What width and colour depend on; `None` for a file.
    pub(super) fn stream(&self) -> Option<Stream> {
        match &self.target {
            Target::Stdout(_) => Some(Stream::Stdout),
            Target::Stderr(_) => Some(Stream::Stderr),
            Target::File(_) => None,
        }
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// What cannot be written is lost.
    fn flush(&mut self) -> io::Result<()> {
        let written = self.write_pending();
        self.pending.clear();
        written
    }
}

impl Output<'_> {
    fn write_pending(&mut self) -> io::Result<()> {
        let pending = &self.pending;
        match &mut self.target {
            Target::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(pending)?;
                stdout.flush()
            }
            Target::Stderr(stderr) => {
                self.diag.end_progress();
                stderr.lock().write_all(pending)
            }
            Target::File(rotating) => {
                if self.stop.takes_reopening() {
                    rotating.reopen()?;
                }
                rotating.write(pending)
            }
        }
    }
}

impl Rotating {
    fn open(options: &OutputFile) -> Result<Self> {
        let path = &options.path;
        let mut opening = File::options();
        opening.create(true);
        if options.append {
            opening.append(true);
        } else {
            opening.write(true).truncate(true);
        }
        let file = opening.open(path).map_err(|error| {
            Failure::hinted(
                format!("failed to open `{}` for writing: {error}", path.display()),
                "-o takes the path of a file in a directory that exists and that we may write to",
            )
        })?;
        let written = file
            .metadata()
            .with_context(|| format!("failed to look at `{}`", path.display()))?
            .len();
        Ok(Self {
            options: options.clone(),
            file,
            written: if options.append { written } else { 0 },
        })
    }

    /// The file of this name may be another one by now: whoever moved it wants a new one.
    fn reopen(&mut self) -> io::Result<()> {
        let path = &self.options.path;
        self.file = File::options().create(true).append(true).open(path)?;
        self.written = self.file.metadata()?.len();
        Ok(())
    }

    fn write(&mut self, session: &[u8]) -> io::Result<()> {
        let would_be = self.written.saturating_add(session.len() as u64);
        let is_too_large = self.options.max_size.is_some_and(|max| would_be > max);
        if is_too_large && self.written > 0 {
            self.rotate()?;
        }
        self.file.write_all(session)?;
        self.written += session.len() as u64;
        Ok(())
    }

    /// `FILE.4` becomes `FILE.5`, …, `FILE` becomes `FILE.1`; what was `FILE.5` is gone.
    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.options.path;
        let numbered = |number: u32| {
            let mut name = OsString::from(path);
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.options.keep).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.options.keep > 0 {
            fs::rename(path, numbered(1))?;
        }
        self.file = File::create(path)?;
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Rotating;
    use crate::config::OutputFile;

    fn options(path: &Path, append: bool) -> OutputFile {
        OutputFile {
            path: path.to_owned(),
            append,
            max_size: Some(10),
            keep: 2,
        }
    }

    #[test]
    fn a_file_that_is_full_gives_way_and_so_many_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut file = Rotating::open(&options(&path, false)).unwrap();
        for session in [
            "one 123\n",
            "two 1234567890\n",
            "three\n",
            "4\n",
            "five...\n",
        ] {
            file.write(session.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("out"), "five...\n");
        assert_eq!(read("out.1"), "three\n4\n");
        assert_eq!(read("out.2"), "two 1234567890\n");
        assert!(!directory.path().join("out.3").exists());
    }

    #[test]
    fn append_keeps_what_is_there_and_reopening_makes_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old\n").unwrap();
        let mut file = Rotating::open(&options(&path, true)).unwrap();
        file.write(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\n");
        fs::rename(&path, directory.path().join("moved")).unwrap();
        file.reopen().unwrap();
        file.write(b"newer\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer\n");
        drop(Rotating::open(&options(&path, false)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
