// SPDX-License-Identifier: BSD-2-Clause
//! The texts of answers (function names and file paths). Each is stored once and identified by a
//! number.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem;
use std::sync::Arc;

use rustc_demangle::try_demangle;

use super::paths::{Paths, join};

/// Approximate memory in bytes of a text, in addition to its contents.
const TEXT_OVERHEAD: usize = 96;

/// Maximum memory for texts in bytes. The texts of a kernel take some 10 MB. A malformed unit of a
/// few megabytes may name a million texts of 4 KiB each.
const MOST_BYTES: usize = 40 << 20;

/// Replaces texts for which there is no room.
const UNKNOWN: &str = "?";

/// Maximum length in bytes of a demangled function name. No real name is longer.
const LONGEST_NAME: usize = 4 << 10;

/// Texts by their numbers.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// How paths are shortened; `None` until the first path is needed.
    paths: Option<Paths>,
    texts: Vec<Arc<str>>,
    by_text: HashMap<Arc<str>, u32>,
    /// Numbers of names by their address in memory. Linkers store equal names once.
    by_place: HashMap<usize, u32, PlaceHash>,
    /// Numbers of paths by the three parts that DWARF has of them.
    by_parts: HashMap<Box<[u8]>, u32>,
    parts: Vec<u8>,
    n_bytes: usize,
}

impl Strings {
    pub(super) fn new(paths: Option<Paths>) -> Self {
        Self {
            paths,
            ..Self::default()
        }
    }

    /// Returns the number of a function's name. The name must be in a mapped section, because its
    /// address identifies it.
    pub(super) fn name(&mut self, name: &[u8]) -> u32 {
        let place = name.as_ptr() as usize;
        if let Some(known) = self.by_place.get(&place) {
            return *known;
        }
        let text = String::from_utf8_lossy(name);
        let number = self.number(&demangled(&text));
        if !self.is_full() {
            self.by_place.insert(place, number);
            self.n_bytes += 3 * size_of::<usize>();
        }
        number
    }

    /// Returns the number of a file's path as it is shown.
    pub(super) fn path(&mut self, unit: &[u8], directory: &[u8], name: &[u8]) -> u32 {
        self.parts.clear();
        for part in [unit, directory, name] {
            self.parts.extend(part);
            self.parts.push(0);
        }
        if let Some(known) = self.by_parts.get(&self.parts[..]) {
            return *known;
        }
        let text = |part| String::from_utf8_lossy(part);
        let path = join(&join(&text(unit), &text(directory)), &text(name));
        let shown = match &self.paths {
            Some(paths) => paths.trim(&path),
            None => path,
        };
        let number = self.number(&shown);
        if !self.is_full() {
            self.by_parts.insert(self.parts[..].into(), number);
            self.n_bytes += self.parts.len() + TEXT_OVERHEAD;
        }
        number
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        if self.is_full() && text != UNKNOWN {
            return self.number(UNKNOWN);
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.n_bytes += text.len() + TEXT_OVERHEAD;
        self.texts.push(Arc::clone(&text));
        self.by_text.insert(text, number);
        number
    }

    fn is_full(&self) -> bool {
        self.n_bytes > MOST_BYTES
    }

    /// Returns the text with a number.
    pub(super) fn get(&self, number: u32) -> Option<Arc<str>> {
        self.texts.get(number as usize).map(Arc::clone)
    }

    /// Whether it is known how paths are shortened.
    pub(super) fn has_paths(&self) -> bool {
        self.paths.is_some()
    }

    /// All texts, in the order of their numbers.
    pub(super) fn all(&self) -> &[Arc<str>] {
        &self.texts
    }

    /// Approximate memory of the texts in bytes.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Removes all texts.
    pub(super) fn clear(&mut self) {
        *self = Self::new(mem::take(&mut self.paths));
    }
}

/// Demangles Rust names. Other names are returned unchanged.
pub(super) fn demangled(name: &str) -> Cow<'_, str> {
    // C names may begin with `_R` too. Only a valid mangled name is demangled.
    let Ok(written) = try_demangle(name) else {
        return Cow::Borrowed(name);
    };
    // A few letters may expand to a megabyte. If the result is longer than any real name, the
    // mangled name is kept.
    let mut short = Short(String::new());
    match write!(short, "{written:#}") {
        Ok(()) => Cow::Owned(short.0),
        Err(_) => Cow::Borrowed(name),
    }
}

/// Text that is limited to [`LONGEST_NAME`] bytes.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Hashes numbers with one multiplication per word. It is seeded, so that nobody can choose
/// colliding keys.
#[derive(Clone, Debug)]
pub(crate) struct PlaceHash(u64);

impl Default for PlaceHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for PlaceHash {
    type Hasher = PlaceHasher;

    fn build_hasher(&self) -> PlaceHasher {
        PlaceHasher(self.0)
    }
}

/// The hasher of [`PlaceHash`].
#[derive(Debug)]
pub(crate) struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LONGEST_NAME, demangled};

    #[test]
    fn rust_names_are_shown_as_they_were_written() {
        for (mangled, written) in [
            // Names of a kernel with Rust: v0, with a hash of the crate, and legacy mangling.
            (
                "_RNvMs5_NtCs3yuwAp0waWO_6kernel8bitfieldNtB5_6Status4read",
                "<kernel::bitfield::Status>::read",
            ),
            (
                "_ZN6kernel5error5Error15to_kernel_errno17h0123456789abcdefE",
                "kernel::error::Error::to_kernel_errno",
            ),
            // C functions may begin like this, too.
            ("_Read_status", "_Read_status"),
            ("_RNonsense", "_RNonsense"),
            ("vfs_read", "vfs_read"),
        ] {
            assert_eq!(demangled(mangled), written);
        }
    }

    #[test]
    fn a_name_that_means_a_megabyte_stays_as_it_is() {
        let bomb = "_RYFG_FGyyEvRYFF_EvRYFFEvERLB_B_B_ERLRjB_B_B_";
        let began = Instant::now();
        for _ in 0..1000 {
            assert_eq!(demangled(bomb), bomb);
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(bomb.len() < LONGEST_NAME);
    }
}
