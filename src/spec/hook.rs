// SPDX-License-Identifier: BSD-2-Clause
//! What a program can be attached to.

use serde::{Deserialize, Serialize};

use super::ids::Addr;
use super::location::{AddressSpace, Location, ObjectId};
use super::placeholder::Placeholder;

/// Something in the running system that a program can be attached to.
///
/// LSM hooks and instructions inside a function become variants here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "StoredHook", into = "StoredHook")]
pub enum Hook {
    /// A function of the kernel or of a loaded module, by the address of its symbol.
    KernelFunction(Addr),
    /// A function of a module that is not loaded yet (`--on-load`), by its placeholder.
    AbsentFunction(Placeholder),
    /// A function of an executable or a library.
    UserFunction {
        /// The file.
        object: ObjectId,
        /// Offset of its first instruction in the file, in bytes.
        offset: u64,
    },
    /// A USDT probe of an executable or a library. It may be at several places.
    UsdtProbe {
        /// The file.
        object: ObjectId,
        /// Offset in the file of the first of its places, in bytes.
        offset: u64,
    },
}

impl Hook {
    /// Returns the hook of a function with this symbol. The address of a symbol of a module that is
    /// not loaded is a placeholder.
    #[must_use]
    pub fn of_symbol(addr: Addr) -> Self {
        Placeholder::at(addr).map_or(Self::KernelFunction(addr), Self::AbsentFunction)
    }

    /// Returns where the hook is.
    #[must_use]
    pub fn location(self) -> Location {
        let (space, addr) = match self {
            Self::KernelFunction(addr) => (AddressSpace::Kernel, addr),
            Self::AbsentFunction(placeholder) => (AddressSpace::AbsentModules, placeholder.addr()),
            Self::UserFunction { object, offset } | Self::UsdtProbe { object, offset } => {
                (AddressSpace::Object(object), Addr(offset))
            }
        };
        Location { space, addr }
    }

    /// Returns whether the hook exists only after its module was loaded.
    #[must_use]
    pub fn is_absent(self) -> bool {
        matches!(self, Self::AbsentFunction(_))
    }

    /// Returns the file and the offset in it if the hook is a user function.
    #[must_use]
    pub fn user_function(self) -> Option<(ObjectId, u64)> {
        match self {
            Self::UserFunction { object, offset } => Some((object, offset)),
            Self::KernelFunction(_) | Self::AbsentFunction(_) | Self::UsdtProbe { .. } => None,
        }
    }

    /// Returns whether the hook is in an executable or a library: above all kernel functions of its
    /// session.
    #[must_use]
    pub fn is_of_user(self) -> bool {
        matches!(self, Self::UserFunction { .. } | Self::UsdtProbe { .. })
    }

    /// Returns whether the hook is a USDT probe.
    #[must_use]
    pub fn is_usdt(self) -> bool {
        matches!(self, Self::UsdtProbe { .. })
    }
}

/// A hook in a file. A kernel function is its address alone, which takes less room: the cache of
/// selections has thousands.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredHook {
    Kernel(Addr),
    Usdt { object: u32, probe: u64 },
    Object { object: u32, offset: u64 },
}

impl From<StoredHook> for Hook {
    fn from(stored: StoredHook) -> Self {
        match stored {
            StoredHook::Kernel(addr) => Self::of_symbol(addr),
            StoredHook::Usdt { object, probe } => Self::UsdtProbe {
                object: ObjectId(object),
                offset: probe,
            },
            StoredHook::Object { object, offset } => Self::UserFunction {
                object: ObjectId(object),
                offset,
            },
        }
    }
}

impl From<Hook> for StoredHook {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::KernelFunction(addr) => Self::Kernel(addr),
            Hook::AbsentFunction(placeholder) => Self::Kernel(placeholder.addr()),
            Hook::UsdtProbe { object, offset } => Self::Usdt {
                object: object.0,
                probe: offset,
            },
            Hook::UserFunction { object, offset } => Self::Object {
                object: object.0,
                offset,
            },
        }
    }
}
