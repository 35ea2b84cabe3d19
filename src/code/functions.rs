// SPDX-License-Identifier: BSD-2-Clause
//! Builds functions and their callees from bytes and symbols.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::rc::Rc;

use super::arch;
use super::decode::{ControlTransfer, Decoded, ResultUse};
use super::errnos::{ErrnoSite, Errnos};
use super::text::KernelText;
use crate::kernel::kallsyms::{Kallsyms, Symbol};
use crate::spec::Addr;

/// Maximum size of a function in bytes. A symbol without a following one may seem to be larger.
pub(super) const MAX_SIZE: u64 = 128 << 10;

const EFAULT: u16 = 14;

/// Maximum number of further parts that are followed from one function. A function has one cold
/// part.
const MAX_PARTS: usize = 4;

/// The machine code of a kernel, with a cache of the decoded functions.
pub struct Code<'a> {
    kallsyms: &'a Kallsyms,
    text: &'a dyn KernelText,
    known: RefCell<HashMap<Addr, Option<Rc<FunctionCode>>>>,
}

/// What the machine code of a function says, including its cold part (`.cold`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCode {
    /// Functions that it calls or jumps to directly, each once, in the order of the first call.
    pub callees: Vec<Callee>,
    /// Whether it also calls functions through pointers or static calls.
    pub has_indirect: bool,
    /// The offsets from which it loads the functions that it calls through pointers: offsets in
    /// tables of operations, ascending.
    pub slots: Vec<u16>,
    /// The instructions that make errnos, part by part, in the order of their addresses.
    pub sites: Vec<ErrnoSite>,
    /// The errnos of `sites`.
    pub makes: Errnos,
    /// Whether it reads values from a table of constants.
    pub has_table: bool,
}

/// A function that another one calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callee {
    /// Address of the function's start.
    pub addr: Addr,
    /// What the caller does with its result. If there are several calls, the strongest use counts.
    pub result: ResultUse,
}

/// What the target of a call or jump is.
enum CallTarget {
    Function(Addr),
    /// Another part of the same function.
    Part(Addr),
    /// An indirect call, with the offset its target was loaded from, if known.
    Indirect(Option<u16>),
    /// A function that reads or writes a word of user memory; treated as inlined.
    UserAccess,
    Nothing,
}

impl fmt::Debug for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("known", &self.known.borrow().len())
            .finish_non_exhaustive()
    }
}

impl<'a> Code<'a> {
    /// Creates the code from the bytes of `text` and the symbols of `kallsyms`.
    #[must_use]
    pub fn new(kallsyms: &'a Kallsyms, text: &'a dyn KernelText) -> Self {
        Self {
            kallsyms,
            text,
            known: RefCell::default(),
        }
    }

