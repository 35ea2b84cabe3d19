// SPDX-License-Identifier: BSD-2-Clause
//! `doctor`: what this kernel offers, what a run would use, what is missing and what that costs.
//!
//! Everything is read or tried on the running machine. What cannot be checked without privileges is
//! reported as unknown. Facts come from files below a root directory, and what must be tried comes
//! from [`Tried`], so that tests can simulate any kernel.

mod backends;
mod kernel;
mod permissions;
mod sources;
#[cfg(test)]
mod tests;
mod trial;

use std::path::Path;

use anyhow::Result;

use self::backends::Tried;
use self::kernel::{KernelTypes, Symbols};
pub(crate) use self::trial::attach_for_a_moment;
use crate::bpf::KernelSupport;
use crate::kernel::facts::KernelFiles;
use crate::kernel::host_settings::HostSettings;
use crate::prepare::layout;
use crate::render::{Check, CheckSection, CheckState, Checkup};

/// Examines the running kernel. Attaches to a function for a moment if all else allows tracing.
pub(crate) fn examine(files: &KernelFiles, image: Option<&Path>) -> Result<Checkup> {
    let may_load = permissions::capabilities(files).missing().is_empty();
    let tried = Tried {
        may_load,
        support: if may_load {
            support_of(files)
        } else {
            KernelSupport::default()
        },
    };
    let mut checkup = look(files, image, tried)?;
    if checkup.can_trace() {
        let check = trial_of(&attach_for_a_moment(files));
        checkup.checks.push(check);
    }
    Ok(checkup)
}

fn support_of(files: &KernelFiles) -> KernelSupport {
    layout::full_support(files.kernel_btf().as_deref().ok(), files)
}

/// Runs all checks that need no attaching.
fn look(files: &KernelFiles, image: Option<&Path>, tried: Tried) -> Result<Checkup> {
    let host_settings = HostSettings::read(files);
    let types = KernelTypes::read(files);
    let symbols = Symbols::read(files);
    let mut checks = permissions::checks(files, &host_settings, &symbols);
    checks.extend(kernel::checks(files, &host_settings, &types, &symbols));
    let (backend, of_backends) = backends::checks(files, &types, tried);
    checks.extend(of_backends);
    checks.extend(sources::checks(files, image, &host_settings)?);
    checks.extend(permissions::limits());
    Ok(Checkup {
        version: env!("CARGO_PKG_VERSION"),
        kernel: files.release().ok(),
        processor: host_settings.processor,
        backend,
        checks,
    })
}

/// Returns the check that a function could be attached to.
fn trial_of(outcome: &Result<()>) -> Check {
    let (state, found) = match outcome {
        Ok(()) => (
            CheckState::Ok,
            "attached to a function and detached again".to_owned(),
        ),
        Err(error) => (CheckState::Missing, format!("{error:#}")),
    };
    Check::new(CheckSection::Kernel, "trial", "trial", state, found)
        .essential()
        .cost("nothing can be traced, although all that it needs seems to be there")
        .hint(
            "a container, seccomp or a security module may forbid it; `-vvv` shows libbpf's words",
        )
}
