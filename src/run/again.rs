// SPDX-License-Identifier: BSD-2-Clause
//! `--again`: what the next run of a command traces, so that its verdict becomes certain. A run has an
//! outlook only if the command is to run again.

use crate::config::{Config, GlobOrigin, GlobUse, Role};
use crate::session::Session;
use crate::syscalls::{decode, function_name};

/// Callees of a culprit that the next run traces.
const MAX_CALLEES: usize = 16;

/// What is still open after a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    /// Whether only the culprit itself can have made the error.
    is_certain: bool,
    /// The function of the failing system call, without what its name begins with.
    call: Option<&'static str>,
    /// Untraced functions that may have returned the error to the culprit.
    callees: Vec<String>,
    /// Whether the run traced functions besides those of system calls.
    has_inner: bool,
}

impl Outlook {
    /// Returns what is open about the failure that is the reason.
    pub(crate) fn of(session: &Session, has_inner: bool) -> Self {
        let trail = session.chain.trail.as_ref();
        let callees = trail.map(|trail| trail.callees.as_slice());
        let callees = callees.unwrap_or_default().iter();
        let callees = callees.filter(|it| it.is_traceable).take(MAX_CALLEES);
        let call = session.syscall.as_ref().and_then(|call| decode(call).name);
        Self {
            is_certain: session.chain.certain,
            call: call.map(function_name),
            callees: callees.map(|callee| callee.name.clone()).collect(),
            has_inner,
        }
    }

    /// Returns the settings of the next run, and what it traces in addition; `None` if it would tell no
    /// more than this one.
    pub(crate) fn deeper(&self, config: &Config) -> Option<(Config, String)> {
        if self.is_certain {
            return None;
        }
        let glob = |text: &str| Some(GlobUse::new(text.parse().ok()?, GlobOrigin::Program));
        let mut deeper = config.clone();
        if !self.has_inner {
            // Functions are attached one by one. With this call alone, there is time for what it
            // reaches.
            let call = self.call?;
            deeper.globs.entry = vec![glob(&format!("__*64_sys_{call}"))?];
            return Some((deeper, format!("what {call} reaches")));
        }
        let is_new = |name: &&String| {
            let mut known = config.globs.allow.iter().filter(|glob| !glob.is_programs());
            !known.any(|known| known.spec.matches(name, None))
        };
        let new: Vec<&String> = self.callees.iter().filter(is_new).collect();
        for name in &new {
            let use_of = GlobUse::new(name.parse().ok()?, GlobOrigin::Option);
            deeper.globs.add(Role::Allow, use_of);
        }
        let names: Vec<&str> = new.iter().map(|name| name.as_str()).collect();
        (!new.is_empty()).then(|| (deeper, names.join(", ")))
    }
}
