// SPDX-License-Identifier: BSD-2-Clause
//! Back ends: ways to run a program when a function is called and when it returns.
//!
//! All back ends take the same functions and feed the same algorithm. They differ in what they cost
//! and in which functions they cannot attach to. Each has a file of its own.

mod bisect;
mod kprobe;
mod kprobe_multi;
mod on_load;
mod shared;
mod syscalls;
mod tracing_multi;
mod trampoline;
mod uprobe;
mod usdt;

use std::os::fd::OwnedFd;

use anyhow::{Error, Result};

use super::object::LoadedObject;
use super::sys::Guardian;
use crate::select::TracedFunction;
use crate::spec::{BackendKind, EntryReason, FilterResult, HookId, ObjectId, ResultType};

pub(super) use syscalls::forget;
pub(super) use usdt::LoadedProbes;

/// A function that the kernel refused, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Id of the function.
    pub func: HookId,
    /// The error, with the kernel's error text.
    pub why: String,
    /// Whether no other back end can attach to the function, because ftrace does not know it.
    pub is_final: bool,
}

/// Called with the number of functions that are done, and the number of all. Returns whether to go
/// on.
pub type AttachProgress<'a> = &'a mut dyn FnMut(usize, usize) -> bool;

/// What a back end has attached. Dropping it detaches.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    /// Loaded copies of programs. The skeleton does not own them.
    pub(super) programs: Vec<OwnedFd>,
    pub(super) refused: Vec<Refused>,
    pub(super) n_attached: usize,
    /// Removes named probes. It is the last field, because it can do so only when the links are
    /// gone.
    pub(super) guardian: Option<Guardian>,
}

/// A link, and the functions that it is for. Closing it detaches from all of them.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) fd: OwnedFd,
    pub(super) functions: Vec<HookId>,
    /// The file of the functions, if they are user functions.
    pub(super) object: Option<ObjectId>,
}

impl Links {
    /// Nothing is attached, and all functions are refused with this error, because the back end
    /// itself failed.
    pub(super) fn refused_all(functions: &[&TracedFunction], error: &Error) -> Self {
        let refused = functions.iter().map(|function| Refused {
            func: function.id,
            why: format!("{error:#}"),
            is_final: false,
        });
        Self {
            refused: refused.collect(),
            ..Self::default()
        }
    }

    /// Adds links that are all for the same functions.
    fn hold(&mut self, links: impl IntoIterator<Item = OwnedFd>, functions: &[&TracedFunction]) {
        let ids: Vec<HookId> = functions.iter().map(|function| function.id).collect();
        let first = functions.first();
        let first = first.and_then(|function| function.hook.user_function());
        let object = first.map(|(object, _)| object);
        self.links.extend(links.into_iter().map(|fd| Link {
            fd,
            functions: ids.clone(),
            object,
        }));
        self.n_attached += functions.len();
    }
}

/// A way to attach to functions.
pub(super) trait Backend {
    /// Attaches to all of `functions` that the kernel accepts. The others are listed in
    /// [`Links::refused`]. Fails if the back end itself cannot be used, or if `progress` stops it.
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links>;
}

pub(super) fn implementation(backend: BackendKind) -> Box<dyn Backend> {
    match backend {
        BackendKind::TracingMulti => Box::new(tracing_multi::FsessionMulti),
        BackendKind::FentryMulti => Box::new(tracing_multi::FentryFexitMulti),
        BackendKind::KprobeSession => Box::new(kprobe_multi::KprobeSession),
        BackendKind::KprobeMulti => Box::new(kprobe_multi::KprobeMulti),
        BackendKind::Trampoline => Box::new(trampoline::Trampoline),
        BackendKind::Kprobe => Box::new(kprobe::Kprobe),
        BackendKind::SystemCalls => Box::new(syscalls::SystemCalls),
        BackendKind::OnLoad => Box::new(on_load::OnLoadProbes),
        BackendKind::UprobeMulti => Box::new(uprobe::UprobeMulti),
        BackendKind::Uprobe => Box::new(uprobe::Uprobe),
    }
}

/// `OPENS_SHIFT` of `calls.bpf.h`.
pub(super) const OPENS_SHIFT: u32 = 40;

/// `CLASS_REASON_SHIFT` of `stack.bpf.h`.
pub(super) const REASON_SHIFT: u32 = 4;

/// Returns what a program is told about its function: id (bits 0 to 31), class byte (32 to 39),
/// whether it opens sessions (40). `calls.bpf.h` and `stack.bpf.h` decode it.
fn tag(function: &TracedFunction) -> u64 {
    let reason = function.entry.map_or(0, EntryReason::to_wire);
    // `CLASS_ANSWERS`: a failure of an entry function is shown, even if it is called in a session
    // that succeeds.
    let opens = u8::from(function.entry.is_some());
    let class = result_class(function.result) | reason << REASON_SHIFT | opens << 7;
    u64::from(function.id.0) | u64::from(class) << 32 | u64::from(opens) << OPENS_SHIFT
}

/// Returns the `enum result_class` of `events.h`, without `CLASS_ANSWERS`.
pub(super) fn result_class(result: ResultType) -> u8 {
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
        ResultType::MinusOne => 9,
        ResultType::False => 10,
        ResultType::UserInteger => 11,
        ResultType::Filter(FilterResult::MinusOne) => 12,
        ResultType::Filter(FilterResult::False) => 13,
    }
}
