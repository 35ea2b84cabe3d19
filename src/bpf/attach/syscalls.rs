// SPDX-License-Identifier: BSD-2-Clause
//! Raw tracepoints `sys_enter` and `sys_exit` in place of the functions of system calls: two programs
//! for all of them, which are verified once. All tasks of the machine run them at each system call.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::super::object::LoadedObject;
use super::super::patch::Copy;
use super::super::program;
use super::super::wire::MAX_SYSCALLS;
use super::{AttachProgress, Backend, Links, Refused, tag};
use crate::select::TracedFunction;
use crate::syscalls::number_of_function;

pub(super) struct SystemCalls;

impl Backend for SystemCalls {
    fn attach(
        &self,
        loaded: &LoadedObject<'_>,
        functions: &[&TracedFunction],
        progress: AttachProgress<'_>,
    ) -> Result<Links> {
        let mut links = Links::default();
        let mut taken = Vec::new();
        for function in functions {
            match number(function) {
                Some(number) => {
                    set_tag(loaded, number, tag(function))?;
                    taken.push(*function);
                }
                None => links.refused.push(Refused {
                    func: function.id,
                    why: "it is the function of no known system call".to_owned(),
                    is_final: false,
                }),
            }
        }
        // The programs of an earlier call handle all system calls that have tags.
        let new = if taken.is_empty() || loaded.is_at_syscalls.get() {
            Vec::new()
        } else {
            let copy = Copy {
                opens: true,
                ..Copy::default()
            };
            let attach = |template, tracepoint| {
                let insns = loaded.copier.copy(template, copy);
                program::at_tracepoint(c"retsnoop_call", &insns, tracepoint)
            };
            let exit = attach(&loaded.templates.syscall_exit, c"sys_exit")?;
            let entry = attach(&loaded.templates.syscall_entry, c"sys_enter")?;
            loaded.is_at_syscalls.set(true);
            vec![exit, entry]
        };
        let (programs, new): (Vec<OwnedFd>, Vec<OwnedFd>) = new.into_iter().unzip();
        links.programs = programs;
        links.hold(new, &taken);
        progress(functions.len(), functions.len());
        Ok(links)
    }
}

/// Has a function's system call not traced any more.
pub(in crate::bpf) fn forget(loaded: &LoadedObject<'_>, function: &TracedFunction) -> Result<()> {
    number(function).map_or(Ok(()), |number| set_tag(loaded, number, 0))
}

fn number(function: &TracedFunction) -> Option<u32> {
    let number = number_of_function(&function.name)?;
    ((number as usize) < MAX_SYSCALLS).then_some(number)
}

fn set_tag(loaded: &LoadedObject<'_>, number: u32, tag: u64) -> Result<()> {
    let tags = &loaded.skel.maps.syscall_tags;
    tags.update(&number.to_ne_bytes(), &tag.to_ne_bytes(), MapFlags::ANY)
        .with_context(|| format!("failed to set the tag of system call {number}"))
}
