// SPDX-License-Identifier: BSD-2-Clause
//! What an address turns into.

use std::borrow::Cow;
use std::sync::Arc;

use super::strings::demangled;

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceLine {
    /// Path as a kernel developer writes it: `kernel/bpf/syscall.c`.
    pub path: Arc<str>,
    /// Line number, from 1; 0 where the compiler attributes no line.
    pub line: u32,
}

/// A function that the compiler inlined at an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inlined {
    /// Its name.
    pub function: Arc<str>,
    /// The line in that function.
    pub source: Option<SourceLine>,
}

/// The symbol that an address lies in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SymbolAt {
    /// Name as kallsyms has it.
    pub name: Arc<str>,
    /// Module, `None` for the kernel itself.
    pub module: Option<Arc<str>>,
    /// Distance from the symbol's start, in bytes.
    pub offset: u64,
    /// Size of the symbol, in bytes: distance to the next one.
    pub size: u64,
}

/// One address, symbolized. What could not be had is `None`, never an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The symbol; `None` where the address belongs to nothing known.
    pub symbol: Option<SymbolAt>,
    /// The line in that (outermost) function.
    pub source: Option<SourceLine>,
    /// Functions inlined there, outermost first.
    pub inlined: Vec<Inlined>,
}

impl SymbolAt {
    /// The name as it was written in Rust; that of C code is its own.
    #[must_use]
    pub fn written_name(&self) -> Cow<'_, str> {
        demangled(&self.name)
    }
}

/// How much is told about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Symbol and offset.
    Names,
    /// The source line as well.
    Lines,
    /// The inlined functions as well.
    Inlines,
}
