// SPDX-License-Identifier: BSD-2-Clause
//! Functions that handle a request and whose failure is the answer to it.

/// Handlers of netlink requests. The `sendmsg()` that carries the request succeeds, and the
/// handler's result is sent back.
pub(crate) const REQUESTS: &[&str] = &[
    "rtnetlink_rcv_msg",
    "genl_rcv_msg",
    "nfnetlink_rcv_msg",
    "sock_diag_rcv_msg",
    "xfrm_user_rcv_msg",
    "crypto_user_rcv_msg",
];
