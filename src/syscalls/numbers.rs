// SPDX-License-Identifier: BSD-2-Clause
//! Numbers and names of system calls.

#[cfg(target_arch = "aarch64")]
use ::syscalls::aarch64 as native;
use ::syscalls::x86;
#[cfg(target_arch = "x86_64")]
use ::syscalls::x86_64 as native;

use super::{Abi, MAX_NUMBER};

/// Returns the name of a system call; `None` if the number is not known.
pub(crate) fn name(abi: Abi, number: u32) -> Option<&'static str> {
    let number = number as usize;
    match abi {
        Abi::Native => native::Sysno::new(number).map(|call| call.name()),
        Abi::Compat => x86::Sysno::new(number).map(|call| call.name()),
    }
}

/// Returns the numbers and names of all system calls of a table.
pub(crate) fn names(abi: Abi) -> impl Iterator<Item = (i64, &'static str)> {
    (0..MAX_NUMBER).filter_map(move |number| Some((number.into(), name(abi, number)?)))
}

#[cfg(test)]
mod tests {
    use super::{Abi, name, names};

    #[test]
    fn each_table_has_numbers_of_its_own() {
        assert_eq!(name(Abi::Native, 257), Some("openat"));
        assert_eq!(name(Abi::Compat, 295), Some("openat"));
        assert_eq!(name(Abi::Native, 5000), None);
        assert!(names(Abi::Native).any(|named| named == (257, "openat")));
    }
}
