// SPDX-License-Identifier: BSD-2-Clause
//! Pointers to functions in the kernel's data, with their offsets in tables of operations.

use std::collections::HashSet;

use crate::kernel::kallsyms::Kallsyms;
use crate::spec::Addr;

/// A pointer to a function in an object of the kernel's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Offset of the pointer from the start of the object, in bytes.
    pub slot: u16,
    /// The function it points to.
    pub function: Addr,
}

/// Returns the pointers to `functions` in `data`, which is located at `addr`. The symbols of
/// `kallsyms` delimit the objects.
#[must_use]
pub fn pointers(
    kallsyms: &Kallsyms,
    addr: Addr,
    data: &[u8],
    functions: &HashSet<Addr>,
) -> Vec<Pointer> {
    let (words, _) = data.as_chunks::<8>();
    let mut found = Vec::new();
    for (at, word) in (addr.0..).step_by(8).zip(words) {
        let function = Addr(u64::from_le_bytes(*word));
        if !functions.contains(&function) {
            continue;
        }
        let slot = object_at(kallsyms, Addr(at)).and_then(|object| at.checked_sub(object.0));
        if let Some(slot) = slot.and_then(|slot| u16::try_from(slot).ok()) {
            found.push(Pointer { slot, function });
        }
    }
    found
}

/// Returns the start of the object that contains a data address: the symbol before it.
fn object_at(kallsyms: &Kallsyms, addr: Addr) -> Option<Addr> {
    let (mut low, mut high) = (0, kallsyms.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if kallsyms.symbol(middle).addr <= addr {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Some(kallsyms.symbol(low.checked_sub(1)?).addr)
}
