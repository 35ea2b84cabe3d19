// SPDX-License-Identifier: BSD-2-Clause
//! Reads the slots of the flight recorder, and remembers what was written out.

use std::collections::HashMap;

use crate::bpf::FlightSlots;
use crate::events::{FlightRecord, FlightSlot, decode_flight};

/// A call, and its place: the number of a CPU's slots, and its number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlacedCall {
    pub(super) record: FlightRecord,
    cpu: u32,
    number: u64,
}

impl PlacedCall {
    /// Returns false for a call in an interrupt.
    pub(super) fn is_of_task(&self) -> bool {
        self.record.execution_context == 0
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FlightRead {
    pub(super) calls: Vec<PlacedCall>,
    /// For each CPU, the number of the first call that was not read yet.
    pub(super) next: Vec<u64>,
    pub(super) overwritten: u64,
    pub(super) torn: u64,
}

/// Reads all calls whose numbers are not below `from`, which has a number for each CPU. A CPU
/// without one is read from the first call.
pub(super) fn read(memory: &dyn FlightSlots, from: &[u64]) -> FlightRead {
    let mut read = FlightRead::default();
    let mut torn = Vec::new();
    let n_slots = u64::from(memory.layout().n_slots);
    for cpu in 0..memory.layout().n_cpus {
        let last = memory.last_number(cpu);
        let from = from.get(cpu as usize).copied().unwrap_or(1).max(1);
        let oldest = last.saturating_sub(n_slots) + 1;
        read.overwritten += oldest.saturating_sub(from);
        for number in from.max(oldest)..=last {
            if !read.slot(memory, cpu, number) {
                torn.push((cpu, number));
            }
        }
        read.next.push(last.saturating_add(1).max(from));
    }
    // What was being written is written by now, unless its task was preempted.
    for (cpu, number) in torn {
        if !read.slot(memory, cpu, number) {
            read.torn += 1;
        }
    }
    read
}

impl FlightRead {
    /// Reads one slot. Returns false if it is torn.
    fn slot(&mut self, memory: &dyn FlightSlots, cpu: u32, number: u64) -> bool {
        let words = memory.slot(cpu, number);
        match decode_flight(&words, number, memory.last_number(cpu)) {
            FlightSlot::Call(record) => self.calls.push(PlacedCall {
                record,
                cpu,
                number,
            }),
            FlightSlot::Overwritten => self.overwritten += 1,
            FlightSlot::Torn => return false,
        }
        true
    }
}

/// Containers that are remembered as written alone. Beyond that, calls may be written out twice.
const MAX_CONTAINERS: usize = 1024;

/// What was written out: for each CPU, the number of the first call that was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    of_all: Vec<u64>,
    /// By the id of the container, if its calls were written alone.
    of_container: HashMap<String, Vec<u64>>,
}

impl Written {
    /// Returns the number of the first call for each CPU that may have to be written out.
    pub(super) fn first_numbers(&self, container: Option<&str>) -> Vec<u64> {
        let alone = container.and_then(|container| self.of_container.get(container));
        // Never less than for all: `note` removes what is.
        alone.unwrap_or(&self.of_all).clone()
    }

    /// Returns true if a call of this container was written out with it alone.
    pub(super) fn has(&self, container: Option<&str>, call: &PlacedCall) -> bool {
        let numbers = container.and_then(|container| self.of_container.get(container));
        let first = numbers.and_then(|numbers| numbers.get(call.cpu as usize));
        first.is_some_and(|first| call.number < *first)
    }

