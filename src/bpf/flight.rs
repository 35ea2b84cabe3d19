// SPDX-License-Identifier: BSD-2-Clause
//! The memory of the flight recorder (`bpf/include/flight.bpf.h`). The programs write to it at any
//! time, and it is read without stopping them.

use std::array;
use std::io;
use std::os::fd::BorrowedFd;

use super::sys::MappedArray;
use super::wire::{FLIGHT_WORDS, FlightWords};

/// Slots that each CPU has at least. With fewer, the calls of one session would overwrite each other.
const FEWEST_SLOTS: u32 = 64;

/// How the memory of the flight recorder is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightLayout {
    /// CPUs that have slots of their own.
    pub n_cpus: u32,
    /// Slots of each of them.
    pub n_slots: u32,
}

impl FlightLayout {
    /// Divides so many bytes among CPUs. With many CPUs and few bytes it takes more.
    #[must_use]
    pub fn within(bytes: u32, n_cpus: u32) -> Self {
        let n_cpus = n_cpus.max(1);
        let elements = bytes / (8 * FLIGHT_WORDS as u32);
        let n_slots = elements.saturating_sub(n_cpus) / n_cpus;
        Self {
            n_cpus,
            n_slots: n_slots.max(FEWEST_SLOTS),
        }
    }

    /// Number of elements of the map.
    pub(super) fn n_elements(self) -> u32 {
        self.n_cpus
            .saturating_add(self.n_cpus.saturating_mul(self.n_slots))
    }
}

/// The memory of the flight recorder.
#[derive(Debug)]
pub struct FlightMemory {
    words: MappedArray,
    layout: FlightLayout,
}

impl FlightMemory {
    pub(super) fn of(map: BorrowedFd<'_>, layout: FlightLayout) -> io::Result<Self> {
        let n_words = layout.n_elements() as usize * FLIGHT_WORDS;
        let words = MappedArray::of(map, n_words)?;
        Ok(Self { words, layout })
    }
}

/// Slots that are read while programs write to them.
pub trait FlightSlots {
    /// Returns how the memory is divided.
    fn layout(&self) -> FlightLayout;

    /// Returns the number of the last call on a CPU so far; 0 if there was none.
    fn last_number(&self, cpu: u32) -> u64;

    /// Reads the slot of the call with this number, from 1. It may hold another call by now.
    fn slot(&self, cpu: u32, number: u64) -> FlightWords;
}

impl FlightSlots for FlightMemory {
    fn layout(&self) -> FlightLayout {
        self.layout
    }

    fn last_number(&self, cpu: u32) -> u64 {
        self.words.get(cpu as usize * FLIGHT_WORDS)
    }

    fn slot(&self, cpu: u32, number: u64) -> FlightWords {
        let FlightLayout { n_cpus, n_slots } = self.layout;
        let index = (number as u32).wrapping_sub(1) % n_slots;
        let element = n_cpus + cpu * n_slots + index;
        let first = element as usize * FLIGHT_WORDS;
        FlightWords(array::from_fn(|word| self.words.get(first + word)))
    }
}

#[cfg(test)]
mod tests {
    use super::FlightLayout;

    #[test]
    fn sixty_four_mib_hold_seven_hundred_thousand_calls_on_any_number_of_cpus() {
        for n_cpus in 1..=256 {
            let layout = FlightLayout::within(64 << 20, n_cpus);
            assert!(layout.n_cpus * layout.n_slots >= 700_000, "{layout:?}");
            assert!(u64::from(layout.n_elements()) * 88 <= 64 << 20);
        }
    }

    #[test]
    fn a_small_memory_has_some_slots_for_each_cpu() {
        let layout = FlightLayout::within(64 << 10, 128);
        assert_eq!(layout.n_slots, 64);
        assert_eq!(FlightLayout::within(64 << 10, 0).n_cpus, 1);
    }
}
