// SPDX-License-Identifier: BSD-2-Clause
//! The bits that say which processes and thread names any rule is about, so that the programs look
//! up only those (`bpf/include/filter.bpf.h`).

use crate::spec::Pid;

/// `SCOPE_BITS / 64` of `limits.h`.
pub(super) const WORDS: usize = 1024;

/// `COMM_LEN`: a thread's name as the kernel keeps it.
pub(super) type CommKey = [u8; 16];

/// One bit of so many.
#[derive(Debug)]
pub(super) struct Bits(Box<[u64; WORDS]>);

impl Bits {
    /// The bits of these processes.
    pub(super) fn of_pids<'a>(pids: impl IntoIterator<Item = &'a Pid>) -> Self {
        Self::of(pids.into_iter().map(|pid| pid.0))
    }

    /// The bits of these names.
    pub(super) fn of_comms(comms: impl IntoIterator<Item = CommKey>) -> Self {
        Self::of(comms.into_iter().map(comm_bit))
    }

    fn of(indices: impl Iterator<Item = u32>) -> Self {
        let mut bits = Box::new([0; WORDS]);
        for index in indices {
            bits[(index >> 6) as usize % WORDS] |= 1 << (index & 63);
        }
        Self(bits)
    }

    pub(super) fn words(&self) -> &[u64; WORDS] {
        &self.0
    }
}

/// `comm_bit` of `filter.bpf.h`.
fn comm_bit(comm: CommKey) -> u32 {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&comm[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    let folded = (word(0) ^ word(8).wrapping_mul(31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::{Bits, comm_bit};
    use crate::spec::Pid;

    #[test]
    fn a_process_has_the_bit_of_its_low_16_bits() {
        let bits = Bits::of_pids(&[Pid(1), Pid(65_536 + 130)]);
        assert_eq!(bits.words()[0], 1 << 1);
        assert_eq!(bits.words()[2], 1 << 2);
        assert_eq!(
            bits.words()
                .iter()
                .map(|word| word.count_ones())
                .sum::<u32>(),
            2
        );
    }

    #[test]
    fn names_that_differ_anywhere_have_bits_of_their_own() {
        let a = *b"simfail\0\0\0\0\0\0\0\0\0";
        let b = *b"simfail\0\0\0\0\0\0\0x\0";
        assert_ne!(comm_bit(a), comm_bit(b));
        assert!(comm_bit(a) < 65_536);
    }
}
