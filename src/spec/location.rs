// SPDX-License-Identifier: BSD-2-Clause
//! Where code is: an address together with the address space that it belongs to.

use super::ids::Addr;
use super::placeholder::Placeholder;

/// An address space. It decides where an address is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressSpace {
    /// The running kernel: its image, its modules and BPF programs.
    #[default]
    Kernel,
    /// Modules that were not loaded when their functions were selected. The address is a
    /// [`Placeholder`].
    AbsentModules,
    /// An object that is mapped into a process. The address is an offset in its file.
    Object(ObjectId),
    /// Not known, so the address cannot be looked up.
    Unknown,
}

/// Number of an object file in this run. The file is identified by its build id, or by device and
/// inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// A place in code: an address in an address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The address space of `addr`.
    pub space: AddressSpace,
    /// The address in that space.
    pub addr: Addr,
}

/// An instruction pointer, as found on a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip {
    /// Where it points to.
    pub location: Location,
    /// True for a return address, which points after the call instruction: that may be the next
    /// statement or the next function, so the byte before it is what is looked up. False for the
    /// address of an instruction.
    pub is_return: bool,
}

impl Location {
    /// Returns the location of an address that the kernel side reports. It is in the kernel, unless
    /// it is a placeholder.
    #[must_use]
    pub fn of_kernel(addr: Addr) -> Self {
        let space = match Placeholder::at(addr) {
            Some(_) => AddressSpace::AbsentModules,
            None => AddressSpace::Kernel,
        };
        Self { space, addr }
    }

    /// Returns the address if it exists in memory as such; `None` for a placeholder, for an offset
    /// in a file, and for an address of an unknown space.
    #[must_use]
    pub fn kernel_addr(self) -> Option<Addr> {
        (self.space == AddressSpace::Kernel).then_some(self.addr)
    }
}

impl Ip {
    /// The address of an instruction of the kernel.
    #[must_use]
    pub fn exact(addr: Addr) -> Self {
        Self {
            location: Location::of_kernel(addr),
            is_return: false,
        }
    }

    /// A return address in the kernel.
    #[must_use]
    pub fn return_to(addr: Addr) -> Self {
        Self {
            is_return: true,
            ..Self::exact(addr)
        }
    }

    /// Returns the address of the instruction, or for a return address that of the last byte of
    /// the call.
    #[must_use]
    pub fn looked_up(self) -> Addr {
        Addr(self.location.addr.0.wrapping_sub(self.is_return.into()))
    }
}
