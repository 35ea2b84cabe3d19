// SPDX-License-Identifier: BSD-2-Clause
//! fentry/fexit: two programs for each function, copied from templates.
//!
//! A program's function is fixed when the program is loaded (`attach_btf_id`). So every function
//! needs copies of its own. The copies differ in two instructions: the constant that holds the
//! function's tag, and the offset of the result after the function's arguments.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, Result, anyhow};
use libbpf_sys::bpf_attach_type;

use super::super::body::Body;
use super::super::object::LoadedObject;
use super::super::patch::{Copy, Single, for_single};
use super::super::program;
use super::super::rlimit::those_that_fit;
use super::super::sys::{self, ProgramKind, TRACE_FENTRY, TRACE_FEXIT};
use super::shared::Sharing;
use super::{AttachProgress, Backend, Links, Refused, tag};
use crate::select::{BtfOrigin, TracedFunction};

pub(super) struct Trampoline;

/// Descriptors for one function: two programs and two links.
const DESCRIPTORS_PER_FUNCTION: u64 = 4;

/// The two loaded programs of one function.
struct ProgramPair {
    entry: OwnedFd,
    exit: OwnedFd,
}

impl Backend for Trampoline {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let mut links = Links::default();
        let functions = those_that_fit(functions, DESCRIPTORS_PER_FUNCTION, &mut links.refused)?;
        let modules = module_btfs(functions)?;
        let programs = load_all(loaded, functions, &modules);
        for (n_done, (function, programs)) in functions.iter().zip(programs).enumerate() {
            match programs.and_then(|programs| attach_one(&programs).map(|new| (programs, new))) {
                Ok((programs, new)) => {
                    links.hold(new, &[*function]);
                    links.programs.extend([programs.entry, programs.exit]);
                }
                Err(error) => {
                    links.refused.push(Refused {
                        func: function.id,
                        why: format!("{error:#}"),
                        is_final: false,
                    });
                }
            }
            if !progress(n_done + 1, functions.len()) {
                break; // all links are dropped together later
            }
        }
        Ok(links)
    }
}

/// Specialized programs without the function's own constants: for calls, and for returns.
struct Copies {
    opening: (Body, Body),
    inner: (Body, Body),
    sharing: Option<Sharing>,
}

impl Copies {
    fn of(loaded: &LoadedObject<'_>, functions: &[&TracedFunction]) -> Self {
        let both = |opens| {
            let copy = Copy {
                opens,
                ..Copy::default()
            };
            let copy = |template| loaded.copier.copy(template, copy);
            let templates = &loaded.templates;
            (
                copy(&templates.trampoline_entry),
                copy(&templates.trampoline_exit),
            )
        };
        Self {
            opening: both(true),
            inner: both(false),
            sharing: Sharing::of(loaded, functions),
        }
    }
}

/// Loads the programs of all functions, in parallel, because on old kernels verification is most of
/// the work. Attaching is not parallel. Returns one result for each function, in their order.
fn load_all(
    loaded: &LoadedObject<'_>,
    functions: &[&TracedFunction],
    modules: &HashMap<String, OwnedFd>,
) -> Vec<Result<ProgramPair>> {
    let next = AtomicUsize::new(0);
    // Only the copies cross threads: the skeleton is not `Send`.
    let copies = Copies::of(loaded, functions);
    let (send, receive) = mpsc::channel();
    let work = |send: Sender<(usize, Result<ProgramPair>)>| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(function) = functions.get(index) else {
                return;
            };
            let programs = load_one(&copies, function, modules);
            if send.send((index, programs)).is_err() {
                return;
            }
        }
    };
    let n_threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(functions.len());
    let mut all: Vec<Result<ProgramPair>> = Vec::new();
    all.resize_with(functions.len(), || Err(anyhow!("its loading was given up")));
    thread::scope(|scope| {
        for _ in 0..n_threads {
            let send = send.clone();
            scope.spawn(|| work(send));
        }
        drop(send);
        for (index, programs) in receive {
            all[index] = programs;
        }
    });
    all
}

fn load_one(
    copies: &Copies,
    function: &TracedFunction,
    modules: &HashMap<String, OwnedFd>,
) -> Result<ProgramPair> {
    let prototype = function.prototype.context("no BTF prototype")?;
    let module_btf = match prototype.origin {
        BtfOrigin::Vmlinux => None,
        BtfOrigin::Module => {
            let module = function
                .module
                .as_deref()
                .context("a module function without module")?;
            Some(
                modules
                    .get(module)
                    .context("the module has no BTF")?
                    .as_fd(),
            )
        }
    };
    let single = Single {
        tag: tag(function),
        arg_slots: prototype.arg_slots,
    };
    let load = |name: &CStr, copy: &Body, attach_type| {
        let insns = for_single(copy, single);
        program::load(
            name,
            &insns,
            kind(attach_type, prototype.btf_id, module_btf),
        )
    };
    let both = |entry: &Body, exit: &Body| -> Result<ProgramPair> {
        Ok(ProgramPair {
            entry: load(c"retsnoop_entry", entry, TRACE_FENTRY)?,
            exit: load(c"retsnoop_exit", exit, TRACE_FEXIT)?,
        })
    };
    if function.entry.is_some() {
        let (entry, exit) = &copies.opening;
        return both(entry, exit);
    }
    if let Some(sharing) = copies.sharing.as_ref().filter(|sharing| sharing.is_taken()) {
        match both(&sharing.entry, &sharing.exit) {
            Ok(programs) => return Ok(programs),
            Err(_) => sharing.give_up(),
        }
    }
    let (entry, exit) = &copies.inner;
    both(entry, exit)
}

pub(super) fn kind(
    attach_type: bpf_attach_type,
    btf_id: u32,
    module_btf: Option<BorrowedFd<'_>>,
) -> ProgramKind<'_> {
    ProgramKind::Trampoline {
        attach_type,
        btf_id,
        module_btf,
    }
}

fn attach_one(programs: &ProgramPair) -> Result<[OwnedFd; 2]> {
    let exit = sys::attach_tracing(programs.exit.as_fd()).context("failed to attach fexit")?;
    let entry = sys::attach_tracing(programs.entry.as_fd()).context("failed to attach fentry")?;
    Ok([exit, entry])
}

/// Returns the module whose BTF describes a function, or `None` for vmlinux.
pub(super) fn btf_module(function: &TracedFunction) -> Option<&str> {
    let of_module = function
        .prototype
        .is_some_and(|prototype| prototype.origin == BtfOrigin::Module);
    function.module.as_deref().filter(|_| of_module)
}

/// Opens the BTF objects of the modules that the functions belong to.
fn module_btfs(functions: &[&TracedFunction]) -> Result<HashMap<String, OwnedFd>> {
    let mut btfs = HashMap::new();
    for module in functions.iter().filter_map(|function| btf_module(function)) {
        if !btfs.contains_key(module) {
            let btf = sys::module_btf(module)
                .with_context(|| format!("failed to open the BTF of module `{module}`"))?;
            btfs.insert(module.to_owned(), btf);
        }
    }
    Ok(btfs)
}
