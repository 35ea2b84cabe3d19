// SPDX-License-Identifier: BSD-2-Clause
//! What is never traced, whatever the globs say, and why: as data.

use std::sync::LazyLock;

use crate::spec::NameGlob;

/// Globs and why functions of such names are never traced.
pub(super) const BUILT_IN: &[(&[&str], &str)] = &[
    (
        &[
            "bpf_get_current_task*",
            "bpf_get_current_pid_tgid*",
            "bpf_get_smp_processor_id",
            "bpf_this_cpu_ptr",
            "bpf_per_cpu_ptr",
            "bpf_get_func_ip*",
            "bpf_get_attach_cookie*",
            "bpf_session_*",
            "bpf_ktime_get_ns",
            "____bpf_get_*",
        ],
        "our own programs call it first of all: it would trace itself",
    ),
    (
        &[
            "__bpf_prog_enter*",
            "__bpf_prog_exit*",
            "__bpf_tramp_enter*",
            "__bpf_tramp_exit*",
            "__bpf_tramp_image_*",
            "__bpf_call_im_release",
            "bpf_prog_start_time",
            "update_prog_stats",
            "__update_prog_stats",
            "inc_misses_counter",
            "bpf_prog_inc_misses_counter*",
            "bpf_prog_[0-9a-f][0-9a-f]*_*",
            "bpf_trampoline_[0-9]*",
            "bpf_dispatcher_*",
        ],
        "it runs around every BPF program: it would trace itself",
    ),
    (
        &[
            "migrate_enable",
            "migrate_disable",
            "rcu_read_lock*",
            "rcu_read_unlock*",
            "__rcu_read_lock*",
            "__rcu_read_unlock*",
            "bpf_spin_lock",
            "bpf_spin_unlock",
            "preempt_count_add",
            "preempt_count_sub",
        ],
        "every BPF program runs it: it would trace itself",
    ),
    (
        &[
            "__fentry__",
            "mcount*",
            "ftrace_*",
            "__ftrace_*",
            "fprobe_*",
            "rethook_*",
            "kprobe_*",
            "kprobes_*",
            "kretprobe_*",
            "arch_rethook_*",
            "arch_ftrace_*",
            "optprobe_*",
            "text_poke*",
            "__text_poke*",
            "bpf_arch_text_*",
        ],
        "it belongs to the machinery of tracing itself",
    ),
    (
        &[
            "__traceiter_*",
            "__probestub_*",
            "__bpf_trace_*",
            "trace_event_raw_event_*",
            "trace_raw_output_*",
        ],
        "it is part of a tracepoint: it runs for whoever traces, and cannot fail",
    ),
    (
        &[
            "arch_cpu_idle",
            "default_idle",
            "default_idle_call",
            "cpu_idle_*",
            "do_idle",
        ],
        "it runs in the idle task, without the protection that programs need",
    ),
];

/// Functions that never return: their sessions would never end. Since 6.15 (cfe816d469dc, "bpf:
/// Reject attaching `fexit/fmod_ret` to `__noreturn` functions") the kernel refuses fexit on most of
/// them. The list is that of `tools/objtool/noreturns.h`, and those of older kernels.
pub(super) const NO_RETURN: &[&str] = &[
    "__fortify_panic",
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__kunit_abort",
    "__module_put_and_exit",
    "__module_put_and_kthread_exit",
    "__se_sys_exit",
    "__se_sys_exit_group",
    "__stack_chk_fail",
    "__ubsan_handle_builtin_unreachable",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "arch_cpu_idle_dead",
    "call_usermodehelper_exec_async",
    "complete_and_exit",
    "cpu_bringup_and_idle",
    "cpu_startup_entry",
    "do_exit",
    "do_group_exit",
    "do_task_dead",
    "hlt_play_dead",
    "kthread_complete_and_exit",
    "kthread_exit",
    "kunit_try_catch_throw",
    "machine_halt",
    "machine_power_off",
    "machine_real_restart",
    "machine_restart",
    "make_task_dead",
    "mwait_play_dead",
    "nmi_panic_self_stop",
    "panic",
    "panic_smp_self_stop",
    "play_dead_common",
    "rcu_gp_kthread",
    "rest_init",
    "rewind_stack_and_make_dead",
    "rewind_stack_do_exit",
    "rust_begin_unwind",
    "snp_abort",
    "start_kernel",
    "stop_this_cpu",
    "usercopy_abort",
    "vpanic",
    "x86_64_start_kernel",
    "x86_64_start_reservations",
];

static COMPILED: LazyLock<Vec<(NameGlob, &'static str)>> = LazyLock::new(|| {
    let globs = BUILT_IN
        .iter()
        .flat_map(|&(globs, why)| globs.iter().map(move |glob| (glob, why)));
    // A test parses each of them.
    globs
        .filter_map(|(glob, why)| Some((NameGlob::function(glob).ok()?, why)))
        .collect()
});

/// Why the function `name` is never traced; `None` where nothing speaks against it.
pub(super) fn built_in(name: &str) -> Option<&'static str> {
    COMPILED
        .iter()
        .find(|(glob, _)| glob.matches(name))
        .map(|&(_, why)| why)
}

/// Whether the function `name` never returns.
pub(super) fn never_returns(name: &str) -> bool {
    NO_RETURN.binary_search(&name).is_ok()
}
