// SPDX-License-Identifier: BSD-2-Clause
//! Reads the layout that the programs need: offsets and constants of this kernel, from its BTF and
//! symbols.

use anyhow::{Context, Result};

use super::arch;
use crate::bpf::{
    FileLayout, KernelLayout, KernelSupport, PreemptMasks, ProbePmu, TaskLayout, TracingMultiTypes,
};
use crate::kernel::btf::Btf;
use crate::kernel::facts::KernelFiles;
use crate::kernel::kallsyms::Kallsyms;

fn tracing_multi(btf: &Btf) -> TracingMultiTypes {
    let number = |name| {
        btf.enum_value("bpf_attach_type", name)
            .and_then(|value| u32::try_from(value).ok())
    };
    TracingMultiTypes {
        session: number("BPF_TRACE_FSESSION_MULTI"),
        entry: number("BPF_TRACE_FENTRY_MULTI"),
        exit: number("BPF_TRACE_FEXIT_MULTI"),
    }
}

/// Determines which back ends the kernel offers.
pub(crate) fn support(btf: Option<&Btf>, files: &KernelFiles) -> KernelSupport {
    let types = btf.map(tracing_multi).unwrap_or_default();
    KernelSupport::probe(
        types,
        files.kprobe_pmu().is_some(),
        files.preempts_programs(),
    )
}

/// Determines which back ends the kernel offers, those of user functions included.
pub(crate) fn full_support(btf: Option<&Btf>, files: &KernelFiles) -> KernelSupport {
    support(btf, files).with_user_functions(files.uprobe_pmu().is_some())
}

/// Reads the layout.
pub(crate) fn layout(
    btf: &Btf,
    kallsyms: &Kallsyms,
    files: &KernelFiles,
    support: KernelSupport,
) -> Result<KernelLayout> {
    let pmu = |(kind, return_bit)| ProbePmu { kind, return_bit };
    Ok(KernelLayout {
        task: task(btf)?,
        files: support
            .kprobe_session
            .then(|| file_layout(btf))
            .flatten()
            .unwrap_or_default(),
        has_task_btf: btf
            .enum_value("bpf_func_id", "BPF_FUNC_get_current_task_btf")
            .is_some(),
        finds_types_fast: btf.is_sorted(),
        stack_size: stack_size(btf),
        answer_at: answer_at(btf).unwrap_or_default(),
        preempt: arch::preempt(btf, kallsyms),
        preempt_masks: preempt_masks(btf, kallsyms),
        session_is_return: btf.func_id("bpf_session_is_return"),
        session_cookie: btf.func_id("bpf_session_cookie"),
        tracing_multi: tracing_multi(btf),
        kprobe_pmu: files.kprobe_pmu().map(pmu),
        uprobe_pmu: files.uprobe_pmu().map(pmu),
        has_cookies: support.cookies,
    })
}

/// Returns `THREAD_SIZE`, the size of `union thread_union`.
fn stack_size(btf: &Btf) -> u32 {
    let size = btf.type_size("thread_union");
    size.filter(|size| size.is_power_of_two())
        .unwrap_or(arch::STACK_SIZE)
}

/// Returns where on a task's stack the result of its system call is. The registers of the system
/// call are at the end of the stack, below `TOP_OF_KERNEL_STACK_PADDING`. With FRED, as on 7.3, that
/// has the size of a `struct fred_info`, which kernels without it do not have.
fn answer_at(btf: &Btf) -> Option<u32> {
    let above = btf.type_size("pt_regs")? + btf.type_size("fred_info").unwrap_or_default();
    let result = btf.member_offset("pt_regs", arch::RESULT_REGISTER)?;
    Some(stack_size(btf).checked_sub(above)? + result)
}

/// Returns the bit masks of the preemption count. They depend on a change that cannot be derived
/// from the kernel's version, so this checks for a variable that the change added.
fn preempt_masks(btf: &Btf, kallsyms: &Kallsyms) -> PreemptMasks {
    let name = "local_interrupt_disable_state";
    if btf.var_id(name).is_some() || kallsyms.named(name).next().is_some() {
        PreemptMasks::ABOVE_DISABLED
    } else {
        PreemptMasks::ADJACENT
    }
}

