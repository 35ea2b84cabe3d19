// SPDX-License-Identifier: BSD-2-Clause
//! The BPF object: it is opened and configured, and its maps are created and filled.
//!
//! libbpf relocates the programs but loads none of them. Back ends load copies of what they need
//! (`copier`), each with a program type and an attach type of its own.

use std::cell::Cell;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapMut, OpenObject};

use super::attach::LoadedProbes;
use super::body::Body;
use super::copier::Copier;
use super::failing;
use super::flight::{FlightLayout, FlightMemory};
use super::patch::OF_SINGLE;
use super::refusal::NoMaps;
use super::rlimit;
use super::scope;
use super::settings::{ErrorSettings, FileLayout, Preempt, Settings, TaskLayout};
use super::skel::types::{file_layout, task_layout};
use super::skel::{OpenRetsnoopProgs, OpenRetsnoopSkel, RetsnoopSkel, RetsnoopSkelBuilder, types};
use super::specialize::Constants;
use super::sys::{self, MappedArray};
use super::wire::{
    AREA_BUFFERS, AREA_COUNTED, AREA_DIRECTORY, AREA_FILE, AREA_MESSAGE, AREA_SIZED, AREA_STRINGS,
    AREA_TEXT, MAX_SYSCALLS,
};
use crate::syscalls::{Abi, AreaKind, AreaLayout, areas_of};

/// The object with its maps, and the templates of its programs.
pub(super) struct LoadedObject<'obj> {
    pub(super) skel: RetsnoopSkel<'obj>,
    /// How often each function was called.
    pub(super) hits: MappedArray,
    /// One element: the deadline of our sign of life.
    pub(super) alive: MappedArray,
    /// The memory of the flight recorder, if it is on.
    pub(super) flight: Option<FlightMemory>,
    /// Number of rules that did not fit into the scope.
    pub(super) left_out: u64,
    /// Whether failing system calls are counted, and what programs say is sent.
    pub(super) counts_failing_calls: bool,
    pub(super) templates: Templates,
    pub(super) copier: Copier,
    /// The files of user functions, by their object ids.
    pub(super) user_files: Vec<Option<File>>,
    /// The sites of USDT probes.
    pub(super) probes: LoadedProbes,
    /// Mount point of tracefs, if there is one.
    pub(super) tracefs: Option<PathBuf>,
    /// Whether the kernel preempts programs other than those of kprobes.
    pub(super) preempts_programs: bool,
    /// Generation of the programs of kprobe.session that are loaded now.
    pub(super) generation: u32,
    /// Whether the programs that trampolines share are loaded (`attach::shared`).
    pub(super) has_shared: Cell<bool>,
    /// Whether they may be.
    pub(super) may_share: bool,
    /// Whether the programs at the tracepoints of system calls are attached (`attach::syscalls`).
    pub(super) is_at_syscalls: Cell<bool>,
}

/// Relocated instructions of each program.
#[derive(Debug)]
pub(super) struct Templates {
    pub(super) session_any: Body,
    pub(super) session_opening: Body,
    pub(super) session_inner: Body,
    pub(super) kprobe_opening: Body,
    pub(super) kprobe_inner: Body,
    pub(super) kprobe_return: Body,
    pub(super) on_load_opening: Body,
    pub(super) on_load_inner: Body,
    pub(super) uprobe_opening: Body,
    pub(super) uprobe_inner: Body,
    pub(super) uprobe_return: Body,
    pub(super) usdt_opening: Body,
    pub(super) usdt_ending: Body,
    pub(super) usdt_note: Body,
    pub(super) trampoline_entry: Body,
    pub(super) trampoline_exit: Body,
    pub(super) sharing_entry: Body,
    pub(super) sharing_exit: Body,
    pub(super) shared_entry: Body,
    pub(super) shared_exit: Body,
    pub(super) tracing_session: Body,
    pub(super) tracing_entry: Body,
    pub(super) tracing_exit: Body,
    pub(super) syscall_entry: Body,
    pub(super) syscall_exit: Body,
    pub(super) task_exit: Body,
    pub(super) task_fork: Body,
    pub(super) task_new: Body,
    pub(super) task_exec: Body,
    pub(super) cgroup_made: Body,
    pub(super) cgroup_removed: Body,
    pub(super) note_event: Body,
    pub(super) note_arguments: Body,
    pub(super) note_return: Body,
    pub(super) note_call: Body,
    pub(super) note_session: Body,
    pub(super) note_probed_call: Body,
    pub(super) note_probed_return: Body,
    pub(super) call_failed: Body,
    pub(super) call_failed_event: Body,
}

