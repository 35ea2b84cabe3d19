// SPDX-License-Identifier: BSD-2-Clause
//! Adds the user functions and USDT probes of a run to the selection of kernel functions.

use std::fs::File;

use crate::config::{GlobUse, Role};
use crate::diag::Diag;
use crate::select::Selection;
use crate::spec::{HookId, TracedProbe};
use crate::user::{Surroundings, UserReport, UserSelection, select_user};

/// The user functions and USDT probes of a run, besides their hooks in the selection.
#[derive(Debug, Default)]
pub(crate) struct UserFunctions {
    /// The files; the index is the object id.
    pub(crate) files: Vec<File>,
    /// What is attached to for the USDT probes.
    pub(crate) probes: Vec<TracedProbe>,
    /// Matching functions and probes that are not traced: name, name of the file, reason.
    pub(crate) left_out: Vec<(String, String, String)>,
    /// The result of each glob.
    pub(crate) reports: Vec<UserReport>,
}

/// Selects the user functions and USDT probes, and appends them to the functions of the selection.
pub(crate) fn add(
    selection: &mut Selection,
    globs: &[(Role, GlobUse)],
    around: &Surroundings,
    diag: &Diag,
) -> UserFunctions {
    if globs.is_empty() {
        return UserFunctions::default();
    }
    let first_id = HookId(selection.functions.len() as u32);
    let UserSelection {
        files,
        functions,
        probes,
        left_out,
        reports,
    } = select_user(globs, around, first_id);
    for file in &files {
        diag.info(2, format!("user functions of `{}`", file.path.display()));
    }
    selection.functions.extend(functions);
    diag.phase("selected user functions");
    UserFunctions {
        files: files.into_iter().map(|file| file.file).collect(),
        probes,
        left_out,
        reports,
    }
}

impl UserFunctions {
    /// Returns the number of places that have the USDT probes.
    pub(crate) fn n_sites(&self) -> usize {
        self.probes.iter().map(|probe| probe.sites.len()).sum()
    }

    /// Returns why globs selected nothing.
    pub(crate) fn whys(&self) -> impl Iterator<Item = &str> {
        self.reports
            .iter()
            .filter_map(|report| report.why_nothing.as_deref())
    }
}
