// SPDX-License-Identifier: BSD-2-Clause
//! The instructions of a program, with what BTF says of them: which functions they belong to, and
//! which source line each comes from.
//!
//! The kernel names functions in stacks and lists by this, and the verifier's log has source lines.
//! It refuses programs with notes that do not fit. So whoever moves instructions moves the notes.
//!
//! Programs that each function has for itself have their notes, too: on 5.10, with two for each of 220
//! functions, the kernel's part of a start took as long as without (6.1 to 6.2 s of CPU time).

use std::ops::Deref;
use std::os::fd::RawFd;
use std::sync::Arc;

use libbpf_sys::{bpf_func_info, bpf_insn, bpf_line_info};

/// The main program first, then the functions that it calls.
#[derive(Clone, Debug)]
pub(super) struct Body {
    insns: Vec<bpf_insn>,
    /// Copies that differ in constants only share it.
    notes: Arc<Notes>,
}

/// What BTF says of instructions. Both lists are ascending by index of the instruction.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// The descriptor of the BTF that the lists refer to. The object owns it.
    pub(super) btf: RawFd,
    /// Where functions begin.
    pub(super) functions: Vec<bpf_func_info>,
    /// Where the instructions of a source line begin.
    pub(super) lines: Vec<bpf_line_info>,
}

impl Body {
    pub(super) fn new(insns: Vec<bpf_insn>, notes: Notes) -> Self {
        Self {
            insns,
            notes: Arc::new(notes),
        }
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Returns a body with these instructions, each of which is where the one before it was.
    pub(super) fn replaced(&self, insns: Vec<bpf_insn>) -> Self {
        Self {
            insns,
            notes: Arc::clone(&self.notes),
        }
    }

    /// Returns a body with these instructions. `places` has the new index of each old instruction;
    /// for one that was removed, that of the next remaining one.
    pub(super) fn moved(&self, insns: Vec<bpf_insn>, places: &[usize]) -> Self {
        let notes = self.notes.moved(places, insns.len());
        Self::new(insns, notes)
    }
}

impl Deref for Body {
    type Target = [bpf_insn];

    fn deref(&self) -> &Self::Target {
        &self.insns
    }
}

impl Notes {
    /// Leaves out functions and lines without remaining instructions.
    fn moved(&self, places: &[usize], n_insns: usize) -> Self {
        let place = |old: u32| places.get(old as usize).map_or(n_insns, |new| *new) as u32;
        let mut functions = self.functions.clone();
        for function in &mut functions {
            function.insn_off = place(function.insn_off);
        }
        let mut lines = self.lines.clone();
        for line in &mut lines {
            line.insn_off = place(line.insn_off);
        }
        // What remains nothing of begins where the next one begins, or at the end.
        keep_last_of_each(&mut functions, n_insns, |function| function.insn_off);
        keep_last_of_each(&mut lines, n_insns, |line| line.insn_off);
        Self {
            btf: self.btf,
            functions,
            lines,
        }
    }
}

/// Keeps the last of those that begin at the same instruction, and none that begins at the end.
fn keep_last_of_each<T: Copy>(all: &mut Vec<T>, end: usize, start: impl Fn(&T) -> u32) {
    all.reverse();
    all.dedup_by_key(|one| start(one));
    all.reverse();
    all.retain(|one| (start(one) as usize) < end);
}

#[cfg(test)]
mod tests {
    use libbpf_sys::{bpf_func_info, bpf_insn, bpf_line_info};

    use super::{Body, Notes};

    #[test]
    fn notes_move_with_their_instructions() {
        let functions =
            [(0, 1), (4, 2), (6, 3)].map(|(insn_off, type_id)| bpf_func_info { insn_off, type_id });
        let lines = [(0, 10), (2, 11), (4, 20), (5, 21), (6, 30)];
        let lines = lines.map(|(insn_off, line_col)| bpf_line_info {
            insn_off,
            line_col,
            ..bpf_line_info::default()
        });
        let notes = Notes {
            btf: 5,
            functions: functions.to_vec(),
            lines: lines.to_vec(),
        };
        let insns = |n: usize| vec![bpf_insn::default(); n];
        let moved = |kept: &[usize]| {
            let places: Vec<usize> = (0..8)
                .map(|old| kept.iter().filter(|kept| **kept < old).count())
                .collect();
            let body = Body::new(insns(8), notes.clone()).moved(insns(kept.len()), &places);
            let functions = body.notes().functions.iter();
            let functions: Vec<_> = functions.map(|f| (f.insn_off, f.type_id)).collect();
            let lines = body.notes().lines.iter();
            let lines: Vec<_> = lines.map(|l| (l.insn_off, l.line_col)).collect();
            (functions, lines)
        };
        // The first line of the first function is gone, and so is the second function.
        assert_eq!(
            moved(&[2, 3, 7]),
            (vec![(0, 1), (2, 3)], vec![(0, 11), (2, 30)])
        );
        // The first instruction of the second function is gone, and so is the third function.
        assert_eq!(
            moved(&[0, 5]),
            (vec![(0, 1), (1, 2)], vec![(0, 10), (1, 21)])
        );
    }
}
