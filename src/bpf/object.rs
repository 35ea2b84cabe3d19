// SPDX-License-Identifier: BSD-2-Clause
//! One BPF object: opened, configured, its maps made and filled.
//!
//! libbpf relocates the programs but loads none: back ends load patched copies of what they need
//! (`patch`), each with the type and attach type that it is for.

use std::mem::MaybeUninit;
use std::process;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, OpenObject};
use libbpf_sys::bpf_insn;

use super::refusal::NoMaps;
use super::scope::{Bits, CommKey};
use super::settings::{Layout, Preempt, Settings};
use super::skel::{OpenRetsnoopProgs, OpenRetsnoopSkel, RetsnoopSkel, RetsnoopSkelBuilder, types};
use super::sys;

/// `SCOPE_ALLOW`, `SCOPE_DENY` of `maps.bpf.h`.
const SCOPE_ALLOW: u32 = 1;
const SCOPE_DENY: u32 = 2;
const COMM_LEN: usize = 16;

/// An object with its maps, and the programs to make copies of.
pub(super) struct Loaded<'obj> {
    pub(super) skel: RetsnoopSkel<'obj>,
    pub(super) templates: Templates,
    pub(super) layout: Layout,
}

/// Relocated instructions of each program.
#[derive(Debug)]
pub(super) struct Templates {
    pub(super) session_opening: Vec<bpf_insn>,
    pub(super) session_inner: Vec<bpf_insn>,
    pub(super) kprobe_opening: Vec<bpf_insn>,
    pub(super) kprobe_inner: Vec<bpf_insn>,
    pub(super) kprobe_return: Vec<bpf_insn>,
    pub(super) trampoline_entry: Vec<bpf_insn>,
    pub(super) trampoline_exit: Vec<bpf_insn>,
    pub(super) tracing_session: Vec<bpf_insn>,
    pub(super) task_exit: Vec<bpf_insn>,
}

/// Opens and configures the object, and makes its maps.
pub(super) fn load<'obj>(
    storage: &'obj mut MaybeUninit<OpenObject>,
    settings: &Settings,
) -> Result<Loaded<'obj>> {
    let mut open = RetsnoopSkelBuilder::default()
        .open(storage)
        .context("failed to open the BPF object")?;
    configure(&mut open, settings)?;
    sys::prepare(open.open_object_mut()).map_err(NoMaps)?;
    let templates = Templates::of(&open.progs);
    for mut program in open.open_object_mut().progs_mut() {
        program.set_autoload(false);
    }
    let mut skel = open.load().context("failed to load the BPF object")?;
    fill_maps(&skel, settings)?;
    fill_scope_bits(&mut skel, settings)?;
    Ok(Loaded {
        skel,
        templates,
        layout: settings.layout,
    })
}

impl Templates {
    fn of(progs: &OpenRetsnoopProgs<'_>) -> Self {
        Self {
            session_opening: progs.session_opening.insns().to_vec(),
            session_inner: progs.session_inner.insns().to_vec(),
            kprobe_opening: progs.kprobe_opening.insns().to_vec(),
            kprobe_inner: progs.kprobe_inner.insns().to_vec(),
            kprobe_return: progs.kprobe_return.insns().to_vec(),
            trampoline_entry: progs.trampoline_entry.insns().to_vec(),
            trampoline_exit: progs.trampoline_exit.insns().to_vec(),
            tracing_session: progs.tracing_session.insns().to_vec(),
            task_exit: progs.task_exit.insns().to_vec(),
        }
    }
}

fn configure(open: &mut OpenRetsnoopSkel<'_>, settings: &Settings) -> Result<()> {
    let rodata = open
        .maps
        .rodata_data
        .as_deref_mut()
        .context("the object has no .rodata")?;
    rodata.cfg = config(settings);
    let maps = &mut open.maps;
    maps.events.set_max_entries(settings.ring_bytes)?;
    maps.slots.set_max_entries(settings.max_sessions)?;
    maps.sessions.set_max_entries(settings.max_sessions)?;
    maps.free_slots.set_max_entries(settings.max_sessions)?;
    maps.hits.set_max_entries(settings.n_functions.max(1))?;
    let n_pids = settings.pids_allowed.len() + settings.pids_denied.len();
    maps.pids.set_max_entries(n_pids.max(1) as u32)?;
    let n_comms = settings.comms_allowed.len() + settings.comms_denied.len();
    maps.comms.set_max_entries(n_comms.max(1) as u32)?;
    Ok(())
}

fn config(settings: &Settings) -> types::config {
    let layout = &settings.layout;
    let (has_preempt_var, preempt_offset) = match layout.preempt {
        Preempt::Variable { offset, .. } => (1, offset),
        Preempt::Address(_) | Preempt::Unknown => (0, 0),
    };
    let per_cpu = match layout.preempt {
        Preempt::Address(per_cpu) => Some(per_cpu),
        Preempt::Variable { .. } | Preempt::Unknown => None,
    };
    types::config {
        longer_ns: settings.longer_ns,
        preempt_count: per_cpu.map_or(0, |per_cpu| per_cpu.preempt_count.0),
        per_cpu_offset: per_cpu.map_or(0, |per_cpu| per_cpu.per_cpu_offset.0),
        has_preempt_var,
        preempt_offset,
        task_group_leader: layout.task_group_leader,
        task_comm: layout.task_comm,
        max_depth: settings.max_depth,
        own_tgid: process::id(),
        show_success: u32::from(settings.show_success),
        pids_allowed: settings.pids_allowed.len() as u32,
        pids_denied: settings.pids_denied.len() as u32,
        comms_allowed: settings.comms_allowed.len() as u32,
        comms_denied: settings.comms_denied.len() as u32,
        has_cookies: u32::from(layout.has_cookies),
    }
}

fn fill_maps(skel: &RetsnoopSkel<'_>, settings: &Settings) -> Result<()> {
    for slot in 0..settings.max_sessions {
        skel.maps
            .free_slots
            .update(&[], &slot.to_ne_bytes(), MapFlags::ANY)
            .context("failed to fill the pool of sessions")?;
    }
    for (pids, rule) in [
        (&settings.pids_allowed, SCOPE_ALLOW),
        (&settings.pids_denied, SCOPE_DENY),
    ] {
        for pid in pids {
            skel.maps
                .pids
                .update(&pid.0.to_ne_bytes(), &rule.to_ne_bytes(), MapFlags::ANY)?;
        }
    }
    for (comms, rule) in [
        (&settings.comms_allowed, SCOPE_ALLOW),
        (&settings.comms_denied, SCOPE_DENY),
    ] {
        for comm in comms {
            skel.maps
                .comms
                .update(&comm_key(comm), &rule.to_ne_bytes(), MapFlags::ANY)?;
        }
    }
    Ok(())
}

fn fill_scope_bits(skel: &mut RetsnoopSkel<'_>, settings: &Settings) -> Result<()> {
    let pids = settings.pids_allowed.iter().chain(&settings.pids_denied);
    let comms = settings.comms_allowed.iter().chain(&settings.comms_denied);
    let bss = skel.maps.bss_data.as_deref_mut().context("no .bss")?;
    bss.pid_bits = *Bits::of_pids(pids).words();
    bss.comm_bits = *Bits::of_comms(comms.map(|comm| comm_key(comm))).words();
    Ok(())
}

/// A name as the kernel keeps it: at most 15 bytes, padded with zeroes.
fn comm_key(comm: &str) -> CommKey {
    let mut key = [0; COMM_LEN];
    for (to, from) in key[..COMM_LEN - 1].iter_mut().zip(comm.bytes()) {
        *to = from;
    }
    key
}
