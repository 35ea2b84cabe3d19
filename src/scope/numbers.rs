// SPDX-License-Identifier: BSD-2-Clause
//! Resolves users, groups and namespaces to the numbers that programs compare.

use anyhow::{Context, Result};
use nix::unistd::{Group, User};

use super::unknown::{accounts, unknown};
use crate::config::NamespaceRef;
use crate::failure::Failure;
use crate::target::HostFiles;
use crate::target::namespaces::{NamespaceKind, of_file, of_process};

pub(crate) fn user_id(named: &str) -> Result<u64> {
    if let Ok(number) = named.parse::<u32>() {
        return Ok(number.into());
    }
    let found = User::from_name(named).context("failed to look up users")?;
    match found {
        Some(user) => Ok(user.uid.as_raw().into()),
        None => Err(unknown("user", named, &accounts("/etc/passwd"))),
    }
}

pub(crate) fn group_id(named: &str) -> Result<u64> {
    if let Ok(number) = named.parse::<u32>() {
        return Ok(number.into());
    }
    let found = Group::from_name(named).context("failed to look up groups")?;
    match found {
        Some(group) => Ok(group.gid.as_raw().into()),
        None => Err(unknown("group", named, &accounts("/etc/group"))),
    }
}

pub(crate) fn namespace(named: &NamespaceRef, kind: NamespaceKind) -> Result<u64> {
    let found = match named {
        NamespaceRef::Inode(number) => return Ok(*number),
        NamespaceRef::Of(pid) => of_process(&HostFiles::below("/"), *pid, kind),
        NamespaceRef::File(path) => of_file(path, kind),
    };
    found.map_err(|error| {
        let hint = "`lsns` lists namespaces, by number and with a process of each";
        Failure::hinted(format!("{error:#}"), hint)
    })
}
