// SPDX-License-Identifier: BSD-2-Clause
//! Where a symbol ends. kallsyms does not say: the next symbol ends the one before, and where
//! that is too far away to be true, a limit does.

use super::{Entry, Kallsyms};

/// Marks of the linker script behind the last function of a text: nothing belongs to them.
const END_MARKERS: [&str; 3] = ["_etext", "_einittext", "__end_of_kernel_reserve"];

/// No function is longer; a wider gap has something between that has no symbol.
const LONGEST_FUNCTION: u64 = 256 << 10;

/// What the last function of a text may have at least. Texts end at a page's end, so that the
/// true end lies at most a page boundary behind the last instruction.
const LAST_FUNCTION: u64 = 4 << 10;

/// No JIT-compiled program that we meet in a stack is longer, and programs are freed one by one,
/// so that the next program is no bound.
const LONGEST_BPF_PROGRAM: u64 = 64 << 10;

/// Pages that the kernel itself fills with code, each allocated and freed for itself: trampolines of
/// ftrace, slots of kprobes. The next one is no bound: a module loaded since may lie between.
/// Kernels list them since 5.9 (fc0ea795f53c, "ftrace: Add symbols for ftrace trampolines").
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
    fn next_address(&self, index: usize) -> Option<Entry> {
        let addr = self.entries[index].addr;
        // Aliases are few: a walk beats a search.
        self.entries[index..]
            .iter()
            .find(|entry| entry.addr > addr)
            .copied()
    }

    fn longest_bpf(&self, entry: Entry) -> u64 {
        if self.name(entry).starts_with("bpf_prog_") {
            LONGEST_BPF_PROGRAM
        } else {
            PAGE
        }
    }
}

/// At least [`LAST_FUNCTION`], and from there to the end of the page.
fn until_page_end(addr: u64) -> u64 {
    let end = addr.saturating_add(LAST_FUNCTION + PAGE - 1) & !(PAGE - 1);
    end.saturating_sub(addr).max(1)
}
