// SPDX-License-Identifier: BSD-2-Clause
//! The reasons why a function that a glob asked for is not traced.

use std::fmt;
use std::sync::Arc;

use crate::kernel::btf::TrampolineObstacle;
use crate::spec::Addr;

/// A function that a glob asked for and that is not traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Name of its symbol.
    pub name: String,
    /// Name of its module; `None` for the kernel image.
    pub module: Option<String>,
    /// Address of its symbol in the running kernel.
    pub addr: Addr,
    /// Why it is not traced.
    pub reason: LeftOutReason,
}

/// The reason why a function is not traced.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// A `-d` glob, a line of a file or a use case denies it.
    Denied {
        /// The glob and its origin, as text.
        glob: Arc<str>,
    },
    /// Tracing it is unsafe or useless on every kernel.
    BuiltIn {
        /// The reason, as the end of "never traced: …".
        why: &'static str,
    },
    /// The cold part of a function (`.cold`), which is entered by a jump.
    ColdPart,
    /// Its result is never a failure, and only the program asked for it.
    CannotFail,
    /// It never returns, so it can neither fail nor end a session.
    NoReturn,
    /// ftrace cannot trace it.
    NotTraceable,
    /// Several functions share the name, and the kernel does not say which of them it can trace.
    Ambiguous,
    /// No back end of this kernel can take it.
    NoBackend {
        /// Why trampolines cannot take it.
        obstacle: TrampolineObstacle,
    },
    /// No entry function reaches it through direct calls, or it cannot fail, and attaching is slow
    /// on this kernel.
    NotReached,
}

/// Writes the end of "not traced: …".
impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { glob } => write!(f, "denied by {glob}"),
            Self::BuiltIn { why } => write!(f, "never traced: {why}"),
            Self::ColdPart => f.write_str("the unlikely part of a function, entered by a jump"),
            Self::CannotFail => f.write_str("its result is never a failure (-a adds it)"),
            Self::NoReturn => f.write_str("never returns"),
            Self::NotTraceable => f.write_str(
                "unknown to ftrace: marked notrace, start-up code, or built without tracing",
            ),
            Self::Ambiguous => f.write_str(
                "several functions share the name, and this kernel does not tell which are traceable",
            ),
            Self::NoBackend { obstacle } => {
                write!(f, "the back end cannot take it: {}", obstacle.why())
            }
            Self::NotReached => f.write_str(
                "not reached by direct calls from the entry functions, or unable to fail \
                 (--all-matching adds it)",
            ),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(module) = &self.module {
            write!(f, " [{module}]")?;
        }
        write!(f, ": {}", self.reason)
    }
}
