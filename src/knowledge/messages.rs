// SPDX-License-Identifier: BSD-2-Clause
//! Where the kernel says in words why something failed.

/// The category of events of netlink.
pub(crate) const NETLINK: &str = "netlink";

/// Events whose text is a message: category and name.
pub(crate) const MESSAGE_EVENTS: &[(&str, &str)] = &[
    // What is written to the log, in the task that writes it, as on 6.1. On 5.10, in the task that
    // writes the log to the console, which nearly always is the same.
    ("printk", "console"),
    // The text of the answer to a netlink request. 5.10 does not have it.
    (NETLINK, "netlink_extack"),
];

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