/// Opens and configures the object, and creates its maps.
pub(super) fn load<'obj>(
    storage: &'obj mut MaybeUninit<OpenObject>,
    settings: &Settings,
) -> Result<LoadedObject<'obj>> {
    rlimit::make_room();
    let mut open = RetsnoopSkelBuilder::default()
        .open(storage)
        .context("failed to open the BPF object")?;
    configure(&mut open, settings)?;
    sys::prepare(open.open_object_mut()).map_err(NoMaps)?;
    let templates = Templates::of(&open.progs, sys::btf_number(open.open_object()));
    let copier = Copier {
        layout: settings.layout,
        constants: constants(&mut open)?,
        specializes: settings.optimizations.specialize,
    };
    for mut program in open.open_object_mut().progs_mut() {
        program.set_autoload(false);
    }
    let mut skel = open.load().context("failed to load the BPF object")?;
    fill_pool(&skel, settings.max_sessions)?;
    scope::fill(&mut skel, &settings.scope)?;
    let hits = mapped(&skel.maps.hits)?;
    let alive = mapped(&skel.maps.alive)?;
    let flight = settings
        .flight
        .map(|layout| FlightMemory::of(skel.maps.flight.as_fd(), layout))
        .transpose()
        .context("failed to map the memory of the flight recorder")?;
    Ok(LoadedObject {
        skel,
        hits,
        alive,
        flight,
        left_out: 0,
        counts_failing_calls: settings.read.failing_calls,
        templates,
        copier,
        user_files: Vec::new(),
        probes: LoadedProbes::default(),
        tracefs: settings.tracefs.clone(),
        preempts_programs: settings.preempts_programs,
        generation: 0,
        has_shared: Cell::new(false),
        may_share: settings.optimizations.share,
        is_at_syscalls: Cell::new(false),
    })
}

fn mapped(map: &MapMut<'_>) -> Result<MappedArray> {
    MappedArray::of(map.as_fd(), map.max_entries() as usize).with_context(|| {
        format!(
            "failed to map the memory of the map {}",
            map.name().display()
        )
    })
}

impl Templates {
    fn of(progs: &OpenRetsnoopProgs<'_>, btf: Option<RawFd>) -> Self {
        let body = |program| sys::body(program, btf);
        Self {
            session_any: body(&progs.retsnoop_session_any),
            session_opening: body(&progs.retsnoop_session_opening),
            session_inner: body(&progs.retsnoop_session_inner),
            kprobe_opening: body(&progs.retsnoop_kprobe_opening),
            kprobe_inner: body(&progs.retsnoop_kprobe_inner),
            kprobe_return: body(&progs.retsnoop_kprobe_return),
            on_load_opening: body(&progs.retsnoop_on_load_opening),
            on_load_inner: body(&progs.retsnoop_on_load_inner),
            uprobe_opening: body(&progs.retsnoop_uprobe_opening),
            uprobe_inner: body(&progs.retsnoop_uprobe_inner),
            uprobe_return: body(&progs.retsnoop_uprobe_return),
            usdt_opening: body(&progs.retsnoop_usdt_opening),
            usdt_ending: body(&progs.retsnoop_usdt_ending),
            usdt_note: body(&progs.retsnoop_usdt_note),
            trampoline_entry: body(&progs.retsnoop_trampoline_entry),
            trampoline_exit: body(&progs.retsnoop_trampoline_exit),
            sharing_entry: body(&progs.retsnoop_sharing_entry),
            sharing_exit: body(&progs.retsnoop_sharing_exit),
            shared_entry: body(&progs.retsnoop_shared_entry),
            shared_exit: body(&progs.retsnoop_shared_exit),
            tracing_session: body(&progs.retsnoop_tracing_session),
            tracing_entry: body(&progs.retsnoop_tracing_entry),
            tracing_exit: body(&progs.retsnoop_tracing_exit),
            syscall_entry: body(&progs.retsnoop_syscall_entry),
            syscall_exit: body(&progs.retsnoop_syscall_exit),
            task_exit: body(&progs.retsnoop_task_exit),
            task_fork: body(&progs.retsnoop_task_fork),
            task_new: body(&progs.retsnoop_task_new),
            task_exec: body(&progs.retsnoop_task_exec),
            cgroup_made: body(&progs.retsnoop_cgroup_made),
            cgroup_removed: body(&progs.retsnoop_cgroup_removed),
            note_event: body(&progs.retsnoop_note_event),
            note_arguments: body(&progs.retsnoop_note_arguments),
            note_return: body(&progs.retsnoop_note_return),
            note_call: body(&progs.retsnoop_note_call),
            note_session: body(&progs.retsnoop_note_session),
            note_probed_call: body(&progs.retsnoop_note_probed_call),
            note_probed_return: body(&progs.retsnoop_note_probed_return),
            call_failed: body(&progs.retsnoop_call_failed),
            call_failed_event: body(&progs.retsnoop_call_failed_event),
        }
    }
}

