// SPDX-License-Identifier: BSD-2-Clause
//! Back ends: the ways to have a program run when a function is called and when it returns.
//!
//! Each takes the same functions and feeds the same algorithm; they differ in what they cost and
//! in what they cannot take. One file a back end.

mod bisect;
mod kprobe;
mod kprobe_multi;
mod on_load;
mod shared;
mod tracing_multi;
mod trampoline;

use std::os::fd::OwnedFd;

use anyhow::{Error, Result};

use super::object::Loaded;
use super::sys::Guardian;
use crate::select::TracedFunction;
use crate::spec::{BackendKind, FuncId, ResultType};

/// A function that the kernel refused, and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The function.
    pub func: FuncId,
    /// Why, as the kernel puts it.
    pub why: String,
    /// No other back end takes it either: ftrace does not know it.
    pub is_final: bool,
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
    /// Removes named probes once all of the above is gone.
    pub(super) guardian: Option<Guardian>,
}

/// A link, and the functions that it is for: they come and go together.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) fd: OwnedFd,
    pub(super) functions: Vec<FuncId>,
}

impl Links {
    /// Nothing attached: something was wrong with the back end itself.
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

pub(super) fn implementation(backend: BackendKind) -> Box<dyn Backend> {
    match backend {
        BackendKind::TracingMulti => Box::new(tracing_multi::TracingMulti),
        BackendKind::FentryMulti => Box::new(tracing_multi::Pair),
        BackendKind::KprobeSession => Box::new(kprobe_multi::KprobeSession),
        BackendKind::KprobeMulti => Box::new(kprobe_multi::Pair),
        BackendKind::Trampoline => Box::new(trampoline::Trampoline),
        BackendKind::Kprobe => Box::new(kprobe::Kprobe),
        BackendKind::OnLoad => Box::new(on_load::OnLoad),
    }
}

/// What a program is told of its function: id, class of the result, whether it opens sessions.
///
/// `read_tag` and `OPENS_SHIFT` of `calls.bpf.h` take it apart.
fn tag(function: &TracedFunction) -> u64 {
    let opens = u64::from(function.entry.is_some());
    // An entry function that fails is shown, also where the session it is called in succeeds.
    let answers = opens << 7;
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
