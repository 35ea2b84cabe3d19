// SPDX-License-Identifier: BSD-2-Clause
//! What became of each glob, and the words for a glob that came to nothing.

use super::reason::Reason;
use crate::config::{GlobOrigin, GlobUse, Role};

/// What became of one glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobReport {
    /// What it was for.
    pub role: Role,
    /// The glob, with its origin.
    pub glob: GlobUse,
    /// Functions of the kernel and its modules whose names match.
    pub in_kallsyms: usize,
    /// Of these (or, where there are none, of all that BTF has), those that BTF describes.
    pub in_btf: usize,
    /// Of these and not denied, those that ftrace can trace.
    pub attachable: usize,
    /// Of these, those that are traced.
    pub selected: usize,
    /// Of those that match, how many are left out, by reason, the most frequent first.
    pub left_out: Vec<(Reason, usize)>,
    /// Where nothing matches: names that resemble the glob.
    pub nearest: Vec<String>,
}

impl GlobReport {
    /// Whether the user wrote this glob, so that its coming to nothing is worth a warning; the
    /// globs of a use case are for several kernels, and some match on none but theirs.
    #[must_use]
    pub fn is_users(&self) -> bool {
        !matches!(self.glob.origin, GlobOrigin::Case { .. })
    }

    /// Why this glob traces nothing; `None` where it does (for a deny glob: where it matches).
    #[must_use]
    pub fn why_nothing(&self) -> Option<String> {
        let came_to = if self.role == Role::Deny {
            self.in_kallsyms
        } else {
            self.selected
        };
        if came_to > 0 {
            return None;
        }
        if self.in_kallsyms > 0 {
            return Some(self.why_all_left_out());
        }
        let glob = &self.glob;
        if self.role == Role::Deny {
            return Some(format!(
                "{glob} denies nothing that the other globs ask for"
            ));
        }
        let mut text = format!("{glob} matches no function of this kernel or its loaded modules");
        if self.in_btf > 0 {
            text += &format!(
                ", although {} type information has; inlined everywhere?",
                self.in_btf
            );
        }
        if !self.nearest.is_empty() {
            text += &format!("; similar: {}", self.nearest.join(", "));
        }
        Some(text)
    }

    fn why_all_left_out(&self) -> String {
        let glob = &self.glob;
        let reasons: Vec<_> = self
            .left_out
            .iter()
            .map(|(reason, n)| (reason.to_string(), n))
            .collect();
        match (self.in_kallsyms, reasons.as_slice()) {
            (1, [(reason, _), ..]) => {
                format!("the one function that matches {glob} cannot be traced: {reason}")
            }
            (all, [(reason, _)]) => {
                format!("none of the {all} functions that match {glob} can be traced: {reason}")
            }
            (all, reasons) => {
                let reasons: Vec<_> = reasons
                    .iter()
                    .map(|(reason, n)| format!("{n}: {reason}"))
                    .collect();
                format!(
                    "none of the {all} functions that match {glob} can be traced ({})",
                    reasons.join("; ")
                )
            }
        }
    }
}
