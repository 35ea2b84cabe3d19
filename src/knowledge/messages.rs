// SPDX-License-Identifier: BSD-2-Clause
//! Where the kernel says in words why something failed.

/// What the kernel writes to its log: category and name of the event. It fires in the task that
/// writes it, as on 6.1; on 5.10 in the task that writes the log to the console, which nearly always
/// is the same.
pub(crate) const LOG_EVENT: (&str, &str) = ("printk", "console");

/// The text of the answer to a netlink request: category and name of the event. 5.10 does not have
/// it.
pub(crate) const NETLINK_EVENT: (&str, &str) = ("netlink", "netlink_extack");

/// System calls that send netlink requests. (The handlers of the requests are in `requests.rs`.)
pub(crate) const NETLINK_CALLS: &[&str] = &[
    "io_uring_enter",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "write",
    "writev",
];

/// System calls in which file systems read their parameters.
pub(crate) const FS_LOG_CALLS: &[&str] = &["fsconfig", "fsmount", "fsopen", "fspick", "mount"];

/// System calls in which the verifier runs.
pub(crate) const BPF_LOG_CALLS: &[&str] = &["bpf"];

/// Puts a text into the log of a mount, or of another change of a file system.
pub(crate) const FS_LOG: &str = "logfc";

/// Formats a text of the verifier for BPF programs.
pub(crate) const BPF_LOG: &str = "bpf_verifier_vlog";

/// The text that it has formatted.
pub(crate) const BPF_LOG_TEXT: &str = "log.kbuf";

/// Sends the answer to a netlink request.
pub(crate) const NETLINK_ANSWER: &str = "netlink_ack";

/// The text of the answer.
pub(crate) const NETLINK_ANSWER_TEXT: &str = "extack._msg";
