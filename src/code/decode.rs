// SPDX-License-Identifier: BSD-2-Clause
//! What the bytes of a function say, whatever the architecture: its calls, what becomes of their
//! results, and the errnos that it makes. [`super::arch`] decodes the bytes.

use super::arch::Loads;
use super::errnos::ErrnoSite;
use crate::spec::Addr;

/// What a caller does with the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultUse {
    /// The caller overwrites it without reading it.
    Ignored,
    /// No use was found within a few instructions.
    Unknown,
    /// The caller compares it, stores it or returns it.
    Tested,
}

/// A direct call, or a direct jump out of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlTransfer {
    pub(super) target: Addr,
    pub(super) is_call: bool,
    /// Offset of the instruction from the function's start, in bytes.
    pub(super) offset: u64,
    pub(super) result: ResultUse,
    /// The loads of the registers at this instruction. For calls of thunks, which call the address
    /// in a register.
    pub(super) loads: Loads,
}

/// What the bytes of one symbol say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) transfers: Vec<ControlTransfer>,
    /// Whether it calls or jumps to an address in a register or in memory.
    pub(super) has_indirect: bool,
    /// The offsets, relative to a pointer, from which it loads the functions that it calls this
    /// way.
    pub(super) slots: Vec<u16>,
    /// The instructions that make errnos: address and errno. One instruction may make several.
    pub(super) makes: Vec<(Addr, u16)>,
    /// Targets of direct branches, and addresses after branches; in no order, with repetitions.
    pub(super) leaders: Vec<Addr>,
    /// Whether it reads constants from a table by index; these may be errnos.
    pub(super) has_table: bool,
}

impl Decoded {
    /// Returns the instructions that make errnos, ascending, and those of `others`.
    pub(super) fn sites(&mut self, others: &[(Addr, u16)]) -> Vec<ErrnoSite> {
        self.makes.extend(others);
        if self.makes.is_empty() {
            return Vec::new();
        }
        self.leaders.sort_unstable();
        let block = |insn: Addr| {
            let n_before = self.leaders.partition_point(|leader| *leader <= insn);
            n_before.checked_sub(1).map_or(insn, |at| self.leaders[at])
        };
        let sites = self.makes.iter().map(|(insn, errno)| ErrnoSite {
            insn: *insn,
            block: block(*insn),
            errno: *errno,
        });
        let mut sites: Vec<_> = sites.collect();
        sites.sort_unstable();
        sites.dedup();
        sites
    }
}