/// Returns the offsets in the types of a task and its namespaces. A kernel without cgroups has no
/// offsets for them; they are 0 and unused then.
fn task(btf: &Btf) -> Result<TaskLayout> {
    let [
        task_comm,
        task_group_leader,
        task_exit_code,
        task_tgid,
        task_signal,
        task_thread_pid,
        task_nsproxy,
        task_cred,
        task_stack,
    ] = offsets(
        btf,
        "task_struct",
        [
            "comm",
            "group_leader",
            "exit_code",
            "tgid",
            "signal",
            "thread_pid",
            "nsproxy",
            "cred",
            "stack",
        ],
    )?;
    let [cred_euid, cred_egid] = offsets(btf, "cred", ["euid", "egid"])?;
    let [signal_live, signal_flags, signal_group_exit_code] =
        offsets(btf, "signal_struct", ["live", "flags", "group_exit_code"])?;
    let [pid_level, pid_numbers] = offsets(btf, "pid", ["level", "numbers"])?;
    let [nsproxy_mnt, nsproxy_net] = offsets(btf, "nsproxy", ["mnt_ns", "net_ns"])?;
    let [inum] = offsets(btf, "ns_common", ["inum"])?;
    let namespace = |name: &str| offsets(btf, name, ["ns"]).map(|[ns]| ns + inum);
    let [css, cgroup_node, cgroup_root] = btf
        .member_offsets("cgroup", ["self", "kn", "root"])
        .unwrap_or_default();
    let optional = |name: &str, member| btf.member_offset(name, member).unwrap_or_default();
    Ok(TaskLayout {
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
        mnt_inum: namespace("mnt_namespace")?,
        net_inum: namespace("net")?,
        pidns_inum: namespace("pid_namespace")?,
        cgroup_parent: css + optional("cgroup_subsys_state", "parent"),
        cgroup_node,
        cgroup_root,
        root_hierarchy: optional("cgroup_root", "hierarchy_id"),
        node_id: optional("kernfs_node", "id"),
        thread_status: optional("thread_info", "status") + optional("task_struct", "thread_info"),
        task_fsbase: fsbase(btf).unwrap_or_default(),
    })
}

/// Returns the offsets in the types of files; `None` if one is missing.
fn file_layout(btf: &Btf) -> Option<FileLayout> {
    let at = |structure, member| btf.member_offset(structure, member);
    Some(FileLayout {
        task_files: at("task_struct", "files")?,
        task_fs: at("task_struct", "fs")?,
        files_fdt: at("files_struct", "fdt")?,
        fdt_max_fds: at("fdtable", "max_fds")?,
        fdt_fd: at("fdtable", "fd")?,
        file_path: at("file", "f_path")?,
        path_mnt: at("path", "mnt")?,
        path_dentry: at("path", "dentry")?,
        fs_pwd: at("fs_struct", "pwd")?,
        dentry_parent: at("dentry", "d_parent")?,
        dentry_name: at("dentry", "d_name")? + at("qstr", "name")?,
        dentry_pprev: at("dentry", "d_hash")? + at("hlist_bl_node", "pprev")?,
        dentry_inode: at("dentry", "d_inode")?,
        inode_ino: at("inode", "i_ino")?,
        inode_sb: at("inode", "i_sb")?,
        sb_type: at("super_block", "s_type")?,
        type_name: at("file_system_type", "name")?,
        mount_mnt: at("mount", "mnt")?,
        mount_parent: at("mount", "mnt_parent")?,
        mount_mountpoint: at("mount", "mnt_mountpoint")?,
        mnt_root: at("vfsmount", "mnt_root")?,
        fs_root: at("fs_struct", "root")?,
    })
}

/// Returns the offset of the thread pointer that a task had when it was last switched to. Instructions
/// that set it without the kernel (`wrfsbase`) are not used by C libraries.
fn fsbase(btf: &Btf) -> Option<u32> {
    let thread = btf.member_offset("task_struct", "thread")?;
    Some(thread + btf.member_offset("thread_struct", "fsbase")?)
}

fn offsets<const N: usize>(btf: &Btf, structure: &str, members: [&str; N]) -> Result<[u32; N]> {
    btf.member_offsets(structure, members).with_context(|| {
        let members = members.join("`, `");
        format!("the kernel's BTF has no `struct {structure}` with `{members}`")
    })
}
