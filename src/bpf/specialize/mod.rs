// SPDX-License-Identifier: BSD-2-Clause
//! Programs without what this run has no use for.
//!
//! The programs ask for the run's settings in constants. The verifier finds out for itself which
//! branches these close, but only after it has looked at all of the program: 7.x spends some
//! 25,000 instructions on each instruction that it is given, needed or not, and 5.10 takes the
//! dead ones out one by one, moving the rest. So the constants are followed here, through branches
//! and into functions, and what cannot be reached or is asked for in vain is left out.
//!
//! What is not understood is left as it is: a program that could be smaller is a correct one.

mod compact;
mod dead_code;
mod flow;
mod insn;
mod value;

#[cfg(test)]
mod tests;

use libbpf_sys::bpf_insn;

use self::insn::Decode;

/// What programs read that nobody writes any more: `.rodata`.
#[derive(Debug)]
pub(super) struct Constants {
    /// The descriptor of the map, as instructions name it.
    map: i32,
    bytes: Vec<u8>,
    /// Numbers that stand for others, which are put in later.
    marks: [u64; 2],
}

impl Constants {
    pub(super) fn new(map: i32, bytes: Vec<u8>, marks: [u64; 2]) -> Self {
        Self { map, bytes, marks }
    }

    /// The number of `size` bytes at `offset`; `None` where there is none.
    fn read(&self, offset: i64, size: usize) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(size)?)?;
        let mut word = [0; 8];
        word.get_mut(..size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
}

/// A program that does the same: the main program first, then the functions that it calls.
pub(super) fn specialized(insns: &[bpf_insn], constants: &Constants) -> Vec<bpf_insn> {
    if !insns.iter().all(Decode::is_supported) {
        return insns.to_vec();
    }
    let mut kept = flow::const_fold(insns, constants);
    dead_code::remove(&mut kept);
    compact::compact(&kept)
}

/// A program in the making: what stood at each place, or nothing any more. So all jumps still go
/// where they went.
type Kept = Vec<Option<bpf_insn>>;
