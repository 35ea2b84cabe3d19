// SPDX-License-Identifier: BSD-2-Clause
//! Decodes the slots of the flight recorder (`bpf/include/flight.bpf.h`), which are read while
//! programs write to them.

use std::mem::offset_of;

use crate::bpf::wire::{FLIGHT_WORDS, FlightWords, flight_slot};

/// What a slot holds in place of the call that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlightSlot {
    /// The call.
    Call(FlightRecord),
    /// A later call.
    Overwritten,
    /// Parts of calls, an earlier call, or nothing: the call is being written, or two programs wrote
    /// to the slot at the same time.
    Torn,
}

/// A call in the flight recorder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlightRecord {
    /// Start in nanoseconds of the monotonic clock.
    pub started_ns: u64,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// Value of the return register.
    pub result: u64,
    /// Start of its session in nanoseconds of the monotonic clock.
    pub session_ns: u64,
    /// Id of the task's cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Thread name, which a zero byte may end.
    pub comm: [u8; 16],
    /// Id of the function.
    pub func: u32,
    /// Position among the calls of the session, in the order of their start.
    pub seq: u32,
    /// Thread id in the initial PID namespace.
    pub tid: u32,
    /// Process id in the initial PID namespace.
    pub tgid: u32,
    /// Number of traced calls above it.
    pub depth: u16,
    /// The context, as a value of `enum execution_context`.
    pub execution_context: u16,
    /// The CPU that it returned on.
    pub cpu: u32,
}

/// Decodes the slot of the call with this number. `last` is the number of the last call on its CPU,
/// read after the slot.
#[must_use]
pub fn decode_flight(words: &FlightWords, number: u64, last: u64) -> FlightSlot {
    let found = words.0.iter().fold(0, |sum, word| sum ^ word);
    if found != number {
        let is_later = found > number && found <= last;
        return if is_later {
            FlightSlot::Overwritten
        } else {
            FlightSlot::Torn
        };
    }
    let word = |offset: usize| words.0[offset / 8];
    let half = |offset: usize| (word(offset) >> (offset % 8 * 8)) as u32;
    let mut comm = [0; 16];
    let name = &words.0[offset_of!(flight_slot, comm) / 8..];
    for (bytes, word) in comm.as_chunks_mut().0.iter_mut().zip(name) {
        *bytes = word.to_ne_bytes();
    }
    FlightSlot::Call(FlightRecord {
        started_ns: word(offset_of!(flight_slot, started_ns)),
        duration_ns: word(offset_of!(flight_slot, duration_ns)),
        result: word(offset_of!(flight_slot, result)),
        session_ns: word(offset_of!(flight_slot, session_ns)),
        cgroup: word(offset_of!(flight_slot, cgroup)),
        comm,
        func: half(offset_of!(flight_slot, func)),
        seq: half(offset_of!(flight_slot, seq)),
        tid: half(offset_of!(flight_slot, tid)),
        tgid: half(offset_of!(flight_slot, tgid)),
        depth: half(offset_of!(flight_slot, depth)) as u16,
        execution_context: (half(offset_of!(flight_slot, execution_context)) as u8).into(),
        cpu: half(offset_of!(flight_slot, cpu)),
    })
}

const _: () = assert!(cfg!(target_endian = "little"), "halves of words");
const _: () = assert!(offset_of!(flight_slot, cpu) / 8 == FLIGHT_WORDS - 1);

#[cfg(test)]
mod tests {
    use super::{FlightRecord, FlightSlot, decode_flight};
    use crate::bpf::wire::{FLIGHT_WORDS, FlightWords};

    /// A slot as the programs write it.
    fn slot(number: u64) -> FlightWords {
        let mut words = [
            0,
            1_000,
            25,
            (-22_i64).cast_unsigned(),
            900,
            4242,
            u64::from_le_bytes(*b"simfail\0"),
            0,
            3 << 32 | 7,
            1234 << 32 | 1235,
            5 << 32 | 1 << 16 | 2,
        ];
        words[0] = words.iter().fold(number, |sum, word| sum ^ word);
        FlightWords(words)
    }

    #[test]
    fn a_whole_slot_is_the_call_that_it_should_be() {
        let expected = FlightRecord {
            started_ns: 1_000,
            duration_ns: 25,
            result: (-22_i64).cast_unsigned(),
            session_ns: 900,
            cgroup: 4242,
            comm: *b"simfail\0\0\0\0\0\0\0\0\0",
            func: 7,
            seq: 3,
            tid: 1235,
            tgid: 1234,
            depth: 2,
            execution_context: 1,
            cpu: 5,
        };
        assert_eq!(
            decode_flight(&slot(9), 9, 9),
            FlightSlot::Call(expected.clone())
        );
        let wrapped = 1 << 40 | 9;
        assert_eq!(
            decode_flight(&slot(wrapped), wrapped, wrapped + 1),
            FlightSlot::Call(expected)
        );
    }

    #[test]
    fn a_slot_that_a_later_call_took_is_overwritten_and_all_else_is_torn() {
        assert_eq!(decode_flight(&slot(73), 9, 80), FlightSlot::Overwritten);
        assert_eq!(decode_flight(&slot(73), 9, 72), FlightSlot::Torn);
        assert_eq!(decode_flight(&slot(9), 73, 80), FlightSlot::Torn);
        assert_eq!(
            decode_flight(&FlightWords::default(), 1, 1),
            FlightSlot::Torn
        );
    }

    #[test]
    fn a_slot_with_any_word_of_another_call_is_torn() {
        for torn in 0..FLIGHT_WORDS {
            let mut words = slot(9);
            words.0[torn] ^= 0x1234_5678_0000_0001;
            assert_eq!(decode_flight(&words, 9, 80), FlightSlot::Torn, "{torn}");
        }
    }

    #[test]
    fn any_words_are_decoded_without_a_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..10_000 {
            let mut words = FlightWords::default();
            for word in &mut words.0 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *word = state;
            }
            // Also as a call: then all fields are read.
            let number = words.0.iter().fold(0, |sum, word| sum ^ word);
            let whole = decode_flight(&words, number, u64::MAX);
            assert!(matches!(whole, FlightSlot::Call(_)));
            let _ = decode_flight(&words, number ^ state, state);
        }
    }
}
