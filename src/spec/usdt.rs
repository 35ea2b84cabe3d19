// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes: static probes that programs and libraries have in their code.

use std::str::FromStr;

use super::ids::Pid;
use super::user_glob::UserObject;

/// Maximum number of arguments of a probe, as in `<sys/sdt.h>`.
pub const MAX_USDT_ARGUMENTS: usize = 12;

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

/// Returns the file that a text names in which a number is a process.
fn object_of(text: &str) -> Result<UserObject, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(UserObject::Process(Pid::from_str(text)?));
    }
    Ok(UserObject::File(text.to_owned()))
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
    use std::str::FromStr;

    use crate::spec::{Pid, UserObject};

    #[test]
    fn a_number_is_a_process() {
        assert_eq!(UserObject::from_str("17"), Ok(UserObject::Process(Pid(17))));
        assert_eq!(
            UserObject::from_str("libc"),
            Ok(UserObject::File("libc".to_owned()))
        );
        assert!(UserObject::from_str("0").is_err());
        assert!(UserObject::from_str("").is_err());
    }
}