/// Returns the content of `.rodata`, which does not change any more.
fn constants(open: &mut OpenRetsnoopSkel<'_>) -> Result<Constants> {
    let map = sys::map_number(&open.maps.rodata);
    let bytes = open.maps.rodata.initial_value_mut();
    let bytes = bytes.context("the object's .rodata has no content")?;
    Ok(Constants::new(map, bytes.to_vec(), OF_SINGLE))
}

fn configure(open: &mut OpenRetsnoopSkel<'_>, settings: &Settings) -> Result<()> {
    let rodata = open
        .maps
        .rodata_data
        .as_deref_mut()
        .context("the object has no .rodata")?;
    rodata.cfg = config(settings);
    let ErrorSettings { any, only, never } = &settings.errors;
    for (bits, errors) in [
        (&mut rodata.any_errors, any),
        (&mut rodata.only_errors, only),
        (&mut rodata.never_errors, never),
    ] {
        for error in errors.iter().flatten() {
            bits[usize::from(error / 64)] |= 1 << (error % 64);
        }
    }
    if settings.read.arguments {
        for (abi, areas) in [Abi::Native, Abi::Compat]
            .into_iter()
            .zip(rodata.syscall_areas.chunks_mut(MAX_SYSCALLS))
        {
            for (number, areas) in areas.iter_mut().enumerate() {
                let wanted = areas_of(abi, number as u32).into_iter().flatten();
                for (area, wanted) in areas.iter_mut().zip(wanted) {
                    *area = syscall_area(wanted);
                }
            }
        }
    }
    let maps = &mut open.maps;
    maps.events.set_max_entries(settings.ring_bytes)?;
    maps.slots.set_max_entries(settings.max_sessions)?;
    maps.sessions.set_max_entries(settings.max_sessions)?;
    maps.free_slots.set_max_entries(settings.max_sessions)?;
    if settings.n_notes > 0 {
        maps.notes.set_max_entries(settings.max_sessions)?;
        maps.facts.set_max_entries(settings.n_notes)?;
    }
    maps.failing_calls
        .set_max_entries(if settings.read.failing_calls {
            failing::MAX_CALLS
        } else {
            1
        })?;
    if settings.read.failing_calls {
        maps.told.set_max_entries(failing::MAX_PROCESSES)?;
    }
    maps.hits.set_max_entries(settings.n_functions.max(1))?;
    maps.entry_texts
        .set_max_entries(settings.n_entry_texts.max(1))?;
    maps.usdt_sites
        .set_max_entries(settings.n_usdt_sites.max(1))?;
    if settings.read.errno {
        maps.errno_places
            .set_max_entries(settings.n_functions.max(1))?;
    }
    maps.flight
        .set_max_entries(settings.flight.map_or(1, FlightLayout::n_elements))?;
    maps.scope
        .set_max_entries(scope::n_entries(&settings.scope))?;
    let n_comms = settings.scope.comms_allowed.len() + settings.scope.comms_denied.len();
    maps.comms.set_max_entries(n_comms.max(1) as u32)?;
    Ok(())
}

