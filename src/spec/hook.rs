// SPDX-License-Identifier: BSD-2-Clause
//! What a program can be attached to.

use serde::{Deserialize, Serialize};

use super::ids::Addr;
use super::location::{AddressSpace, Location};
use super::placeholder::Placeholder;

/// Something in the running system that a program can be attached to.
///
/// User functions, USDT probes, LSM hooks and instructions inside a function become variants here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Addr", into = "Addr")]
pub enum Hook {
    /// A function of the kernel or of a loaded module, by the address of its symbol.
    KernelFunction(Addr),
    /// A function of a module that is not loaded yet (`--on-load`), by its placeholder.
    AbsentFunction(Placeholder),
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
        };
        Location { space, addr }
    }

    /// Returns whether the hook exists only after its module was loaded.
    #[must_use]
    pub fn is_absent(self) -> bool {
        matches!(self, Self::AbsentFunction(_))
    }
}

/// In files a hook is its address, which takes less room: the cache of selections has thousands.
impl From<Addr> for Hook {
    fn from(addr: Addr) -> Self {
        Self::of_symbol(addr)
    }
}

impl From<Hook> for Addr {
    fn from(hook: Hook) -> Self {
        hook.location().addr
    }
}
