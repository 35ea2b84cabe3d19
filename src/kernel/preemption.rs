// SPDX-License-Identifier: BSD-2-Clause
//! Whether the kernel preempts its own code. A program of a trampoline may then be interrupted
//! while it runs, and is skipped for all other tasks of that CPU meanwhile (`prog->active`).
//!
//! Disabling preemption in the program does not help: a pending preemption happens where it is
//! enabled again, which is still within the program. Programs of kprobes run with preemption
//! disabled.

/// Decides by the output of `uname -v` and the modes of `/sys/kernel/debug/sched/preempt`, where
/// parentheses mark the active one. A kernel that chooses its mode at boot and does not show it is
/// assumed to preempt: since 7.0 (7dadeaa6e851, "sched: Further restrict the preemption modes")
/// kernels for x86-64 have only modes that do.
pub(super) fn preempts(version: &str, modes: Option<&str>) -> bool {
    let mut words = version.split_ascii_whitespace();
    if words.clone().any(|word| word == "PREEMPT_DYNAMIC") {
        return modes.is_none_or(|modes| modes.contains("(full)") || modes.contains("(lazy)"));
    }
    words.any(|word| word.starts_with("PREEMPT"))
}

#[cfg(test)]
mod tests {
    use super::preempts;

    #[test]
    fn the_mode_that_holds_decides_where_there_is_a_choice() {
        let dynamic = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-01-01)";
        assert!(preempts(dynamic, Some("none voluntary (full) lazy\n")));
        assert!(preempts(dynamic, Some("full (lazy)\n")));
        assert!(!preempts(dynamic, Some("none (voluntary) full lazy\n")));
        assert!(preempts(dynamic, None));
    }

    #[test]
    fn a_kernel_without_a_choice_says_what_it_is() {
        assert!(preempts("#1 SMP PREEMPT Mon Jan 1", None));
        assert!(preempts("#1 SMP PREEMPT_RT Mon Jan 1", None));
        assert!(!preempts("#1 SMP Debian 5.10.251-1 (2026-01-01)", None));
    }
}
