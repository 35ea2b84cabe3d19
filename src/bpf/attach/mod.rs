// SPDX-License-Identifier: BSD-2-Clause
//! Back ends: the ways to have a program run when a function is called and when it returns.
//!
//! Each takes the same functions and feeds the same algorithm; they differ in what they cost and
//! in what they cannot take. One file a back end.

mod kprobe_multi;
mod trampoline;

use std::fmt;
use std::os::fd::OwnedFd;

use anyhow::Result;

use super::object::Loaded;
use super::sys::KernelSupport;
use crate::select::{EntryPoint, TracedFunction};
use crate::spec::{FuncId, ResultType};

/// A way to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendKind {
    /// One `kprobe.session` link for call and return of all functions (6.10).
    KprobeSession,
    /// A `kprobe.multi` and a `kretprobe.multi` link (5.18).
    KprobeMulti,
    /// fentry/fexit: two programs for each function (5.5).
    Trampoline,
}

/// What a kernel needs to have for a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The first version that has it.
    pub since: (u16, u16),
    /// The build option that it depends on, besides those that tracing depends on anyway.
    pub option: Option<&'static str>,
}

/// A function that the kernel refused, and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The function.
    pub func: FuncId,
    /// Why, as the kernel puts it.
    pub why: String,
}

/// Told how many functions of how many are attached; answers whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize) -> bool;

/// What a back end has attached. Dropping it detaches.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    /// Programs that are not part of the skeleton.
    pub(super) programs: Vec<OwnedFd>,
    pub(super) refused: Vec<Refused>,
    pub(super) n_attached: usize,
}

/// A link, and the functions that it is for: they come and go together.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) fd: OwnedFd,
    pub(super) functions: Vec<FuncId>,
}

impl Links {
    /// Adds the links of these functions.
    fn hold(&mut self, links: impl IntoIterator<Item = OwnedFd>, functions: &[&TracedFunction]) {
        let ids: Vec<FuncId> = functions.iter().map(|function| function.id).collect();
        self.links.extend(links.into_iter().map(|fd| Link {
            fd,
            functions: ids.clone(),
        }));
        self.n_attached += functions.len();
    }
}

/// One way to attach.
pub(super) trait Backend {
    /// Attaches to all of `functions` that the kernel lets it; the others are `refused`.
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links>;
}

impl BackendKind {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::KprobeSession, Self::KprobeMulti, Self::Trampoline];

    /// The best that the kernel offers: cheapest to attach first.
    #[must_use]
    pub fn best(support: KernelSupport) -> Self {
        if support.kprobe_session {
            Self::KprobeSession
        } else if support.kprobe_multi {
            Self::KprobeMulti
        } else {
            Self::Trampoline
        }
    }

    /// Whether the kernel offers it at all.
    #[must_use]
    pub fn is_offered(self, support: KernelSupport) -> bool {
        match self {
            Self::KprobeSession => support.kprobe_session,
            Self::KprobeMulti => support.kprobe_multi,
            Self::Trampoline => true,
        }
    }

    /// Whether it can take functions that have no BTF prototype of their own.
    #[must_use]
    pub fn needs_prototype(self) -> bool {
        self == Self::Trampoline
    }

    /// In a few words, for the feature report.
    #[must_use]
    pub fn what_it_is(self) -> &'static str {
        match self {
            Self::KprobeSession => "one link for calls and returns of all functions",
            Self::KprobeMulti => "two links for all functions",
            Self::Trampoline => "two programs for each function: slow to attach",
        }
    }

    /// What a kernel needs to have for it.
    #[must_use]
    pub fn needs(self) -> Needs {
        let needs = |major, minor, option| Needs {
            since: (major, minor),
            option,
        };
        match self {
            Self::KprobeSession => needs(6, 10, Some("CONFIG_FPROBE")),
            Self::KprobeMulti => needs(5, 18, Some("CONFIG_FPROBE")),
            Self::Trampoline => needs(5, 5, None),
        }
    }

    pub(super) fn implementation(self) -> Box<dyn Backend> {
        match self {
            Self::KprobeSession => Box::new(kprobe_multi::Session),
            Self::KprobeMulti => Box::new(kprobe_multi::Pair),
            Self::Trampoline => Box::new(trampoline::Trampoline),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KprobeSession => "kprobe-session",
            Self::KprobeMulti => "kprobe-multi",
            Self::Trampoline => "fentry",
        })
    }
}

/// What a program is told of its function: id, class of the result, whether it opens sessions.
///
/// `read_tag` and `OPENS_SHIFT` of `retsnoop.bpf.c` take it apart.
fn tag(function: &TracedFunction) -> u64 {
    let opens = u64::from(function.entry.is_some());
    let answers = u64::from(function.entry == Some(EntryPoint::Request)) << 7;
    let class = u64::from(result_class(function.result)) | answers;
    u64::from(function.id.0) | class << 32 | opens << 40
}

/// `enum result_class` of `events.h`, without `CLASS_ANSWERS`.
fn result_class(result: ResultType) -> u8 {
    match result {
        ResultType::Void | ResultType::Bool | ResultType::Unsigned(_) => 0,
        ResultType::Pointer => 1,
        ResultType::Signed(1) => 2,
        ResultType::Signed(2) => 3,
        ResultType::Signed(4) => 4,
        ResultType::Signed(_) | ResultType::UlongErrno => 5,
        ResultType::BlkStatus => 6,
        ResultType::VmFault => 7,
        ResultType::Unknown => 8,
    }
}
