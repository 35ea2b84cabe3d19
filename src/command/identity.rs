// SPDX-License-Identifier: BSD-2-Clause
//! The user that a command runs as.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, User, getgrouplist};

/// The user that was requested for the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedUser {
    /// Our own user, which is root under sudo.
    #[default]
    Ourselves,
    /// The user who called sudo, doas or pkexec.
    Invoker,
    /// This user: a name or a number.
    User(String),
}

/// What sudo, doas and pkexec put into the environment about their caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invoker {
    /// `SUDO_UID` or `PKEXEC_UID`: a number.
    pub uid: Option<OsString>,
    /// `DOAS_USER`: a name.
    pub name: Option<OsString>,
}

/// The user that a process changes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdentity {
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Supplementary groups, including the primary one.
    pub groups: Vec<Gid>,
    /// Environment variables of the user: `HOME`, `USER`, `LOGNAME`, `SHELL`.
    pub variables: Vec<(&'static str, OsString)>,
}

impl RequestedUser {
    /// Looks the user up; `None` for our own user.
    ///
    /// # Errors
    ///
    /// When there is no such user, or when the environment does not name a caller.
    pub fn resolve(&self, invoker: &Invoker) -> Result<Option<UserIdentity>> {
        match self {
            Self::Ourselves => Ok(None),
            Self::User(name) => user(OsStr::new(name)).map(Some),
            Self::Invoker => {
                if let Some(uid) = &invoker.uid {
                    return numbered(uid).map(Some);
                }
                let name = invoker.name.as_ref().context(
                    "nobody is known to have called us: no `SUDO_UID`, `PKEXEC_UID` or `DOAS_USER`",
                )?;
                user(name).map(Some)
            }
        }
    }
}

/// Looks up a user by number only, because another user may have a name that looks like the number.
fn numbered(uid: &OsStr) -> Result<UserIdentity> {
    let number = uid.to_str().and_then(|text| text.parse().ok());
    let number = number.with_context(|| format!("`{}` is no user id", uid.display()))?;
    let found = User::from_uid(Uid::from_raw(number));
    let found = found.with_context(|| format!("failed to look up user {number}"))?;
    identity(found.with_context(|| format!("there is no user {number}"))?)
}

/// Looks up a user by name, or by number if there is no such name.
fn user(name: &OsStr) -> Result<UserIdentity> {
    let text = name
        .to_str()
        .with_context(|| format!("there is no user `{}`", name.display()))?;
    let found = match User::from_name(text) {
        Ok(None) => text
            .parse()
            .ok()
            .map_or(Ok(None), |uid| User::from_uid(Uid::from_raw(uid))),
        found => found,
    };
    let Some(user) = found.with_context(|| format!("failed to look up user `{text}`"))? else {
        bail!("there is no user `{text}`");
    };
    identity(user)
}

fn identity(user: User) -> Result<UserIdentity> {
    let cname = CString::new(user.name.as_bytes()).map_err(|_| anyhow!("a user without a name"))?;
    let groups = getgrouplist(&cname, user.gid)
        .with_context(|| format!("failed to look up the groups of user `{}`", user.name))?;
    Ok(UserIdentity {
        uid: user.uid,
        gid: user.gid,
        groups,
        variables: vec![
            ("HOME", user.dir.into_os_string()),
            ("USER", OsString::from(&user.name)),
            ("LOGNAME", OsString::from(&user.name)),
            ("SHELL", user.shell.into_os_string()),
        ],
    })
}

/// Variables that name sockets and files of our own user. Another user must not get them. The same
/// holds for variables that begin with `DBUS_`.
const OURS_ONLY: [&str; 4] = ["XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "MAIL"];

/// Builds the environment for `execve`. `variables` replace those of the same names. If there are
/// any, the command runs as another user, and variables of our own user are removed.
pub(super) fn environment(
    environment: impl Iterator<Item = (OsString, OsString)>,
    variables: &[(&'static str, OsString)],
) -> Vec<CString> {
    let is_replaced = |name: &OsStr| variables.iter().any(|(replaced, _)| *replaced == name);
    let is_another = !variables.is_empty();
    let is_ours = |name: &OsStr| {
        let is_bus = name.as_bytes().starts_with(b"DBUS_");
        is_another && (is_bus || OURS_ONLY.iter().any(|ours| *ours == name))
    };
    let kept = environment.filter(|(name, _)| !is_replaced(name) && !is_ours(name));
    let replaced = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), value.clone()));
    kept.chain(replaced)
        .filter_map(|(name, value)| {
            let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
            CString::new(text).ok()
        })
        .collect()
}
