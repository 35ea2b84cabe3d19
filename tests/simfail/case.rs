// SPDX-License-Identifier: BSD-2-Clause
//! What a case is: a promise in the table, the function that keeps it, and how the two are compared.

use std::array;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::{env, fmt::Write as _};

use crate::errno::Errno;
use crate::sys;

/// One way to make the kernel fail (or, for contrast, to succeed).
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// As the kernel calls it: `__x64_sys_` plus this is the entry function.
    pub(crate) syscall: &'static str,
    /// The error that the call ends with; `None` when it succeeds.
    pub(crate) errno: Option<i32>,
    /// The error on the kernels that are named as different.
    pub(crate) other_errno: Option<i32>,
    /// The deepest traceable function that returns the error; where kernels differ, all of them with
    /// `|` between, the oldest kernel's first. As found with return probes on every function that
    /// the call runs through, on each kernel; `?` behind it: not found so. `-` when nothing fails.
    pub(crate) culprit: &'static str,
    /// `all`, or how the kernels differ.
    pub(crate) kernels: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Scratch) -> Attempt,
}

/// The result of the system call that a case is about, unless it could not be made.
pub(crate) type Attempt = Result<Result<i64, Errno>, Trouble>;

/// Why a case did not go as promised.
#[derive(Debug)]
pub(crate) enum Trouble {
    Unsupported(String),
    Failed(String),
}

impl From<Errno> for Trouble {
    /// A system call made in preparation of the case went wrong.
    fn from(errno: Errno) -> Self {
        match errno.0 {
            libc::ENOSYS => Self::Unsupported("no such system call".to_owned()),
            libc::EPERM if !sys::is_root() => Self::Unsupported("needs root".to_owned()),
            _ => Self::Failed(format!("preparing it failed with {errno}")),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno(number).into(),
            None => Self::Failed(format!("preparing it failed: {error}")),
        }
    }
}

impl Case {
    /// A case that fails, the same on all kernels.
    pub(crate) const fn fails(
        (name, syscall): (&'static str, &'static str),
        errno: i32,
        culprit: &'static str,
        about: &'static str,
        run: fn(&Scratch) -> Attempt,
    ) -> Self {
        Self {
            name,
            syscall,
            errno: Some(errno),
            other_errno: None,
            culprit,
            kernels: "all",
            about,
            run,
        }
    }

    /// A case that succeeds.
    pub(crate) const fn succeeds(
        (name, syscall): (&'static str, &'static str),
        about: &'static str,
        run: fn(&Scratch) -> Attempt,
    ) -> Self {
        Self {
            name,
            syscall,
            errno: None,
            other_errno: None,
            culprit: "-",
            kernels: "all",
            about,
            run,
        }
    }

    /// The same case, with another result on some kernels: which ones, is what `kernels` says.
    pub(crate) const fn or(self, other_errno: i32, kernels: &'static str) -> Self {
        Self {
            other_errno: Some(other_errno),
            kernels,
            ..self
        }
    }

    /// The same case, with a remark on kernels.
    pub(crate) const fn on(self, kernels: &'static str) -> Self {
        Self { kernels, ..self }
    }

    /// Runs it, and holds the result to the promise.
    pub(crate) fn check(&self, scratch: &Scratch) -> Result<(), Trouble> {
        let result = (self.run)(scratch)?;
        match (result, self.errno) {
            (Ok(_), None) => Ok(()),
            (Err(got), Some(expected)) if got.0 == expected => Ok(()),
            (Err(got), _) if Some(got.0) == self.other_errno => Ok(()),
            (Err(got), _) if got.0 == libc::ENOSYS => Err(got.into()),
            (Err(got), _) if got.0 == libc::EPERM && !sys::is_root() => Err(got.into()),
            (got, _) => Err(Trouble::Failed(format!(
                "{} returned {}, not {}",
                self.syscall,
                got.map_or_else(|errno| errno.to_string(), |value| value.to_string()),
                self.result(),
            ))),
        }
    }

    fn result(&self) -> String {
        self.errno
            .map_or("success".to_owned(), |errno| Errno(errno).to_string())
    }

    fn entry(&self) -> String {
        let prefix = if cfg!(target_arch = "aarch64") {
            "__arm64_sys_"
        } else {
            "__x64_sys_"
        };
        format!("{prefix}{}", self.syscall)
    }
}

/// Renders the table of `--list`: columns with at least two spaces between, no empty cell.
pub(crate) fn table(cases: &[&Case]) -> String {
    let mut rows = vec![
        [
            "CASE", "SYSCALL", "RESULT", "KERNELS", "CULPRIT", "ENTRY", "ABOUT",
        ]
        .map(str::to_owned),
    ];
    rows.extend(cases.iter().map(|case| {
        [
            case.name.to_owned(),
            case.syscall.to_owned(),
            case.result(),
            case.kernels.to_owned(),
            case.culprit.to_owned(),
            case.entry(),
            case.about.to_owned(),
        ]
    }));
    let widths: [usize; 7] = array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].len())
            .max()
            .unwrap_or_default()
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A temporary folder for the files of the cases, removed in the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("simfail.{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// The path of something in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same, as a system call takes it.
    pub(crate) fn c_path(&self, name: &str) -> CString {
        c_path(&self.path(name))
    }

    /// Makes a file with some text in it, and tells its path.
    pub(crate) fn file(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, "simfail\n")?;
        Ok(path)
    }

    /// Makes a folder that has a file in it, and tells its path.
    pub(crate) fn full_folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        fs::write(path.join("file"), "simfail\n")?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path as a system call takes it.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("our own paths have no NUL")
}
