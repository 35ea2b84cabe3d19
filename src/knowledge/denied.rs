// SPDX-License-Identifier: BSD-2-Clause
//! Functions that are never traced, whatever the globs say, and why.

use super::arch;

/// Globs of names, and why these functions are never traced.
pub(crate) const DENIED: &[(&[&str], &str)] = &[
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
    (
        &["*_sys_rt_sigreturn", "*_sys_sigreturn"],
        "it returns the result of the call that a signal interrupted: that is no failure of its own",
    ),
];

/// System calls of these functions. Their results are not counted as failures.
pub(crate) const RESULT_OF_ANOTHER: &[&str] = &["rt_sigreturn", "sigreturn"];

/// Functions that never return, so their sessions would never end. Since 6.15 (cfe816d469dc, "bpf:
/// Reject attaching `fexit/fmod_ret` to `__noreturn` functions") the kernel refuses fexit on most
/// of them. The list is that of `tools/objtool/noreturns.h`, with those of older kernels. `arch` has
/// those of one architecture. Sorted.
pub(crate) const NO_RETURN: &[&str] = &[
    "__fortify_panic",
    "__kunit_abort",
    "__module_put_and_exit",
    "__module_put_and_kthread_exit",
    "__se_sys_exit",
    "__se_sys_exit_group",
    "__stack_chk_fail",
    "__ubsan_handle_builtin_unreachable",
    "arch_cpu_idle_dead",
    "call_usermodehelper_exec_async",
    "complete_and_exit",
    "cpu_bringup_and_idle",
    "cpu_startup_entry",
    "do_exit",
    "do_group_exit",
    "do_task_dead",
    "kthread_complete_and_exit",
    "kthread_exit",
    "kunit_try_catch_throw",
    "machine_halt",
    "machine_power_off",
    "machine_restart",
    "make_task_dead",
    "nmi_panic_self_stop",
    "panic",
    "panic_smp_self_stop",
    "rcu_gp_kthread",
    "rest_init",
    "rewind_stack_and_make_dead",
    "rewind_stack_do_exit",
    "rust_begin_unwind",
    "start_kernel",
    "stop_this_cpu",
    "usercopy_abort",
    "vpanic",
];

/// Returns true if the function `name` is known to never return.
pub(crate) fn never_returns(name: &str) -> bool {
    let mut lists = [NO_RETURN].into_iter().chain(arch::NO_RETURN);
    lists.any(|list| list.binary_search(&name).is_ok())
}
