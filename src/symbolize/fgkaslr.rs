// SPDX-License-Identifier: BSD-2-Clause
//! FG-KASLR: kernels that move each function on its own at boot (patches that are not in mainline).
//! Addresses of such a kernel are translated by the name of their symbol.
//!
//! The kernel does not report whether it uses FG-KASLR. A few functions are looked up in the image
//! at the addresses that plain KASLR would give them. If they are elsewhere, the kernel uses
//! FG-KASLR.

use std::collections::HashMap;

use crate::kernel::kallsyms::Kallsyms;

/// Maximum number of functions that are probed.
const MOST_PROBES: usize = 16;

/// Maximum distance between two probes, in symbols. The first megabytes of text are sufficient.
const WIDEST_STEP: usize = 997;

/// Alignment of function sections in bytes. kallsyms counts the padding after a function as part of
/// the function.
const ALIGNMENT: u64 = 64;

/// A few functions and their addresses in the running kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct SampledFunctions(Vec<(String, u64)>);

impl SampledFunctions {
    /// Chooses functions of a kernel that are above `start`, the beginning of its text.
    pub(super) fn of(kallsyms: &Kallsyms, start: u64) -> Self {
        let (mut low, mut high) = (0, kallsyms.len());
        while low < high {
            let middle = low.midpoint(high);
            // FG-KASLR does not move the symbol at the start of the text.
            match kallsyms.symbol(middle).addr.0 <= start {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let step = ((kallsyms.len() - low) / MOST_PROBES).clamp(1, WIDEST_STEP);
        let symbols = (low..kallsyms.len())
            .step_by(step)
            .map(|index| kallsyms.symbol(index));
        let functions = symbols
            .filter(|symbol| symbol.is_function && symbol.module.is_none() && symbol.size > 0);
        let probes = functions.map(|symbol| (symbol.name.to_owned(), symbol.addr.0));
        Self(probes.take(MOST_PROBES).collect())
    }

    /// Returns the addresses that the functions would have in the image if all had moved by `moved`
    /// bytes.
    pub(super) fn in_image(&self, moved: u64) -> Vec<(&str, u64)> {
        let probes = self.0.iter();
        probes
            .map(|(name, addr)| (name.as_str(), addr.wrapping_sub(moved)))
            .collect()
    }
}

/// The functions of an image by name.
#[derive(Debug, Default)]
pub(super) struct FunctionOffsets(HashMap<String, Vec<FunctionRange>>);

#[derive(Clone, Copy, Debug)]
struct FunctionRange {
    addr: u64,
    size: u64,
}

impl FunctionOffsets {
    /// Collects functions, each with name, address, and size in bytes.
    pub(super) fn of(functions: impl Iterator<Item = (String, u64, u64)>) -> Self {
        let mut names: HashMap<String, Vec<FunctionRange>> = HashMap::new();
        for (name, addr, size) in functions {
            let known = names.entry(name).or_default();
            if known.iter().all(|function| function.addr != addr) {
                known.push(FunctionRange { addr, size });
            }
        }
        Self(names)
    }

    /// Returns whether more than half of these functions are in the image, but at other addresses.
    pub(super) fn are_elsewhere(&self, probes: &[(&str, u64)]) -> bool {
        let is_elsewhere = |probe: &&(&str, u64)| {
            let functions = self.0.get(probe.0);
            functions
                .is_some_and(|functions| functions.iter().all(|function| function.addr != probe.1))
        };
        let n_elsewhere = probes.iter().filter(is_elsewhere).count();
        n_elsewhere * 2 > probes.len()
    }

    /// Returns the address of an offset in a function that has this size in the kernel. `None` if
    /// the image has no such function, or has several and the size does not select one.
    pub(super) fn place(&self, name: &str, size: u64, offset: u64) -> Option<u64> {
        let functions = self.0.get(name)?;
        let fits = |function: &&FunctionRange| {
            let space = size.wrapping_sub(function.size);
            function.size > 0 && space < ALIGNMENT
        };
        let mut fitting = functions.iter().filter(fits);
        let function = match (&functions[..], fitting.next(), fitting.next()) {
            ([only], _, _) => only,
            (_, Some(fitting), None) => fitting,
            _ => return None,
        };
        Some(function.addr.wrapping_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::FunctionOffsets;

    #[test]
    fn namesakes_are_told_apart_by_their_size_or_not_at_all() {
        let functions = [
            ("one", 0x1000, 0x20),
            ("two", 0x2000, 0x20),
            ("two", 0x3000, 0x90),
            ("two", 0x3000, 0x90),
            ("three", 0x4000, 0x20),
            ("three", 0x5000, 0x28),
            ("asm", 0x6000, 0),
        ];
        let functions = functions.map(|(name, addr, size)| (name.to_owned(), addr, size));
        let names = FunctionOffsets::of(functions.into_iter());
        assert_eq!(names.place("one", 0x999, 0x8), Some(0x1008));
        assert_eq!(names.place("two", 0x20, 0x8), Some(0x2008));
        assert_eq!(names.place("two", 0xa0, 0x8), Some(0x3008));
        assert_eq!(names.place("two", 0x999, 0x8), None);
        assert_eq!(names.place("three", 0x30, 0), None);
        assert_eq!(names.place("asm", 0x40, 1), Some(0x6001));
        assert_eq!(names.place("none", 1, 0), None);
    }
}