    /// Returns the symbols that locate the functions.
    #[must_use]
    pub fn kallsyms(&self) -> &'a Kallsyms {
        self.kallsyms
    }

    /// Returns the source of the bytes.
    pub(super) fn text(&self) -> &'a dyn KernelText {
        self.text
    }

    /// Returns the function that starts at `addr`; `None` if no function starts there, it cannot be
    /// read, or this architecture is not decoded.
    #[must_use]
    pub fn function(&self, addr: Addr) -> Option<Rc<FunctionCode>> {
        if let Some(known) = self.known.borrow().get(&addr) {
            return known.clone();
        }
        let function = self.read(addr).map(Rc::new);
        self.known.borrow_mut().insert(addr, function.clone());
        function
    }

    fn read(&self, addr: Addr) -> Option<FunctionCode> {
        let mut function = FunctionCode::default();
        let mut parts = vec![self.decode(addr)?];
        let mut seen = vec![addr];
        let mut n_done = 0;
        while let Some(part) = parts.get_mut(n_done) {
            n_done += 1;
            function.has_indirect |= part.has_indirect;
            function.has_table |= part.has_table;
            function.slots.append(&mut part.slots);
            let (start, mut accesses) = (seen[n_done - 1], Vec::new());
            let mut found = Vec::new();
            for transfer in mem::take(&mut part.transfers) {
                match self.target(&transfer) {
                    CallTarget::Function(callee) => function.add(callee, transfer.result),
                    CallTarget::Indirect(slot) => {
                        function.has_indirect = true;
                        function.slots.extend(slot);
                    }
                    CallTarget::UserAccess => {
                        accesses.push((Addr(start.0 + transfer.offset), EFAULT));
                    }
                    CallTarget::Part(part) if !seen.contains(&part) && seen.len() <= MAX_PARTS => {
                        if let Some(decoded) = self.decode(part) {
                            seen.push(part);
                            found.push(decoded);
                        }
                    }
                    CallTarget::Part(_) | CallTarget::Nothing => {}
                }
            }
            function.sites.extend(part.sites(&accesses));
            parts.append(&mut found);
        }
        function.makes = Errnos::of(function.sites.iter().map(|site| site.errno));
        // A recursive call adds nothing to what the function itself says.
        function.callees.retain(|callee| callee.addr != addr);
        function.slots.sort_unstable();
        function.slots.dedup();
        Some(function)
    }

    fn decode(&self, addr: Addr) -> Option<Decoded> {
        let (symbol, offset) = self.kallsyms.resolve(addr)?;
        if offset != 0 || !symbol.is_function {
            return None;
        }
        let mut bytes = vec![0; symbol.size.min(MAX_SIZE) as usize];
        if !self.text.read(addr, &mut bytes) {
            return None;
        }
        arch::decode(addr, &bytes)
    }

    fn target(&self, transfer: &ControlTransfer) -> CallTarget {
        let Some((symbol, offset)) = self.kallsyms.resolve(transfer.target) else {
            // A tracer's trampoline near the start, or a thunk that the kernel generated at run
            // time.
            return if transfer.offset <= arch::MAX_ENTRY_OFFSET {
                CallTarget::Nothing
            } else {
                CallTarget::Indirect(None)
            };
        };
        let name = symbol.name;
        if is_thunk_of_call(name) {
            let register = arch::register_of_thunk(name);
            CallTarget::Indirect(register.and_then(|register| transfer.loads[register]))
        } else if is_nothing(&symbol) {
            CallTarget::Nothing
        } else if is_user_access(name) {
            CallTarget::UserAccess
        } else if is_body_of_system_call(name) || !transfer.is_call && is_part(name) {
            CallTarget::Part(symbol.addr)
        } else if offset <= arch::MAX_ENTRY_OFFSET {
            CallTarget::Function(symbol.addr)
        } else {
            // A jump back from the cold part, or between labels of assembler code.
            CallTarget::Nothing
        }
    }
}

impl FunctionCode {
    fn add(&mut self, addr: Addr, result: ResultUse) {
        match self.callees.iter_mut().find(|callee| callee.addr == addr) {
            Some(known) => known.result = known.result.max(result),
            None => self.callees.push(Callee { addr, result }),
        }
    }
}

/// Returns true for thunks of indirect calls and for static calls, whose target may change at run
/// time. Static calls that may only reschedule, and tracepoints, are excluded.
fn is_thunk_of_call(name: &str) -> bool {
    if let Some(of) = name.strip_prefix("__SCT__") {
        let dull = [
            "might_resched",
            "cond_resched",
            "preempt_schedule",
            "tp_func_",
        ];
        return !dull.iter().any(|dull| of.starts_with(dull));
    }
    arch::is_thunk(name)
}

fn is_nothing(symbol: &Symbol<'_>) -> bool {
    let of_tracers = symbol.module.is_some_and(|module| {
        module == "bpf" || module.starts_with("__builtin__") || module == "ftrace"
    });
    let begins = ["__SCT__", "ftrace_", "__sanitizer_cov_"];
    let mut begins = begins.iter().chain(arch::NOTHING);
    of_tracers || begins.any(|prefix| symbol.name.starts_with(prefix))
}

/// Returns true for assembler functions without a frame that return `-EFAULT` to their caller.
fn is_user_access(name: &str) -> bool {
    name.starts_with("__get_user_") || name.starts_with("__put_user_")
}

/// Returns true for inline functions of a system call that were emitted out of line and are
/// notrace. They are treated as part of the system call's function.
fn is_body_of_system_call(name: &str) -> bool {
    [
        "__do_sys_",
        "__se_sys_",
        "__do_compat_sys_",
        "__se_compat_sys_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Returns true for cold parts: `f.cold`, `f.cold.3`, `f.part.0.cold`.
pub(super) fn is_part(name: &str) -> bool {
    name.split('.').skip(1).any(|suffix| suffix == "cold")
}
