// SPDX-License-Identifier: BSD-2-Clause
//! Where a C library keeps the errno of a thread, from the code of `__errno_location`.

use object::elf::SHT_DYNSYM;

use super::arch;
use super::elf::{BadElf, ElfBytes, UserElf};
use crate::spec::ErrnoPlace;

/// The function that returns the address of the errno.
const LOCATION: &str = "__errno_location";

/// As much of its code is read.
const MAX_CODE: u64 = 32;

/// What the code of `__errno_location` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrnoCode {
    /// The errno is at this distance from the thread pointer.
    Distance(i64),
    /// The distance is in memory, at this distance from the start of the function.
    Slot(i64),
}

/// Returns where the errno is for the functions at these offsets of a file; empty if the file is no C
/// library that is understood.
pub(super) fn errno_places(source: ElfBytes<'_>, offsets: &[u64]) -> Vec<Option<ErrnoPlace>> {
    let of_file = |elf: &UserElf<'_>| -> Result<Option<(u64, ErrnoCode)>, BadElf> {
        let table = elf.symbol_table(SHT_DYNSYM.0)?;
        let addr = table.and_then(|table| table.addr_of(LOCATION));
        let code = addr.and_then(|addr| Some((addr, elf.memory(addr, MAX_CODE)?)));
        Ok(code.and_then(|(addr, code)| Some((addr, arch::errno_code(&code)?))))
    };
    let Ok(elf) = UserElf::read(source) else {
        return Vec::new();
    };
    let Ok(Some((location, code))) = of_file(&elf) else {
        return Vec::new();
    };
    let place = |offset: &u64| match code {
        ErrnoCode::Distance(distance) => Some(ErrnoPlace::Distance(distance)),
        ErrnoCode::Slot(slot) => {
            let slot = location.wrapping_add_signed(slot);
            let function = elf.addr_of(*offset)?;
            Some(ErrnoPlace::Slot(slot.wrapping_sub(function) as i64))
        }
    };
    offsets.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::errno_places;
    use crate::spec::{ErrnoPlace, UserObject};
    use crate::user::elf::ElfBytes;
    use crate::user::locate::{Surroundings, locate};

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn code_of_musl_and_of_glibc_is_understood_and_no_other() {
        use super::{ErrnoCode, arch};

        let load = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];
        let musl = [&load[..], &[0x48, 0x83, 0xc0, 0x34, 0xc3]].concat();
        assert_eq!(arch::errno_code(&musl), Some(ErrnoCode::Distance(0x34)));
        let add = [0x64, 0x48, 0x03, 0x04, 0x25, 0, 0, 0, 0, 0xc3];
        let glibc = [&[0x48, 0x8b, 0x05, 0x79, 0xb7, 0x1a, 0], &add[..]].concat();
        assert_eq!(
            arch::errno_code(&glibc),
            Some(ErrnoCode::Slot(0x1a_b779 + 7))
        );
        let tracked = [&[0xf3, 0x0f, 0x1e, 0xfa], &glibc[..]].concat();
        assert_eq!(
            arch::errno_code(&tracked),
            Some(ErrnoCode::Slot(0x1a_b779 + 11))
        );
        for end in 0..glibc.len() {
            assert_eq!(arch::errno_code(&glibc[..end]), None);
        }
    }

    #[test]
    fn the_c_library_tells_where_errno_is() {
        let libc = UserObject::File("libc".to_owned());
        let file = locate(&libc, &Surroundings::default()).unwrap().file;
        let places = errno_places(ElfBytes::File(&file), &[0x3_0000, 0x3_0010]);
        let slot = |place: Option<ErrnoPlace>| match place {
            Some(ErrnoPlace::Slot(slot)) => slot,
            other => panic!("{other:?}"),
        };
        assert_eq!(slot(places[0]) - slot(places[1]), 0x10);
        let other = File::open("/bin/true").unwrap();
        assert!(errno_places(ElfBytes::File(&other), &[0]).is_empty());
    }
}
