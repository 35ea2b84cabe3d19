// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes: static probes that programs and libraries have in their code. Globs over them,
//! `usdt:PATH:PROVIDER:NAME`, and what a run knows of a probe.

use std::str::FromStr;

use super::ids::{HookId, Pid};
use super::location::ObjectId;
use super::name_glob::{NameGlob, Subject};
use super::user_glob::UserObject;

/// Maximum number of arguments of a probe, as in `<sys/sdt.h>`.
pub const MAX_USDT_ARGUMENTS: usize = 12;

/// What stands between a probe that opens sessions and the one that ends them.
const ENDED_BY: &str = "=>";

/// A glob over the USDT probes of an executable or a library.
#[derive(Clone, Debug)]
pub struct UsdtGlob {
    /// The file that has the probes.
    pub object: UserObject,
    /// Names of providers.
    pub provider: NameGlob,
    /// Names of probes.
    pub name: NameGlob,
    /// Names of the probes, of the same providers, that end the sessions; `None` if a session ends
    /// when the function returns that the probe is in.
    pub end: Option<NameGlob>,
}

/// A register: its offset in `struct pt_regs`, in bytes. That of the second byte of a register
/// (`%ah`) is one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(pub u16);

/// An argument of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsdtArgument {
    /// Size in bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is a signed number.
    pub is_signed: bool,
    /// Where its value is; `None` if that cannot be read, as for a floating-point register.
    pub place: Option<ArgumentPlace>,
}

/// Where the value of an argument is when its probe is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentPlace {
    /// It is always the same.
    Constant(i64),
    /// In a register.
    Register(Register),
    /// In memory: at `displacement` + `base` + `index` << `shift`.
    Memory {
        /// Register with the base address.
        base: Option<Register>,
        /// Register with the index, and the binary logarithm of its scale.
        index: Option<(Register, u8)>,
        /// A constant, or with the instruction pointer as base the distance from the probe.
        displacement: i64,
    },
}

/// A place in the code where a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtSite {
    /// Offset of the instruction in the file.
    pub offset: u64,
    /// Offset in the file of the semaphore, a counter of those who trace the probe; `None` if the
    /// probe has none.
    pub semaphore: Option<u64>,
    /// The arguments.
    pub arguments: Vec<UsdtArgument>,
}

/// Where the return address of a function is on the stack when one of its instructions runs: at the
/// sum of a register and an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPlace {
    /// The register.
    pub register: Register,
    /// The offset, in bytes.
    pub offset: i64,
}

/// The function that a site is in, whose return ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnclosingFunction {
    /// Offset in the file of its first instruction.
    pub offset: u64,
    /// Where its return address is when the site is hit.
    pub return_place: ReturnPlace,
}

/// A site, and what ends a session that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedSite {
    /// The site.
    pub site: UsdtSite,
    /// The function whose return ends the session; `None` if it opens none, or if another probe ends
    /// it.
    pub function: Option<EnclosingFunction>,
}

/// A probe that is traced. Its name and its role are those of the function with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedProbe {
    /// Id of its hook.
    pub id: HookId,
    /// The file.
    pub object: ObjectId,
    /// Number of the source of its notes.
    pub source: u32,
    /// All places where it is.
    pub sites: Vec<TracedSite>,
    /// Sites of the probes that end the sessions that it opens.
    pub ends: Vec<UsdtSite>,
}

impl UsdtGlob {
    /// Parses what follows `usdt:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (probe, end) = match text.split_once(ENDED_BY) {
            Some((probe, end)) => (probe.trim_end(), Some(end.trim_start())),
            None => (text, None),
        };
        // A path may have a colon; names have none.
        let mut parts = probe.rsplitn(3, ':');
        let (name, provider, object) = (parts.next(), parts.next(), parts.next());
        let (Some(name), Some(provider), Some(object)) = (name, provider, object) else {
            return Err(why_malformed());
        };
        if object.is_empty() || provider.is_empty() || name.is_empty() {
            return Err(why_malformed());
        }
        Ok(Self {
            object: object_of(object)?,
            provider: NameGlob::new(provider, Subject::Probe)?,
            name: NameGlob::new(name, Subject::Probe)?,
            end: end
                .map(|end| NameGlob::new(end, Subject::Probe))
                .transpose()?,
        })
    }
}

/// Returns the file that a text names in which a number is a process, and a number with a library
/// behind it a file that the process has mapped.
fn object_of(text: &str) -> Result<UserObject, String> {
    let (number, library) = match text.split_once(':') {
        Some((number, library)) => (number, Some(library)),
        None => (text, None),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(UserObject::File(text.to_owned()));
    }
    let pid = Pid::from_str(number)?;
    Ok(match library {
        Some(library) => UserObject::Mapped(pid, library.to_owned()),
        None => UserObject::Process(pid),
    })
}

fn why_malformed() -> String {
    "USDT probes are written usdt:PATH:PROVIDER:NAME, such as `usdt:postgres:postgresql:query__start`".to_owned()
}

/// Parses the argument of `list usdt`: a path, the name of a library or a program, or the id of a
/// process.
impl FromStr for UserObject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path or a process id is needed".to_owned());
        }
        object_of(text)
    }
}

#[cfg(test)]
mod tests {
    use super::UsdtGlob;
    use crate::spec::{Pid, UserObject};

    #[test]
    fn a_glob_names_file_provider_and_probe() {
        let glob = UsdtGlob::parse("/opt/a:b/app:app*:request-*").unwrap();
        assert_eq!(glob.object, UserObject::File("/opt/a:b/app".to_owned()));
        assert!(glob.provider.matches("app_core"));
        assert!(glob.name.matches("request-start"));
        assert!(glob.end.is_none());
    }

    #[test]
    fn a_number_is_a_process() {
        let glob = UsdtGlob::parse("17:*:*").unwrap();
        assert_eq!(glob.object, UserObject::Process(Pid(17)));
        assert!(UsdtGlob::parse("0:*:*").is_err());
        let glob = UsdtGlob::parse("17:libc:libc:*").unwrap();
        assert_eq!(glob.object, UserObject::Mapped(Pid(17), "libc".to_owned()));
    }

    #[test]
    fn the_probe_that_ends_sessions_follows_an_arrow() {
        for text in ["app:app:start=>done", "app:app:start => done"] {
            let glob = UsdtGlob::parse(text).unwrap();
            assert!(glob.name.matches("start"), "{text}");
            assert!(glob.end.is_some_and(|end| end.matches("done")), "{text}");
        }
        assert!(UsdtGlob::parse("app:app:start=>").is_err());
    }

    #[test]
    fn what_is_missing_is_said() {
        for text in ["", "app", "app:x", "app::x", "app:x:", ":x:y"] {
            let why = UsdtGlob::parse(text).unwrap_err();
            assert!(why.contains("are written usdt:"), "{text}: {why}");
        }
        let why = UsdtGlob::parse("app:a b:x").unwrap_err();
        assert!(why.contains("no probe name has a ' '"), "{why}");
    }
}
