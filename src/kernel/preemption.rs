// SPDX-License-Identifier: BSD-2-Clause
//! Whether the kernel preempts what runs in it, so that a program of a trampoline may have to wait in
//! the middle of its work, and is kept out of all other tasks of that CPU meanwhile (`prog->active`).
//!
//! To disable preemption in the program does not help: it is made up for where that ends, still within
//! the program. Those of kprobes run with preemption disabled.

/// By what `uname -v` says, and the modes of `/sys/kernel/debug/sched/preempt`, of which the one in
/// parentheses is in force. A kernel that chooses its mode when it boots and does not say which is
/// taken for one that preempts: since 7.0 (7dadeaa6e851, "sched: Further restrict the preemption
/// modes") kernels for x86-64 have only modes that do.
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
