// SPDX-License-Identifier: BSD-2-Clause
//! How functions treat errors, as far as the machine code of their callers does not tell.

/// Functions below which nothing needs to be searched, as prefixes of their names, with the errnos
/// that they return: allocators (which return `NULL`), and locks that a signal interrupts.
pub(crate) const KNOWN: &[(&str, &[u16])] = &[
    ("kmalloc", &[]),
    ("__kmalloc", &[]),
    ("kmem_cache_alloc", &[]),
    ("__kmem_cache_alloc", &[]),
    ("kvmalloc", &[]),
    ("__kvmalloc", &[]),
    ("vmalloc", &[]),
    ("vzalloc", &[]),
    ("__vmalloc", &[]),
    ("krealloc", &[]),
    ("alloc_pages", &[]),
    ("__alloc_pages", &[]),
    ("__alloc_percpu", &[]),
    ("get_zeroed_page", &[]),
    ("mutex_lock_", &[EINTR, EDEADLK]),
    ("ww_mutex_lock", &[EINTR, EDEADLK, EALREADY]),
    ("down_", &[EINTR]),
    ("rwsem_down_", &[EINTR]),
    ("rt_mutex_lock", &[EINTR, EDEADLK]),
    ("__mutex_lock", &[EINTR, EDEADLK]),
];

/// Functions that return a number and never fail, as prefixes of their names.
pub(crate) const NEVER_FAILING: &[&str] = &[
    "_raw_spin_",
    "_raw_read_",
    "_raw_write_",
    "__cond_resched",
    "___ratelimit",
    "__ratelimit",
    "__warn",
    "_printk",
    "printk",
    "_dev_",
    "__dynamic_",
    "__traceiter_",
    "__trace_",
    "trace_",
    "perf_trace_",
    "_find_",
    "__bitmap_",
    "bitmap_",
    "mem",
    "__mem",
    "str",
    "snprintf",
    "sprintf",
    "scnprintf",
    "vsnprintf",
    "hweight",
    "__sw_hweight",
    "cpumask_",
    "ktime_",
    "refcount_",
    "__rcu_",
    "rcu_",
    "lock_",
    "rb_",
    "jiffies_",
    "hrtimer_",
    "list_",
];

/// Exceptions from [`NEVER_FAILING`]: these functions can fail.
pub(crate) const CAN_FAIL: &[&str] = &[
    "memdup_",
    "strndup_",
    "strncpy_from_user",
    "strnlen_user",
    "mem_cgroup_",
];

/// Functions whose callees never cause the error of a system call: panic, the scheduler, the log.
/// The search stops at them; otherwise every function would reach every other one. `*` at the end
/// matches any suffix.
pub(crate) const SEARCH_ENDS: &[&str] = &[
    "panic",
    "vpanic",
    "do_exit",
    "make_task_dead",
    "_printk",
    "printk",
    "vprintk*",
    "__warn*",
    "schedule*",
    "__schedule*",
    "preempt_schedule*",
    "dump_stack*",
    "__stack_chk_fail",
    "__ubsan_handle_*",
];

const EINTR: u16 = 4;
const EDEADLK: u16 = 35;
const EALREADY: u16 = 114;
