// SPDX-License-Identifier: BSD-2-Clause
//! Pointers to functions in the kernel's data: tables of operations, and what stands where in them.

use std::collections::HashSet;

use crate::kernel::kallsyms::Kallsyms;
use crate::spec::Addr;

/// A pointer to a function, in an object of the kernel's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Where it stands, from the start of the object.
    pub slot: u16,
    /// The function.
    pub function: Addr,
}

/// The pointers to `functions` in `data`, which lies at `addr`; objects are what `kallsyms` has
/// symbols for.
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

/// The start of the object that an address of data lies in: that of the symbol before it.
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
