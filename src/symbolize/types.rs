// SPDX-License-Identifier: BSD-2-Clause
//! The types of a symbolized address.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::strings::demangled;
use crate::spec::Ip;

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceLine {
    /// Path as a kernel developer writes it: `kernel/bpf/syscall.c`.
    pub path: Arc<str>,
    /// Line number, from 1; 0 if the compiler attributes no line.
    pub line: u32,
}

/// A function that the compiler inlined at an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inlined {
    /// Name of the function, demangled if it is Rust.
    pub function: Arc<str>,
    /// The line in that function; `None` if it is not known.
    pub source: Option<SourceLine>,
}

/// The symbol that contains an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SymbolAt {
    /// Name as in kallsyms.
    pub name: Arc<str>,
    /// Name of the module; `None` for the kernel itself.
    pub module: Option<Arc<str>>,
    /// Distance from the start of the symbol, in bytes.
    pub offset: u64,
    /// Size of the symbol in bytes: the distance to the next one.
    pub size: u64,
}

/// A symbolized address. Parts that are not known are `None`, never an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The symbol; `None` if no known symbol contains the address.
    pub symbol: Option<SymbolAt>,
    /// The line in that (outermost) function.
    pub source: Option<SourceLine>,
    /// Functions that are inlined at the address, outermost first.
    pub inlined: Vec<Inlined>,
}

impl SymbolAt {
    /// The demangled name of a Rust function. A C name is returned unchanged.
    #[must_use]
    pub fn written_name(&self) -> Cow<'_, str> {
        demangled(&self.name)
    }
}

/// The frames of some instruction pointers. A value: nothing is looked up behind it.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// In the order in which they were asked for.
    found: Vec<(Ip, Arc<Frame>)>,
    /// Where the next search begins. Frames are read in the order in which they were asked for, so
    /// the search is nearly always over at once.
    next: Cell<usize>,
}

impl Frames {
    pub(super) fn new(found: Vec<(Ip, Arc<Frame>)>) -> Self {
        Self {
            found,
            next: Cell::new(0),
        }
    }

    /// Returns the frame of an instruction pointer; `None` if it is not among those that were asked
    /// for.
    #[must_use]
    pub fn get(&self, ip: Ip) -> Option<&Arc<Frame>> {
        let is_it = |(known, _): &(Ip, Arc<Frame>)| *known == ip;
        let (before, after) = self.found.split_at(self.next.get());
        let at = match after.iter().position(is_it) {
            Some(at) => before.len() + at,
            None => before.iter().position(is_it)?,
        };
        self.next.set(at + 1);
        self.found.get(at).map(|(_, frame)| frame)
    }
}

/// How much is looked up for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Symbol and offset.
    Names,
    /// Symbol, offset and source line.
    Lines,
    /// Symbol, offset, source line and inlined functions.
    Inlines,
}
