// SPDX-License-Identifier: BSD-2-Clause
//! Moves what is left together: jumps and calls go where they went.

use libbpf_sys::bpf_insn;

use super::Kept;
use super::insn::Decode;

/// The instructions that are left, in their order.
pub(super) fn compact(kept: &Kept) -> Vec<bpf_insn> {
    let mut kept = kept.clone();
    remove_idle_jumps(&mut kept);
    let new_places = new_places(&kept);
    let distance = |from: usize, to: usize| {
        let to = new_places.get(to).copied().unwrap_or_default();
        to as i32 - new_places[from] as i32 - 1
    };
    let moved = |(place, insn): (usize, &Option<bpf_insn>)| {
        let mut insn = (*insn)?;
        if insn.is_branch() || insn.is_goto() {
            // Never further than it was.
            insn.off = distance(place, insn.target(place)) as i16;
        } else if let Some(callee) = insn.callee(place) {
            insn.imm = distance(place, callee);
        }
        Some(insn)
    };
    kept.iter().enumerate().filter_map(moved).collect()
}

/// Jumps over nothing. The last first: one may have been all that another jumps over.
fn remove_idle_jumps(kept: &mut Kept) {
    for place in (0..kept.len()).rev() {
        let Some(insn) = kept[place].filter(|insn| insn.is_goto() || insn.is_branch()) else {
            continue;
        };
        let skipped = kept.get(place + 1..insn.target(place));
        if skipped.is_some_and(|skipped| skipped.iter().all(Option::is_none)) {
            kept[place] = None;
        }
    }
}

/// Where each place's instruction will stand; of one that is gone: the next.
fn new_places(kept: &Kept) -> Vec<usize> {
    let mut places = Vec::with_capacity(kept.len());
    let mut next = 0;
    for insn in kept {
        places.push(next);
        next += usize::from(insn.is_some());
    }
    places
}
