// SPDX-License-Identifier: BSD-2-Clause
//! Cases of netlink: the send succeeds, and the error comes back in the acknowledgement.
//!
//! The kernel handles such a request within `sendto`, so a tracer sees the failing chain there.

use std::path::Path;

use libc::{AF_NETLINK, NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM, SOCK_RAW};

use crate::case::{Attempt, Case, Trouble};
use crate::errno::Errno;
use crate::sys::{call, call_fd};

const REQUEST_ACK: u16 = 0x5;
const CREATE_EXCL: u16 = 0x600;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_DELROUTE: u16 = 25;
const XFRM_MSG_DELSA: u16 = 0x11;

/// A batch of `nf_tables`, and one message in it.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NFT_MSG_DELTABLE: u16 = 10 << 8 | 2;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("netlink-link-kind", "sendto"),
        libc::EOPNOTSUPP,
        "__rtnl_newlink|rtnl_newlink",
        "a device of a kind that there is not",
        |_| {
            let kind = attribute(1, b"simfail");
            let body = [link(0), attribute(18, &kind)].concat();
            request(NETLINK_ROUTE, RTM_NEWLINK, CREATE_EXCL, &body)
        },
    ),
    Case::fails(
        ("netlink-link-missing", "sendto"),
        libc::ENODEV,
        "rtnl_getlink|__dev_get_by_index|dev_get_by_index_rcu",
        "a device that is not there",
        |_| request(NETLINK_ROUTE, RTM_GETLINK, 0, &link(0x7fff_0000)),
    ),
    Case::fails(
        ("netlink-addr-missing", "sendto"),
        libc::EADDRNOTAVAIL,
        "inet_rtm_deladdr",
        "an address that is not set",
        |_| {
            let body = [address(1), attribute(2, &[192, 0, 2, 1])].concat();
            request(NETLINK_ROUTE, RTM_DELADDR, 0, &body)
        },
    ),
    Case::fails(
        ("netlink-addr-device", "sendto"),
        libc::ENODEV,
        "inet_rtm_newaddr|rtm_to_ifaddr|__dev_get_by_index",
        "an address for a device that is not there",
        |_| {
            let body = [address(0x7fff_0000), attribute(2, &[192, 0, 2, 1])].concat();
            request(NETLINK_ROUTE, RTM_NEWADDR, CREATE_EXCL, &body)
        },
    ),
    Case::fails(
        ("netlink-route-missing", "sendto"),
        libc::ESRCH,
        "fib_table_delete|fib_find_node",
        "a route that is not there",
        |_| {
            // IPv4, 32 bits of destination, table main.
            let route = [2, 32, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0];
            let body = [route.to_vec(), attribute(1, &[192, 0, 2, 1])].concat();
            request(NETLINK_ROUTE, RTM_DELROUTE, 0, &body)
        },
    ),
    Case::fails(
        ("netlink-generic", "sendto"),
        libc::ENOENT,
        "genl_rcv_msg",
        "a generic family that there is not",
        |_| request(NETLINK_GENERIC, 0x7777, 0, &[0; 4]),
    ),
    Case::fails(
        ("netlink-xfrm-missing", "sendto"),
        libc::ESRCH,
        "xfrm_del_sa|xfrm_user_state_lookup|xfrm_state_lookup",
        "an IPsec state that is not there (in a module)",
        |_| {
            require_module("xfrm_user")?;
            // ESP over IPv4: address, SPI, family, protocol.
            let state = [&[192, 0, 2, 1][..], &[0; 12], &[0, 0, 1, 0, 2, 0, 50, 0]].concat();
            request(NETLINK_XFRM, XFRM_MSG_DELSA, 0, &state)
        },
    ),
    Case::fails(
        ("netlink-nft-missing", "sendto"),
        libc::ENOENT,
        "nf_tables_deltable|nft_table_lookup",
        "a table of nf_tables that is not there (in a module)",
        |_| {
            require_module("nf_tables")?;
            // Family, version, and whose batch it is.
            let edge = [0, 0, 0, 10];
            let table = [vec![2, 0, 0, 0], attribute(1, b"simfail\0")].concat();
            let batch = [
                message(BATCH_BEGIN, 1, &edge),
                message(NFT_MSG_DELTABLE, REQUEST_ACK, &table),
                message(BATCH_END, 1, &edge),
            ];
            exchange(NETLINK_NETFILTER, &batch.concat())
        },
    ),
];

fn require_module(name: &str) -> Result<(), Trouble> {
    if Path::new("/sys/module").join(name).exists() {
        return Ok(());
    }
    Err(Trouble::Unsupported(format!("no module {name}")))
}

/// Sends one request, and makes the acknowledgement the result.
fn request(protocol: i32, kind: u16, flags: u16, body: &[u8]) -> Attempt {
    exchange(protocol, &message(kind, REQUEST_ACK | flags, body))
}

/// `struct nlmsghdr` and what comes after it.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn exchange(protocol: i32, message: &[u8]) -> Attempt {
    let socket = call_fd!(
        libc::SYS_socket,
        AF_NETLINK,
        SOCK_RAW | libc::SOCK_CLOEXEC,
        protocol
    )?;
    call!(libc::SYS_sendto, &socket, message, message.len(), 0, 0, 0)?;

    let mut reply = [0; 4096];
    call!(libc::SYS_recvfrom, &socket, &mut reply, 4096, 0, 0, 0)?;
    let [_, _, _, _, kind_low, kind_high, ..] = reply;
    if u16::from_ne_bytes([kind_low, kind_high]) != libc::NLMSG_ERROR as u16 {
        return Err(Trouble::Failed(
            "the reply is no acknowledgement".to_owned(),
        ));
    }
    let [a, b, c, d] = [reply[16], reply[17], reply[18], reply[19]];
    match i32::from_ne_bytes([a, b, c, d]) {
        0 => Ok(Ok(0)),
        error => Ok(Err(Errno(-error))),
    }
}

/// `struct ifinfomsg`.
fn link(index: i32) -> Vec<u8> {
    [&[0; 4], index.to_ne_bytes().as_slice(), &[0; 8]].concat()
}

/// `struct ifaddrmsg` of an IPv4 address with 32 bits.
fn address(index: u32) -> Vec<u8> {
    [&[2, 32, 0, 0], index.to_ne_bytes().as_slice()].concat()
}

/// `struct rtattr` with its value and padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = (4 + value.len()) as u16;
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
