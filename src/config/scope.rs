// SPDX-License-Identifier: BSD-2-Clause
//! Values that choose tasks, as they are written: names of threads, namespaces, and `!` for what is
//! excluded.

use std::path::PathBuf;
use std::str::FromStr;

use crate::spec::Pid;

/// Something wanted, or with a `!` not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    /// Whether it is wanted.
    pub wanted: bool,
    /// What.
    pub what: T,
}

impl<T: FromStr<Err: ToString>> FromStr for Choice<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (wanted, what) = match text.strip_prefix('!') {
            Some(what) => (false, what),
            None => (true, text),
        };
        if what.is_empty() {
            return Err("a value is missing".to_owned());
        }
        let what = what.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { wanted, what })
    }
}

/// A thread's name as the kernel keeps it: 1 to 15 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comm(String);

impl Comm {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `TASK_COMM_LEN` of the kernel, without its NUL.
const MAX_COMM: usize = 15;

impl FromStr for Comm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a thread name is missing".to_owned());
        }
        if text.len() > MAX_COMM {
            let boundaries = text.char_indices().map(|(at, _)| at);
            let end = boundaries
                .take_while(|&at| at <= MAX_COMM)
                .last()
                .unwrap_or(0);
            let short = &text[..end];
            return Err(format!(
                "the kernel keeps {MAX_COMM} bytes of a name: write `{short}`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Which namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceRef {
    /// That of a process.
    Of(Pid),
    /// Its inode number.
    Inode(u64),
    /// A file that is a namespace.
    File(PathBuf),
}

impl FromStr for NamespaceRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        // As `readlink /proc/PID/ns/net` has it.
        let inside = text
            .split_once(":[")
            .and_then(|(_, rest)| rest.strip_suffix(']'));
        match inside.unwrap_or(text).parse::<u64>() {
            // Numbers of namespaces begin far behind those of processes.
            Ok(number) if number > NAMESPACES_FROM || inside.is_some() => Ok(Self::Inode(number)),
            Ok(_) => text.parse().map(Self::Of),
            Err(_) => Err("a process id, the number of a namespace, or the path of one".to_owned()),
        }
    }
}

/// `PROC_DYNAMIC_FIRST` of the kernel, where numbers of namespaces begin; a few are just below.
const NAMESPACES_FROM: u64 = 0xefff_0000;
