// SPDX-License-Identifier: BSD-2-Clause
//! Determines the end of a symbol, which kallsyms does not give. A symbol ends at the next one, or
//! at a limit if the next one is implausibly far.

use super::{Kallsyms, SymbolEntry};

/// Markers of the linker script after the last function of a text. Their size is 0.
const END_MARKERS: [&str; 3] = ["_etext", "_einittext", "__end_of_kernel_reserve"];

/// Maximum size of a function in bytes. A larger gap contains code without a symbol.
const LONGEST_FUNCTION: u64 = 256 << 10;

/// Minimum size in bytes of the last function of a text. Texts end at a page boundary, so that the
/// true end is at most a page boundary after the last instruction.
const LAST_FUNCTION: u64 = 4 << 10;

/// Maximum size of a JIT-compiled program in bytes. Programs are freed one by one, so the next one
/// is not a bound. No program in a stack is longer.
const LONGEST_BPF_PROGRAM: u64 = 64 << 10;

/// Pseudo modules of pages that the kernel fills with code: trampolines of ftrace, slots of
/// kprobes. Each page is allocated and freed on its own. The next page is not a bound, because a
/// module may have been loaded in between. Kernels list them since 5.9 (fc0ea795f53c, "ftrace: Add
/// symbols for ftrace trampolines").
const PAGES_OF_THE_KERNEL: &str = "__builtin__";

const PAGE: u64 = 4 << 10;

impl Kallsyms {
    pub(super) fn size(&self, index: usize) -> u64 {
        let entry = self.entries[index];
        if !entry.is_function() || END_MARKERS.contains(&self.name(entry)) {
            return 0;
        }
        let module = self.module(entry);
        let next = self.next_address(index);
        let distance = next.map_or(u64::MAX, |next| next.addr - entry.addr);
        if module == Some("bpf") {
            return distance.min(self.longest_bpf(entry));
        }
        if module.is_some_and(|module| module.starts_with(PAGES_OF_THE_KERNEL)) {
            return distance.min(PAGE);
        }
        let is_last = next.is_none_or(|next| self.module(next) != module);
        if is_last || distance > LONGEST_FUNCTION {
            distance.min(until_page_end(entry.addr))
        } else {
            distance
        }
    }

    /// The first symbol at a higher address.
    fn next_address(&self, index: usize) -> Option<SymbolEntry> {
        let addr = self.entries[index].addr;
        // There are few aliases, so a linear search is faster than a binary one.
        self.entries[index..]
            .iter()
            .find(|entry| entry.addr > addr)
            .copied()
    }

    fn longest_bpf(&self, entry: SymbolEntry) -> u64 {
        if self.name(entry).starts_with("bpf_prog_") {
            LONGEST_BPF_PROGRAM
        } else {
            PAGE
        }
    }
}

/// Distance in bytes to the first page boundary that is at least [`LAST_FUNCTION`] after `addr`.
fn until_page_end(addr: u64) -> u64 {
    let end = addr.saturating_add(LAST_FUNCTION + PAGE - 1) & !(PAGE - 1);
    end.saturating_sub(addr).max(1)
}
