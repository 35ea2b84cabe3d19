// SPDX-License-Identifier: BSD-2-Clause
//! Checks of the back ends: whether the kernel offers each one, and why not.

use super::kernel::KernelTypes;
use crate::bpf::KernelSupport;
use crate::kernel::facts::KernelFiles;
use crate::kernel::version::KernelVersion;
use crate::prepare::features::chosen;
use crate::render::{Check, CheckSection, CheckState};
use crate::spec::BackendKind;

/// The result of trying the back ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// Whether we have the capabilities to try them.
    pub(crate) may_load: bool,
    pub(crate) support: KernelSupport,
}

/// Returns the back end that a run would choose, and a check of each. The choice is `None` if it
/// cannot be determined.
pub(crate) fn checks(
    files: &KernelFiles,
    types: &KernelTypes,
    tried: Tried,
) -> (Option<String>, Vec<Check>) {
    let has_types = types.0.is_ok();
    let chosen = (tried.may_load && has_types).then(|| chosen(tried.support));
    let all = BackendKind::ALL.into_iter();
    let all = all.chain(BackendKind::OF_USER_FUNCTIONS);
    let checks = all.map(|kind| {
        let title = kind.to_string();
        let id = format!("backend_{}", title.replace('-', "_"));
        let (state, found) = if !tried.may_load {
            let found = "without the capabilities it cannot be tried";
            (CheckState::Unknown, found.to_owned())
        } else if !has_types && kind.needs_prototype() {
            (
                CheckState::Missing,
                "it needs the kernel's types".to_owned(),
            )
        } else if tried.support.offers(kind) {
            (CheckState::Ok, kind.what_it_is().to_owned())
        } else {
            (CheckState::Missing, why_not(kind, files))
        };
        Check::new(CheckSection::Backends, id, title, state, found)
    });
    (chosen, checks.collect())
}

/// Returns why the kernel does not offer a back end.
fn why_not(kind: BackendKind, files: &KernelFiles) -> String {
    let release = files.release().unwrap_or_default();
    let version = KernelVersion::of_release(&release);
    let needs = kind.needs();
    let (major, minor) = needs.since;
    if version.is_some_and(|version| (version.major, version.minor) < needs.since) {
        return format!("kernels have it from {major}.{minor} on");
    }
    match needs.option {
        Some(option) => format!("this kernel was built without `{option}`"),
        None => "the kernel refused it".to_owned(),
    }
}
