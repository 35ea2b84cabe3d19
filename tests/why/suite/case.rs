// SPDX-License-Identifier: BSD-2-Clause
//! What a case is, and how it is read from `tests/data/why/*.toml`.
//!
//! The truth of a case comes from the kernel's source and from what strace shows, never from our own
//! output. `culprit` is a chain of functions, the one whose code decides first, then the callers that
//! it may be inlined into: those up to the first that the running kernel has as a function are
//! accepted. `also` names other functions that are as right, for the reason that `truth` gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A file of cases about one subject.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    area: String,
    /// Lists of functions by a name: `@missing` in a case stands for all of these.
    #[serde(default)]
    names: BTreeMap<String, Vec<String>>,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// A command that fails, and why.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) area: String,
    /// For bash, in an empty folder; a failure of it is a failure of the case.
    #[serde(default)]
    pub(crate) setup: String,
    /// Words with blanks between, no shell.
    command: Option<String>,
    /// For `bash -c`, in place of `command`.
    shell: Option<String>,
    /// Whether the command runs as the user nobody.
    #[serde(default)]
    nobody: bool,
    /// For bash; may fail.
    #[serde(default)]
    pub(crate) cleanup: String,
    /// The exit status of the command.
    pub(crate) status: i32,
    /// What the command says on its standard error.
    #[serde(default)]
    pub(crate) says: String,
    /// The call that fails, as strace names it; several where libraries differ.
    pub(crate) syscall: Vec<String>,
    /// Other calls of the program that fail for the same reason, as `truth` says.
    #[serde(default)]
    pub(crate) also_syscall: Vec<String>,
    pub(crate) errno: String,
    /// Whether the failure is the answer to a netlink request, whose system call succeeds.
    #[serde(default)]
    pub(crate) request: bool,
    pub(crate) culprit: Vec<String>,
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// What the kernel says about it: log, extack or verifier text.
    #[serde(default)]
    pub(crate) words: String,
    /// How it is known.
    pub(crate) truth: String,
    /// What is different on some kernels.
    #[serde(default)]
    on: BTreeMap<String, Difference>,
    /// Why it does not run on this kernel.
    #[serde(skip)]
    pub(crate) skip: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    skip: Option<String>,
    status: Option<i32>,
    says: Option<String>,
    syscall: Option<Vec<String>>,
    errno: Option<String>,
    culprit: Option<Vec<String>>,
    also: Option<Vec<String>>,
    words: Option<String>,
}

impl Case {
    /// The command as it is started.
    pub(crate) fn argv(&self) -> Vec<String> {
        let mut argv = Vec::new();
        if self.nobody {
            let drop = [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ];
            argv.extend(drop.map(str::to_owned));
        }
        if let Some(script) = &self.shell {
            argv.extend(["bash".to_owned(), "-c".to_owned(), script.clone()]);
        }
        let words = self.command.as_deref().unwrap_or_default();
        argv.extend(words.split_whitespace().map(str::to_owned));
        argv
    }

    /// Every function that a kernel is asked for.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        self.culprit.iter().map(String::as_str)
    }

    /// The functions that are a right answer on a kernel that has these functions.
    pub(crate) fn accepted(&self, functions: &BTreeSet<String>) -> Vec<&str> {
        let is_there = |name: &String| functions.contains(name);
        let n = self.culprit.iter().position(is_there);
        let n = n.map_or(self.culprit.len(), |n| n + 1);
        let (chain, callers) = self.culprit.split_at(n);
        // The body of a system call and the entry that jumps there are one function in the source.
        let is_body = chain.iter().any(|name| name.starts_with("__do_sys_"));
        let entries = callers.iter().filter(|name| {
            is_body && (name.starts_with("__se_sys_") || name.starts_with("__x64_sys_"))
        });
        let names = chain.iter().chain(entries).chain(&self.also);
        names.map(String::as_str).collect()
    }

    /// The same case as it is on a kernel of the matrix.
    fn on(mut self, kernel: &str) -> Self {
        let Difference {
            skip,
            status,
            says,
            syscall,
            errno,
            culprit,
            also,
            words,
        } = self.on.get(kernel).cloned().unwrap_or_default();
        self.skip = skip;
        self.status = status.unwrap_or(self.status);
        self.says = says.unwrap_or(self.says);
        self.syscall = syscall.unwrap_or(self.syscall);
        self.errno = errno.unwrap_or(self.errno);
        self.culprit = culprit.unwrap_or(self.culprit);
        self.also = also.unwrap_or(self.also);
        self.words = words.unwrap_or(self.words);
        self
    }
}

/// Reads the cases of a folder, as they are on this kernel; files in the order of their names.
pub(crate) fn read(folder: &Path, kernel: &str) -> Result<Vec<Case>, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("failed to read `{}`: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let of_file = |error: &dyn ToString| format!("{}: {}", path.display(), error.to_string());
        let text = fs::read_to_string(&path).map_err(|error| of_file(&error))?;
        let subject: Subject = toml::from_str(&text).map_err(|error| of_file(&error))?;
        for case in &subject.cases {
            let case = resolve(case, &subject, kernel).map_err(|error| of_file(&error))?;
            cases.push(case);
        }
    }
    match cases.is_empty() {
        true => Err(format!("no cases in `{}`", folder.display())),
        false => Ok(cases),
    }
}

fn resolve(case: &Case, subject: &Subject, kernel: &str) -> Result<Case, String> {
    let mut case = case.clone().on(kernel);
    case.area.clone_from(&subject.area);
    for list in [&mut case.culprit, &mut case.also] {
        let mut names = Vec::new();
        for name in list.iter() {
            match name.strip_prefix('@') {
                None => names.push(name.clone()),
                Some(list) => {
                    let list = subject.names.get(list);
                    names.extend(list.ok_or(format!("no list `{name}`"))?.clone());
                }
            }
        }
        *list = names;
    }
    let is_complete = case.command.is_some() != case.shell.is_some()
        && !case.syscall.is_empty()
        && !case.culprit.is_empty();
    match is_complete {
        true => Ok(case),
        false => Err(format!(
            "`{}` needs a command, a syscall and a culprit",
            case.id
        )),
    }
}