fn config(settings: &Settings) -> types::config {
    let layout = &settings.layout;
    let (has_preempt_var, preempt_offset) = match layout.preempt {
        Preempt::Variable { offset, .. } => (1, offset),
        Preempt::Address(_) | Preempt::InTask(_) | Preempt::Unknown => (0, 0),
    };
    let (preempt_count, per_cpu_offset) = match layout.preempt {
        Preempt::Address(per_cpu) => (per_cpu.preempt_count.0, per_cpu.per_cpu_offset.0),
        Preempt::InTask(offset) => (offset.into(), 0),
        Preempt::Variable { .. } | Preempt::Unknown => (0, 0),
    };
    types::config {
        longer_ns: settings.longer_ns,
        preempt_count,
        per_cpu_offset,
        has_preempt_var,
        preempt_offset,
        at: task_layout(layout.task),
        file: file_layout(layout.files),
        max_depth: settings.max_depth,
        own_tgid: sys::own_tgid(),
        show_success: u32::from(settings.show_success),
        rules: scope::counts(&settings.scope),
        comm_rules: types::scope_rules {
            allowed: settings.scope.comms_allowed.len() as u32,
            denied: settings.scope.comms_denied.len() as u32,
        },
        has_any_errors: u32::from(settings.errors.any.is_some()),
        has_only_errors: u32::from(settings.errors.only.is_some()),
        has_never_errors: u32::from(settings.errors.never.is_some()),
        has_task_btf: u32::from(layout.has_task_btf),
        has_cookies: u32::from(layout.has_cookies),
        finds_types_fast: u32::from(layout.finds_types_fast),
        hardirq_mask: layout.preempt_masks.hardirq,
        nmi_mask: layout.preempt_masks.nmi,
        stack_size: layout.stack_size,
        has_notes: u32::from(settings.n_notes > 0),
        reads_arguments: u32::from(settings.read.arguments),
        answer_at: layout.answer_at,
        has_errno: u32::from(settings.read.errno),
        tells_words: u32::from(settings.read.failing_calls),
        flight_cpus: settings.flight.map_or(0, |flight| flight.n_cpus),
        flight_slots: settings.flight.map_or(0, |flight| flight.n_slots),
        reserved: 0,
    }
}

fn syscall_area(layout: AreaLayout) -> types::syscall_area {
    let (kind, counted_by, size) = match layout.kind {
        AreaKind::Text => (AREA_TEXT, 0, 0),
        AreaKind::Sized(size) => (AREA_SIZED, 0, size),
        AreaKind::Counted { by, limit } => (AREA_COUNTED, by, limit),
        AreaKind::File => (AREA_FILE, 0, 0),
        AreaKind::Directory => (AREA_DIRECTORY, 0, 0),
        AreaKind::Strings => (AREA_STRINGS, 0, 0),
        AreaKind::Buffers { by } => (AREA_BUFFERS, by, 0),
        AreaKind::Message => (AREA_MESSAGE, 0, 0),
    };
    types::syscall_area {
        kind,
        argument: layout.argument,
        counted_by,
        size,
    }
}

/// Converts to the type of the same members that libbpf-cargo generates from the header.
fn task_layout(layout: TaskLayout) -> task_layout {
    macro_rules! with_members {
        ($($member:ident),* $(,)?) => {{
            let TaskLayout { $($member),* } = layout;
            task_layout { $($member),* }
        }};
    }
    with_members!(
        task_group_leader,
        task_exit_code,
        task_comm,
        task_tgid,
        task_signal,
        signal_live,
        signal_flags,
        signal_group_exit_code,
        task_thread_pid,
        task_cred,
        task_stack,
        cred_euid,
        cred_egid,
        pid_level,
        pid_numbers,
        task_nsproxy,
        nsproxy_mnt,
        nsproxy_net,
        mnt_inum,
        net_inum,
        pidns_inum,
        cgroup_parent,
        cgroup_node,
        cgroup_root,
        root_hierarchy,
        node_id,
        thread_status,
        task_fsbase,
    )
}

/// As [`task_layout`].
fn file_layout(layout: FileLayout) -> file_layout {
    macro_rules! with_members {
        ($($member:ident),* $(,)?) => {{
            let FileLayout { $($member),* } = layout;
            file_layout { $($member),* }
        }};
    }
    with_members!(
        task_files,
        task_fs,
        files_fdt,
        fdt_max_fds,
        fdt_fd,
        file_path,
        path_mnt,
        path_dentry,
        fs_pwd,
        dentry_parent,
        dentry_name,
        dentry_pprev,
        dentry_inode,
        inode_ino,
        inode_sb,
        sb_type,
        type_name,
        mount_mnt,
        mount_parent,
        mount_mountpoint,
        mnt_root,
        fs_root,
    )
}

/// Adds the numbers of all slots to the pool of free ones.
fn fill_pool(skel: &RetsnoopSkel<'_>, max_sessions: u32) -> Result<()> {
    for slot in 0..max_sessions {
        skel.maps
            .free_slots
            .update(&[], &slot.to_ne_bytes(), MapFlags::ANY)
            .context("failed to fill the pool of sessions")?;
    }
    Ok(())
}
