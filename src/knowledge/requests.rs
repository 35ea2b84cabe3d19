// SPDX-License-Identifier: BSD-2-Clause
//! Functions that handle a request: its failure is the answer to it.

/// Handlers of netlink requests: the `sendmsg()` that brought the request succeeds, and what they
/// return is sent back.
pub(crate) const REQUESTS: &[&str] = &[
    "rtnetlink_rcv_msg",
    "genl_rcv_msg",
    "nfnetlink_rcv_msg",
    "sock_diag_rcv_msg",
    "xfrm_user_rcv_msg",
    "crypto_user_rcv_msg",
];
