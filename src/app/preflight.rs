// SPDX-License-Identifier: BSD-2-Clause
//! What would stop us is said before anything is tried: privileges, lockdown.

use std::fs;

use anyhow::Result;

use super::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::privileges::{Capabilities, Lockdown};

/// Checks that this process may trace this kernel.
pub(super) fn check(files: &KernelFiles) -> Result<()> {
    let text = |path: &str| fs::read_to_string(files.path(path)).unwrap_or_default();
    let missing = Capabilities::parse(&text("proc/self/status")).missing();
    if !missing.is_empty() {
        return Err(Failure::hinted(
            format!("tracing the kernel needs {}", missing.join(", ")),
            "run it as root (sudo), or grant these capabilities and read access to tracefs",
        ));
    }
    if Lockdown::parse(&text("sys/kernel/security/lockdown")) == Lockdown::Confidentiality {
        return Err(Failure::hinted(
            "the kernel is locked down (confidentiality): programs may not read its memory",
            "boot with `lockdown=integrity` or without lockdown; secure boot may enforce it",
        ));
    }
    Ok(())
}