    /// Notes that all calls, or all of a container, with numbers below `next` were written out.
    pub(super) fn note(&mut self, container: Option<String>, next: Vec<u64>) {
        match container {
            Some(container) => {
                if self.of_container.len() >= MAX_CONTAINERS {
                    self.of_container.clear();
                }
                self.of_container.insert(container, next);
            }
            None => {
                self.of_all = next;
                self.of_container.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{FlightRead, PlacedCall, Written, read};
    use crate::bpf::wire::{FLIGHT_WORDS, FlightWords};
    use crate::bpf::{FlightLayout, FlightSlots};
    use crate::events::FlightRecord;

    /// The slots of CPUs, as the programs write them.
    struct Slots {
        layout: FlightLayout,
        last: Vec<u64>,
        slots: Vec<Vec<Cell<FlightWords>>>,
        /// Slots that are whole only when they are read for the second time.
        late: Cell<Option<FlightWords>>,
    }

    impl Slots {
        fn new(n_cpus: u32, n_slots: u32) -> Self {
            let slots = vec![Cell::default(); n_slots as usize];
            Self {
                layout: FlightLayout { n_cpus, n_slots },
                last: vec![0; n_cpus as usize],
                slots: vec![slots; n_cpus as usize],
                late: Cell::default(),
            }
        }

        fn index(&self, number: u64) -> usize {
            ((number as u32).wrapping_sub(1) % self.layout.n_slots) as usize
        }

        /// Writes a call whose result is its number.
        fn write(&mut self, cpu: usize) {
            self.last[cpu] += 1;
            let number = self.last[cpu];
            let words = words(number);
            self.slots[cpu][self.index(number)].set(words);
        }

        fn damage(&self, cpu: usize, number: u64) {
            let slot = &self.slots[cpu][self.index(number)];
            let mut words = slot.get();
            words.0[3] ^= 0xffff << 32;
            slot.set(words);
        }
    }

    fn words(number: u64) -> FlightWords {
        let mut words = [0; FLIGHT_WORDS];
        words[3] = number << 20;
        words[0] = number ^ words[3];
        FlightWords(words)
    }

    impl FlightSlots for Slots {
        fn layout(&self) -> FlightLayout {
            self.layout
        }

        fn last_number(&self, cpu: u32) -> u64 {
            self.last[cpu as usize]
        }

        fn slot(&self, cpu: u32, number: u64) -> FlightWords {
            let slot = &self.slots[cpu as usize][self.index(number)];
            let words = slot.get();
            if let Some(late) = self.late.take() {
                slot.set(late);
            }
            words
        }
    }

    fn numbers(read: &FlightRead) -> Vec<(u32, u64)> {
        let calls = read.calls.iter();
        calls.map(|call| (call.cpu, call.number)).collect()
    }

    #[test]
    fn nothing_is_read_before_the_first_call() {
        let read = read(&Slots::new(2, 4), &[]);
        assert_eq!((read.calls.len(), read.overwritten, read.torn), (0, 0, 0));
        assert_eq!(read.next, [1, 1]);
    }

    #[test]
    fn each_call_is_read_once_and_what_was_overwritten_is_counted() {
        let mut slots = Slots::new(2, 4);
        (0..3).for_each(|_| slots.write(0));
        slots.write(1);
        let first = read(&slots, &[]);
        assert_eq!(numbers(&first), [(0, 1), (0, 2), (0, 3), (1, 1)]);
        assert_eq!(first.calls[2].record.result, 3 << 20);
        // Six calls into four slots.
        (0..6).for_each(|_| slots.write(0));
        let second = read(&slots, &first.next);
        assert_eq!(numbers(&second), [(0, 6), (0, 7), (0, 8), (0, 9)]);
        assert_eq!((second.overwritten, second.torn), (2, 0));
        let third = read(&slots, &second.next);
        assert_eq!(
            (third.calls.len(), third.overwritten, third.torn),
            (0, 0, 0)
        );
        assert_eq!(third.next, second.next);
    }

    #[test]
    fn a_torn_slot_is_counted_and_the_others_are_read() {
        let mut slots = Slots::new(1, 4);
        (0..3).for_each(|_| slots.write(0));
        slots.damage(0, 2);
        // Its number was taken, and nothing is written.
        slots.last[0] += 1;
        let read = read(&slots, &[]);
        assert_eq!(numbers(&read), [(0, 1), (0, 3)]);
        assert_eq!((read.overwritten, read.torn), (0, 2));
    }

    #[test]
    fn a_call_that_is_being_written_is_read_again() {
        let mut slots = Slots::new(1, 4);
        slots.write(0);
        slots.damage(0, 1);
        slots.late.set(Some(words(1)));
        let read = read(&slots, &[]);
        assert_eq!((numbers(&read), read.torn), (vec![(0, 1)], 0));
    }

    #[test]
    fn calls_are_read_where_the_low_half_of_their_numbers_wraps() {
        let mut slots = Slots::new(1, 3);
        let before = u64::from(u32::MAX) - 1;
        slots.last[0] = before;
        (0..4).for_each(|_| slots.write(0));
        let read = read(&slots, &[before + 1]);
        // 2^32 is no multiple of three, so one slot was taken by two of the last three calls.
        assert_eq!(read.calls.len() as u64 + read.overwritten + read.torn, 4);
        assert!(read.calls.len() >= 2);
    }

    #[test]
    fn a_damaged_count_of_calls_neither_panics_nor_hangs() {
        let mut slots = Slots::new(1, 4);
        slots.last[0] = u64::MAX;
        let first = read(&slots, &[]);
        assert_eq!(first.torn, 4);
        slots.last[0] = 0;
        assert_eq!(read(&slots, &first.next).calls, []);
    }

    #[test]
    fn calls_of_a_container_are_written_once_with_it_alone_or_with_all() {
        let call = |number| PlacedCall {
            record: FlightRecord::default(),
            cpu: 0,
            number,
        };
        let mut written = Written::default();
        written.note(Some("web".to_owned()), vec![5]);
        assert_eq!(written.first_numbers(None), [0; 0]);
        assert_eq!(written.first_numbers(Some("web")), [5]);
        assert!(written.has(Some("web"), &call(4)));
        assert!(!written.has(Some("web"), &call(5)));
        assert!(!written.has(Some("db"), &call(4)) && !written.has(None, &call(4)));
        written.note(None, vec![9]);
        assert_eq!(written.first_numbers(Some("web")), [9]);
        assert!(!written.has(Some("web"), &call(9)));
    }
}
