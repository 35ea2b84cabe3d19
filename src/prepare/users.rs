// SPDX-License-Identifier: BSD-2-Clause
//! Adds the user functions of a run to the selection of kernel functions.

use std::fs::File;

use crate::config::{GlobUse, Role};
use crate::diag::Diag;
use crate::select::Selection;
use crate::spec::HookId;
use crate::user::{UserReport, UserSelection, select_user};

/// The user functions of a run, besides those in the selection.
#[derive(Debug, Default)]
pub(crate) struct UserFunctions {
    /// The files; the index is the object id.
    pub(crate) files: Vec<File>,
    /// Matching functions that are not traced: name, name of the file, reason.
    pub(crate) left_out: Vec<(String, String, String)>,
    /// The result of each glob.
    pub(crate) reports: Vec<UserReport>,
}

/// Selects the user functions, and appends them to the functions of the selection.
pub(crate) fn add(
    selection: &mut Selection,
    globs: &[(Role, GlobUse)],
    diag: &Diag,
) -> UserFunctions {
    if globs.is_empty() {
        return UserFunctions::default();
    }
    let first_id = HookId(selection.functions.len() as u32);
    let UserSelection {
        files,
        functions,
        left_out,
        reports,
    } = select_user(globs, first_id);
    for file in &files {
        diag.info(2, format!("user functions of `{}`", file.path.display()));
    }
    selection.functions.extend(functions);
    diag.phase("selected user functions");
    UserFunctions {
        files: files.into_iter().map(|file| file.file).collect(),
        left_out,
        reports,
    }
}

impl UserFunctions {
    /// Returns why globs selected nothing.
    pub(crate) fn whys(&self) -> impl Iterator<Item = &str> {
        self.reports
            .iter()
            .filter_map(|report| report.why_nothing.as_deref())
    }
}
