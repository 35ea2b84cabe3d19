// SPDX-License-Identifier: BSD-2-Clause
//! Specializes programs: removes what this run does not use.
//!
//! The programs read the run's settings from constants. The verifier would find out by itself which
//! branches these close, but only after it has looked at the whole program. 7.x spends about 25,000
//! instructions on each instruction of a program, used or not. 5.10 removes dead instructions one
//! by one, and moves the remainder each time. So constants are propagated here, through branches
//! and into functions, and unreachable and dead code is removed.
//!
//! A program with instructions that are not supported is left as it is: it is larger than
//! necessary, but correct.

mod compact;
mod dead_code;
mod flow;
mod insn;
mod value;

#[cfg(test)]
mod tests;

use libbpf_sys::bpf_insn;

use self::compact::Compact;
use self::insn::Decode;
use super::body::Body;

/// The content of `.rodata`, which programs read and nothing writes any more.
#[derive(Debug)]
pub(super) struct Constants {
    /// The map's descriptor, as instructions contain it.
    map: i32,
    bytes: Vec<u8>,
    /// Values of constants that are replaced later, and so are not known.
    marks: [u64; 2],
}

impl Constants {
    pub(super) fn new(map: i32, bytes: Vec<u8>, marks: [u64; 2]) -> Self {
        Self { map, bytes, marks }
    }

    /// Returns the number of `size` bytes at `offset`, or `None` if it is out of range.
    fn read(&self, offset: i64, size: usize) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(size)?)?;
        let mut word = [0; 8];
        word.get_mut(..size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
}

/// Returns an equivalent program.
pub(super) fn specialized(body: &Body, constants: &Constants) -> Body {
    match specialized_insns(body, constants) {
        Some(Compact { insns, places }) => body.moved(insns, &places),
        None => body.clone(),
    }
}

fn specialized_insns(insns: &[bpf_insn], constants: &Constants) -> Option<Compact> {
    if !insns.iter().all(Decode::is_supported) {
        return None;
    }
    let mut kept = flow::const_fold(insns, constants);
    dead_code::remove(&mut kept);
    Some(compact::compact(&kept))
}

/// A program with removed instructions. Each remaining instruction is at its original place, so
/// that jumps keep their distances.
type Kept = Vec<Option<bpf_insn>>;
