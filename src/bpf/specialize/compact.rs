// SPDX-License-Identifier: BSD-2-Clause
//! Moves the remaining instructions together, and relocates jumps and calls.

use libbpf_sys::bpf_insn;

use super::Kept;
use super::insn::Decode;

/// A program without gaps.
pub(super) struct Compact {
    pub(super) insns: Vec<bpf_insn>,
    /// The new index of each place's instruction. For a removed instruction it is the index of the
    /// next remaining one.
    pub(super) places: Vec<usize>,
}

/// Returns the remaining instructions in order, without the gaps between them.
pub(super) fn compact(kept: &Kept) -> Compact {
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
            // Distances only shrink, so the new one fits as well.
            insn.off = distance(place, insn.target(place)) as i16;
        } else if let Some(callee) = insn.callee(place) {
            insn.imm = distance(place, callee);
        }
        Some(insn)
    };
    let insns = kept.iter().enumerate().filter_map(moved).collect();
    Compact {
        insns,
        places: new_places,
    }
}

/// Removes jumps that skip no remaining instruction.
fn remove_idle_jumps(kept: &mut Kept) {
    // Backwards, because a removed jump may be the only instruction that an earlier jump skips.
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

fn new_places(kept: &Kept) -> Vec<usize> {
    let mut places = Vec::with_capacity(kept.len());
    let mut next = 0;
    for insn in kept {
        places.push(next);
        next += usize::from(insn.is_some());
    }
    places
}
