// SPDX-License-Identifier: BSD-2-Clause
//! Functions that hold limits, and what they know when one is reached.

use super::probes::{NotedWhen, RefusalProbe, RefusalValue, value};

/// Errors of a limit that is reached: `EAGAIN`, `ENOMEM`, `ENFILE`, `EMFILE`, `EFBIG`, `ENOSPC`,
/// `EDQUOT`.
pub(crate) const LIMIT_ERRNOS: [u16; 7] = [11, 12, 23, 24, 27, 28, 122];

// Resource limits have numbers (`include/uapi/asm-generic/resource.h`): their values are in the task.

const fn probe(
    function: &'static str,
    when: NotedWhen,
    values: &'static [RefusalValue],
) -> RefusalProbe {
    RefusalProbe {
        function,
        when,
        values,
        has_stack: false,
    }
}

/// The functions whose refusals are noted.
pub(crate) const LIMIT_PROBES: &[RefusalProbe] = &[
    // The limit is the end of the numbers that are searched.
    probe("alloc_fd", NotedWhen::Failed, DESCRIPTORS),
    probe("__alloc_fd", NotedWhen::Failed, DESCRIPTORS),
    // Processes of a user. Who may exceed it is asked afterwards.
    probe("is_rlimit_overlimit", NotedWhen::True, PROCESSES),
    probe("is_ucounts_overlimit", NotedWhen::True, PROCESSES),
    probe("pids_can_fork", NotedWhen::Failed, PIDS),
    // `user.max_*`, and some of `fs.*`: of a user, in each user namespace.
    probe("inc_ucount", NotedWhen::Failed, COUNTERS),
    probe(
        "generic_write_check_limits",
        NotedWhen::Failed,
        &[
            value("limit", &["current.signal.rlim[1].rlim_cur"]),
            value("position", &["pos"]),
            value("largest", &["file.f_mapping.host.i_sb.s_maxbytes"]),
        ],
    ),
    probe(
        "do_mlock",
        NotedWhen::Failed,
        &[
            value("limit", &["current.signal.rlim[8].rlim_cur"]),
            value("wanted", &["len"]),
            value("pages", &["current.mm.locked_vm"]),
        ],
    ),
    probe(
        "mmap_region",
        NotedWhen::Failed,
        &[
            value("limit", &["current.signal.rlim[9].rlim_cur"]),
            value("wanted", &["len"]),
            value("pages", &["current.mm.total_vm"]),
        ],
    ),
];

const DESCRIPTORS: &[RefusalValue] = &[value("limit", &["end"])];

const PROCESSES: &[RefusalValue] = &[
    value("type", &["type"]),
    value("limit", &["rlimit", "max"]),
    value("used", &["ucounts.rlimit[0].counter"]),
];

const PIDS: &[RefusalValue] = &[
    value(
        "limit",
        &["cset.subsys[cgroup_subsys_id:pids_cgrp_id].(pids_cgroup:css).limit.counter"],
    ),
    value(
        "used",
        &["cset.subsys[cgroup_subsys_id:pids_cgrp_id].(pids_cgroup:css).counter.counter"],
    ),
];

/// The limits of the counters that most programs meet; `type` tells which one it is.
const COUNTERS: &[RefusalValue] = &[
    value("type", &["type"]),
    value(
        "UCOUNT_USER_NAMESPACES",
        &["ns.ucount_max[ucount_type:UCOUNT_USER_NAMESPACES]"],
    ),
    value(
        "UCOUNT_PID_NAMESPACES",
        &["ns.ucount_max[ucount_type:UCOUNT_PID_NAMESPACES]"],
    ),
    value(
        "UCOUNT_NET_NAMESPACES",
        &["ns.ucount_max[ucount_type:UCOUNT_NET_NAMESPACES]"],
    ),
    value(
        "UCOUNT_MNT_NAMESPACES",
        &["ns.ucount_max[ucount_type:UCOUNT_MNT_NAMESPACES]"],
    ),
    value(
        "UCOUNT_INOTIFY_INSTANCES",
        &["ns.ucount_max[ucount_type:UCOUNT_INOTIFY_INSTANCES]"],
    ),
    value(
        "UCOUNT_INOTIFY_WATCHES",
        &["ns.ucount_max[ucount_type:UCOUNT_INOTIFY_WATCHES]"],
    ),
];

/// Settings that hold the limit of a counter (`enum ucount_type`).
pub(crate) const COUNTER_SETTINGS: &[(&str, &str)] = &[
    ("UCOUNT_USER_NAMESPACES", "user.max_user_namespaces"),
    ("UCOUNT_PID_NAMESPACES", "user.max_pid_namespaces"),
    ("UCOUNT_UTS_NAMESPACES", "user.max_uts_namespaces"),
    ("UCOUNT_IPC_NAMESPACES", "user.max_ipc_namespaces"),
    ("UCOUNT_NET_NAMESPACES", "user.max_net_namespaces"),
    ("UCOUNT_MNT_NAMESPACES", "user.max_mnt_namespaces"),
    ("UCOUNT_CGROUP_NAMESPACES", "user.max_cgroup_namespaces"),
    ("UCOUNT_TIME_NAMESPACES", "user.max_time_namespaces"),
    ("UCOUNT_INOTIFY_INSTANCES", "fs.inotify.max_user_instances"),
    ("UCOUNT_INOTIFY_WATCHES", "fs.inotify.max_user_watches"),
    ("UCOUNT_FANOTIFY_GROUPS", "fs.fanotify.max_user_groups"),
    ("UCOUNT_FANOTIFY_MARKS", "fs.fanotify.max_user_marks"),
];

/// Functions that decide about one limit only, whose value is in no argument: function, errno, the
/// setting.
pub(crate) const LIMITS_OF_FUNCTIONS: &[(&str, u16, &str)] = &[
    (
        "key_alloc",
        122,
        "kernel.keys.maxkeys or kernel.keys.maxbytes",
    ),
    ("key_payload_reserve", 122, "kernel.keys.maxbytes"),
    ("alloc_empty_file", 23, "fs.file-max"),
    (
        "cgroup_mkdir",
        11,
        "cgroup.max.descendants or cgroup.max.depth",
    ),
    (
        "__vm_enough_memory",
        12,
        "memory that may be promised: vm.overcommit_memory, vm.overcommit_ratio",
    ),
    ("pids_can_fork", 11, "pids.max"),
    ("pids_try_charge", 11, "pids.max"),
    ("alloc_pid", 11, "kernel.pid_max"),
    ("__io_account_mem", 12, "RLIMIT_MEMLOCK (ulimit -l)"),
    ("__account_locked_vm", 12, "RLIMIT_MEMLOCK (ulimit -l)"),
];
