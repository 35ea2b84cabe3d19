// SPDX-License-Identifier: BSD-2-Clause
//! The table of `simfail --list`: what each case must show.

use std::process::Command;

use super::harness::simfail_program;
use super::view::Session;

/// A row.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// The system call's result: `-EINVAL`.
    result: String,
    /// `all`, or a remark: another result on some kernels.
    kernels: String,
    /// The functions that may be the culprit, with `|` between.
    pub(super) culprit: String,
    entry: String,
}

/// All rows.
pub(super) fn read() -> Vec<Case> {
    let output = Command::new(simfail_program())
        .arg("--list")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
        let cell = |index: usize| cells[index].trim().to_owned();
        Case {
            name: cell(0),
            result: cell(2),
            kernels: cell(3),
            culprit: cell(4),
            entry: cell(5),
        }
    });
    rows.collect()
}

pub(super) fn find(name: &str) -> Case {
    let found = read().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("simfail has no case {name}"))
}

impl Case {
    pub(super) fn fails(&self) -> bool {
        self.result != "success"
    }

    /// The session that the case is about: best one of the system call itself with its result,
    /// else of an inner entry function.
    pub(super) fn session<'a>(&self, sessions: &[&'a Session]) -> Option<&'a Session> {
        let has_result = |session: &Session| {
            session.result() == self.result || self.kernels.contains(session.result())
        };
        let is_entry = |session: &Session| session.entry() == self.entry;
        let last = |wanted: &dyn Fn(&Session) -> bool| {
            sessions
                .iter()
                .rev()
                .copied()
                .find(|session| wanted(session))
        };
        last(&|session| is_entry(session) && has_result(session))
            .or_else(|| last(&is_entry))
            .or_else(|| last(&has_result))
    }

    pub(super) fn agrees(&self, session: &Session) -> bool {
        let culprits = self.culprit.trim_end_matches('?');
        // The compiler's `.part.0` of a function is that function.
        let found = session.culprit().split('.').next();
        culprits.split('|').any(|name| found == Some(name))
    }
}
