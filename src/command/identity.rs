// SPDX-License-Identifier: BSD-2-Clause
//! As whom a command runs.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, User, getgrouplist};

/// As whom a command is to run, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RunAs {
    /// As we do: under sudo, as root.
    #[default]
    Ourselves,
    /// As who called sudo, doas or pkexec.
    Invoker,
    /// As this user: a name or a number.
    User(String),
}

/// What sudo, doas and pkexec say of their caller, in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invoker {
    /// `SUDO_UID` or `PKEXEC_UID`: a number.
    pub uid: Option<OsString>,
    /// `DOAS_USER`: a name.
    pub name: Option<OsString>,
}

/// A user to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Supplementary groups, the primary one among them.
    pub groups: Vec<Gid>,
    /// What the environment has to say of the user: `HOME`, `USER`, `LOGNAME`, `SHELL`.
    pub variables: Vec<(&'static str, OsString)>,
}

impl RunAs {
    /// Looks the user up; `None` where nothing is to be changed.
    ///
    /// # Errors
    /// When there is no such user, or nobody is known to have called us.
    pub fn resolve(&self, invoker: &Invoker) -> Result<Option<Identity>> {
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

/// The user of a number: there may be another one whose name looks like it.
fn numbered(uid: &OsStr) -> Result<Identity> {
    let number = uid.to_str().and_then(|text| text.parse().ok());
    let number = number.with_context(|| format!("`{}` is no user id", uid.display()))?;
    let found = User::from_uid(Uid::from_raw(number));
    let found = found.with_context(|| format!("failed to look up user {number}"))?;
    identity(found.with_context(|| format!("there is no user {number}"))?)
}

/// The user of a name, or of a number where there is no such name.
fn user(name: &OsStr) -> Result<Identity> {
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

fn identity(user: User) -> Result<Identity> {
    let cname = CString::new(user.name.as_bytes()).map_err(|_| anyhow!("a user without a name"))?;
    let groups = getgrouplist(&cname, user.gid)
        .with_context(|| format!("failed to look up the groups of user `{}`", user.name))?;
    Ok(Identity {
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

/// Sockets and files of whoever we are, of which another user has their own or none. So have
/// variables that begin with `DBUS_`.
const OURS_ONLY: [&str; 4] = ["XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "MAIL"];

/// `environment` with these variables in the place of what it has of the same names, as `execve`
/// takes it. With variables of another user it loses those that are ours only.
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
