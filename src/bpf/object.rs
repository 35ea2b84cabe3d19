// SPDX-License-Identifier: BSD-2-Clause
//! One BPF object: opened, configured, its maps filled. Programs of back ends that are not used
//! are never loaded; the trampoline templates are prepared, copied and not loaded themselves.

use std::mem::MaybeUninit;
use std::process;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, OpenObject};
use libbpf_sys::bpf_insn;

use super::attach::BackendKind;
use super::settings::Settings;
use super::skel::{OpenRetsnoopSkel, RetsnoopSkel, RetsnoopSkelBuilder, types};
use super::sys;

/// `SCOPE_ALLOW`, `SCOPE_DENY` of `maps.bpf.h`.
const SCOPE_ALLOW: u32 = 1;
const SCOPE_DENY: u32 = 2;
const COMM_LEN: usize = 16;

/// A loaded object, with the instructions that trampoline programs are made from.
pub(super) struct Loaded<'obj> {
    pub(super) skel: RetsnoopSkel<'obj>,
    pub(super) entry_template: Vec<bpf_insn>,
    pub(super) exit_template: Vec<bpf_insn>,
}

/// Opens, configures and loads the object for one back end.
pub(super) fn load<'obj>(
    storage: &'obj mut MaybeUninit<OpenObject>,
    settings: &Settings,
    backend: BackendKind,
) -> Result<Loaded<'obj>> {
    let mut open = RetsnoopSkelBuilder::default()
        .open(storage)
        .context("failed to open the BPF object")?;
    configure(&mut open, settings)?;
    choose_programs(&mut open, backend);
    sys::prepare(open.open_object_mut()).context("failed to prepare the BPF object")?;
    let entry_template = open.progs.trampoline_entry.insns().to_vec();
    let exit_template = open.progs.trampoline_exit.insns().to_vec();
    open.progs.trampoline_entry.set_autoload(false);
    open.progs.trampoline_exit.set_autoload(false);
    let skel = open.load().context("failed to load the BPF programs")?;
    fill_maps(&skel, settings)?;
    Ok(Loaded {
        skel,
        entry_template,
        exit_template,
    })
}

fn configure(open: &mut OpenRetsnoopSkel<'_>, settings: &Settings) -> Result<()> {
    let rodata = open
        .maps
        .rodata_data
        .as_deref_mut()
        .context("the object has no .rodata")?;
    rodata.cfg = types::config {
        longer_ns: settings.longer_ns,
        preempt_count: settings
            .per_cpu
            .map_or(0, |per_cpu| per_cpu.preempt_count.0),
        per_cpu_offset: settings
            .per_cpu
            .map_or(0, |per_cpu| per_cpu.per_cpu_offset.0),
        max_depth: settings.max_depth,
        reserved: 0,
        own_tgid: process::id(),
        show_success: u32::from(settings.show_success),
        pids_allowed: settings.pids_allowed.len() as u32,
        pids_denied: settings.pids_denied.len() as u32,
        comms_allowed: settings.comms_allowed.len() as u32,
        comms_denied: settings.comms_denied.len() as u32,
    };
    let maps = &mut open.maps;
    maps.events.set_max_entries(settings.ring_bytes)?;
    maps.slots.set_max_entries(settings.max_sessions)?;
    maps.sessions.set_max_entries(settings.max_sessions)?;
    maps.free_slots.set_max_entries(settings.max_sessions)?;
    let n_pids = settings.pids_allowed.len() + settings.pids_denied.len();
    maps.pids.set_max_entries(n_pids.max(1) as u32)?;
    let n_comms = settings.comms_allowed.len() + settings.comms_denied.len();
    maps.comms.set_max_entries(n_comms.max(1) as u32)?;
    Ok(())
}

fn choose_programs(open: &mut OpenRetsnoopSkel<'_>, backend: BackendKind) {
    let session = backend == BackendKind::KprobeSession;
    let multi = backend == BackendKind::KprobeMulti;
    let trampoline = backend == BackendKind::Trampoline;
    let progs = &mut open.progs;
    progs.session_opening.set_autoload(session);
    progs.session_inner.set_autoload(session);
    progs.kprobe_opening.set_autoload(multi);
    progs.kprobe_inner.set_autoload(multi);
    progs.kprobe_return.set_autoload(multi);
    progs.trampoline_entry.set_autoload(trampoline);
    progs.trampoline_exit.set_autoload(trampoline);
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

/// A name as the kernel keeps it: at most 15 bytes, padded with zeroes.
fn comm_key(comm: &str) -> [u8; COMM_LEN] {
    let mut key = [0; COMM_LEN];
    for (to, from) in key[..COMM_LEN - 1].iter_mut().zip(comm.bytes()) {
        *to = from;
    }
    key
}
