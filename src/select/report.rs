// SPDX-License-Identifier: BSD-2-Clause
//! Reports what each glob matched, and explains why a glob traces nothing.

use super::reason::LeftOutReason;
use crate::config::{GlobUse, Role};

/// The result of one glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobReport {
    /// Whether it selects entry functions, selects inner functions, or denies functions.
    pub role: Role,
    /// The glob and its origin.
    pub glob: GlobUse,
    /// Number of functions of the kernel and its modules whose names match.
    pub in_kallsyms: usize,
    /// Number of these that BTF describes; if no name matches, number of matching functions in BTF.
    pub in_btf: usize,
    /// Number of matching functions that are not denied and that ftrace can trace.
    pub attachable: usize,
    /// Number of matching functions that are traced.
    pub selected: usize,
    /// Number of matching functions that are left out, by reason, most frequent first.
    pub left_out: Vec<(LeftOutReason, usize)>,
    /// Names similar to the glob, if it matches nothing.
    pub nearest: Vec<String>,
}

impl GlobReport {
    /// Returns true if the user wrote this glob, so that a warning is due if it matches nothing.
    /// The globs of a use case cover several kernels, and some match on one of them only.
    #[must_use]
    pub fn is_users(&self) -> bool {
        self.glob.is_users()
    }

    /// Returns why this glob traces nothing; `None` if it traces a function (a deny glob: if it
    /// matches one).
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
