// SPDX-License-Identifier: BSD-2-Clause
//! fentry/fexit: two programs for each function, copied from templates.
//!
//! The function a program is for is fixed when it is loaded (`attach_btf_id`), so every function
//! needs copies of its own. Two instructions differ between copies: the constant that says which
//! function this is, and the offset of the result behind the function's arguments.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use libbpf_sys::bpf_insn;

use super::super::object::Loaded;
use super::super::sys::{self, TRACE_FENTRY, TRACE_FEXIT, TrampolineTarget};
use super::{Backend, Links, Progress, Refused, tag};
use crate::select::{BtfOrigin, TracedFunction};
use crate::spec::ResultType;

/// `TAG_MARK` and `RESULT_OFFSET_MARK` of `retsnoop.bpf.c`.
const TAG_MARK: u64 = 0x7261_736e_6f6f_7021;
const RESULT_OFFSET_MARK: i16 = 0x7ff8;

/// `BPF_LD | BPF_IMM | BPF_DW`, `BPF_LDX | BPF_MEM | BPF_DW`, `BPF_ALU64 | BPF_MOV | BPF_K`.
const LOAD_IMM64: u8 = 0x18;
const LOAD_MEM64: u8 = 0x79;
const MOVE_IMM: u8 = 0xb7;

const LOG_BYTES: usize = 1 << 16;

pub(super) struct Trampoline;

/// The two programs of one function.
struct Programs {
    entry: OwnedFd,
    exit: OwnedFd,
}

impl Backend for Trampoline {
    fn attach(
        &self,
        loaded: &Loaded<'_>,
        functions: &[&TracedFunction],
        progress: Progress<'_>,
    ) -> Result<Links> {
        let modules = module_btfs(functions)?;
        let mut links = Links::default();
        let programs = load_all(loaded, functions, &modules);
        for (n_done, (function, programs)) in functions.iter().zip(programs).enumerate() {
            match programs.and_then(|programs| attach_one(&programs).map(|new| (programs, new))) {
                Ok((programs, new)) => {
                    links.links.extend(new);
                    links.programs.extend([programs.entry, programs.exit]);
                    links.n_attached += 1;
                }
                Err(error) => {
                    links.refused.push(Refused {
                        func: function.id,
                        why: format!("{error:#}"),
                    });
                }
            }
            if !progress(n_done + 1, functions.len()) {
                bail!("interrupted");
            }
        }
        Ok(links)
    }
}

/// Verification is most of the work on old kernels and runs in parallel; attaching does not.
fn load_all(
    loaded: &Loaded<'_>,
    functions: &[&TracedFunction],
    modules: &HashMap<String, OwnedFd>,
) -> Vec<Result<Programs>> {
    let next = AtomicUsize::new(0);
    let (entry, exit) = (
        loaded.entry_template.as_slice(),
        loaded.exit_template.as_slice(),
    );
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(function) = functions.get(index) else {
                return done;
            };
            done.push((index, load_one(entry, exit, function, modules)));
        }
    };
    let n_threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(functions.len());
    let mut done: Vec<(usize, Result<Programs>)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, programs)| programs).collect()
}

fn load_one(
    entry: &[bpf_insn],
    exit: &[bpf_insn],
    function: &TracedFunction,
    modules: &HashMap<String, OwnedFd>,
) -> Result<Programs> {
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
    let target = TrampolineTarget {
        btf_id: prototype.btf_id,
        module_btf,
    };
    let result = if function.result == ResultType::Void {
        ResultSlot::None
    } else {
        ResultSlot::Behind(prototype.arg_slots)
    };
    let entry = patched(entry, tag(function), ResultSlot::None);
    let exit = patched(exit, tag(function), result);
    Ok(Programs {
        entry: load_program(c"retsnoop_entry", &entry, TRACE_FENTRY, target)?,
        exit: load_program(c"retsnoop_exit", &exit, TRACE_FEXIT, target)?,
    })
}

fn load_program(
    name: &CStr,
    insns: &[bpf_insn],
    attach_type: u32,
    target: TrampolineTarget<'_>,
) -> Result<OwnedFd> {
    sys::load_tracing(name, insns, attach_type, target, None).or_else(|error| {
        // The verifier speaks only when asked, and asking makes every load slower.
        let mut log = vec![0; LOG_BYTES];
        sys::load_tracing(name, insns, attach_type, target, Some(&mut log))
            .with_context(|| format!("{error}{}", last_words(&log)))
    })
}

/// The last lines of the verifier's log that say something.
fn last_words(log: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(log)
        .map(CStr::to_string_lossy)
        .unwrap_or_default();
    let line = text
        .lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with("processed "))
        .unwrap_or_default();
    if line.is_empty() {
        String::new()
    } else {
        format!(": {line}")
    }
}

fn attach_one(programs: &Programs) -> Result<[OwnedFd; 2]> {
    let exit = sys::attach_tracing(programs.exit.as_fd()).context("failed to attach fexit")?;
    let entry = sys::attach_tracing(programs.entry.as_fd()).context("failed to attach fentry")?;
    Ok([exit, entry])
}

/// The BTF objects of the modules that functions belong to.
fn module_btfs(functions: &[&TracedFunction]) -> Result<HashMap<String, OwnedFd>> {
    let mut btfs = HashMap::new();
    for function in functions {
        let of_module = function
            .prototype
            .is_some_and(|prototype| prototype.origin == BtfOrigin::Module);
        if let (true, Some(module)) = (of_module, &function.module)
            && !btfs.contains_key(module)
        {
            let btf = sys::module_btf(module)
                .with_context(|| format!("failed to open the BTF of module `{module}`"))?;
            btfs.insert(module.clone(), btf);
        }
    }
    Ok(btfs)
}

/// Where fexit finds the function's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultSlot {
    /// There is none: the verifier refuses to read it.
    None,
    /// Behind so many argument slots.
    Behind(u8),
}

/// A copy of a template for one function.
fn patched(template: &[bpf_insn], tag: u64, result: ResultSlot) -> Vec<bpf_insn> {
    let mut insns = template.to_vec();
    for index in 0..insns.len() {
        if is_tag(&insns, index) {
            insns[index].imm = tag as i32;
            insns[index + 1].imm = (tag >> 32) as i32;
        } else if insns[index].code == LOAD_MEM64 && insns[index].off == RESULT_OFFSET_MARK {
            patch_result(&mut insns[index], result);
        }
    }
    insns
}

fn is_tag(insns: &[bpf_insn], index: usize) -> bool {
    insns[index].code == LOAD_IMM64
        && insns[index].imm == TAG_MARK as i32
        && insns
            .get(index + 1)
            .is_some_and(|next| next.imm == (TAG_MARK >> 32) as i32)
}

fn patch_result(insn: &mut bpf_insn, result: ResultSlot) {
    match result {
        ResultSlot::Behind(arg_slots) => insn.off = 8 * i16::from(arg_slots),
        ResultSlot::None => {
            insn.code = MOVE_IMM;
            insn.off = 0;
            insn.imm = 0;
            insn.set_src_reg(0);
        }
    }
}
