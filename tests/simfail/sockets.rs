// SPDX-License-Identifier: BSD-2-Clause
//! Cases of sockets. All of them stay on this machine.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};

use crate::case::{Case, Trouble};
use crate::errno::Errno;
use crate::sys::{call, call_fd};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
/// Of the block that is kept for documentation: no machine has it.
const FOREIGN: [u8; 4] = [192, 0, 2, 1];

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("socket-family", "socket"),
        libc::EAFNOSUPPORT,
        "__sock_create",
        "a family that there is not",
        |_| Ok(call!(libc::SYS_socket, 200, SOCK_STREAM, 0)),
    ),
    Case::fails(
        ("socket-protocol", "socket"),
        libc::EPROTONOSUPPORT,
        "inet_create",
        "a protocol that there is not",
        |_| Ok(call!(libc::SYS_socket, AF_INET, SOCK_STREAM, 250)),
    ),
    Case::fails(
        ("bind-in-use", "bind"),
        libc::EADDRINUSE,
        "__inet_bind|inet_csk_get_port",
        "a port that is taken",
        |_| {
            let taken = TcpListener::bind("127.0.0.1:0")?;
            let port = taken.local_addr()?.port();
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_bind, &socket, &ip(LOOPBACK, port), 16))
        },
    ),
    Case::fails(
        ("bind-foreign", "bind"),
        libc::EADDRNOTAVAIL,
        "__inet_bind",
        "an address of another machine",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_bind, &socket, &ip(FOREIGN, 0), 16))
        },
    ),
    Case::fails(
        ("bind-short", "bind"),
        libc::EINVAL,
        "inet_bind|inet_bind_sk",
        "an address of 2 bytes",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_bind, &socket, &ip(LOOPBACK, 0), 2))
        },
    ),
    Case::fails(
        ("connect-refused", "connect"),
        libc::ECONNREFUSED,
        "__inet_stream_connect",
        "a port that nobody listens on",
        |_| {
            let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_connect, &socket, &ip(LOOPBACK, free), 16))
        },
    ),
    Case::fails(
        ("connect-unix", "connect"),
        libc::ENOENT,
        "step_into|step_into_slowpath|link_path_walk",
        "a local socket that is not there",
        |_| {
            let socket = call_fd!(libc::SYS_socket, AF_UNIX, SOCK_STREAM, 0)?;
            Ok(call!(
                libc::SYS_connect,
                &socket,
                &unix(b"/simfail/missing"),
                110
            ))
        },
    ),
    Case::fails(
        ("connect-unix-refused", "connect"),
        libc::ECONNREFUSED,
        "unix_stream_connect|unix_find_other",
        "an abstract socket that is not there",
        |_| {
            let socket = call_fd!(libc::SYS_socket, AF_UNIX, SOCK_STREAM, 0)?;
            Ok(call!(
                libc::SYS_connect,
                &socket,
                &unix(b"\0simfail-missing"),
                110
            ))
        },
    ),
    Case::fails(
        ("accept-not-listening", "accept4"),
        libc::EINVAL,
        "inet_accept",
        "a socket that does not listen",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_accept4, &socket, 0, 0, 0))
        },
    ),
    Case::fails(
        ("setsockopt-tcp", "setsockopt"),
        libc::ENOPROTOOPT,
        "tcp_setsockopt|do_tcp_setsockopt",
        "an option that TCP has not",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(
                libc::SYS_setsockopt,
                &socket,
                libc::IPPROTO_TCP,
                9999,
                &[0; 4],
                4
            ))
        },
    ),
    Case::fails(
        ("setsockopt-short", "setsockopt"),
        libc::EINVAL,
        "sock_setsockopt|sk_setsockopt",
        "a value of 1 byte",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(
                libc::SYS_setsockopt,
                &socket,
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                &[0; 4],
                1
            ))
        },
    ),
    Case::fails(
        ("send-nowhere", "sendto"),
        libc::EDESTADDRREQ,
        "udp_sendmsg",
        "a datagram without an address",
        |_| {
            let socket = inet(SOCK_DGRAM)?;
            Ok(call!(libc::SYS_sendto, &socket, &[0; 4], 4, 0, 0, 0))
        },
    ),
    Case::fails(
        ("send-too-long", "sendto"),
        libc::EMSGSIZE,
        "udp_sendmsg",
        "a datagram of 70000 bytes",
        |_| {
            let socket = inet(SOCK_DGRAM)?;
            let data = vec![0; 70_000];
            Ok(call!(
                libc::SYS_sendto,
                &socket,
                data.as_slice(),
                data.len(),
                0,
                &ip(LOOPBACK, 9),
                16
            ))
        },
    ),
    Case::fails(
        ("recv-again", "recvfrom"),
        libc::EAGAIN,
        "udp_recvmsg",
        "a datagram that has not come",
        |_| {
            let socket: OwnedFd = UdpSocket::bind("127.0.0.1:0")?.into();
            Ok(call!(
                libc::SYS_recvfrom,
                &socket,
                &mut [0; 4],
                4,
                libc::MSG_DONTWAIT,
                0,
                0
            ))
        },
    ),
    Case::fails(
        ("shutdown-unconnected", "shutdown"),
        libc::ENOTCONN,
        "inet_shutdown",
        "a socket that is not connected",
        |_| {
            let socket = inet(SOCK_STREAM)?;
            Ok(call!(libc::SYS_shutdown, &socket, libc::SHUT_RDWR))
        },
    ),
    Case::fails(
        ("not-a-socket", "listen"),
        libc::ENOTSOCK,
        "__sys_listen",
        "a descriptor that is no socket",
        |_| {
            let epoll = call_fd!(libc::SYS_epoll_create1, 0)?;
            Ok(call!(libc::SYS_listen, &epoll, 1))
        },
    ),
    Case::fails(
        ("ioctl-socket", "ioctl"),
        libc::ENOTTY,
        "sock_do_ioctl",
        "a command that nobody knows: one failure is handled, the next is not",
        |_| {
            let socket = inet(SOCK_DGRAM)?;
            Ok(call!(libc::SYS_ioctl, &socket, 0x1234, &mut [0; 40]))
        },
    ),
    Case::succeeds(
        ("handled-ioctl", "ioctl"),
        "the protocol says -ENOIOCTLCMD, the device layer answers",
        |_| {
            let socket = inet(SOCK_DGRAM)?;
            let mut request = [0; 40];
            request[..2].copy_from_slice(b"lo");
            Ok(call!(
                libc::SYS_ioctl,
                &socket,
                libc::SIOCGIFINDEX as i64,
                &mut request
            ))
        },
    ),
];

fn inet(kind: i32) -> Result<OwnedFd, Trouble> {
    let socket: Result<_, Errno> =
        call_fd!(libc::SYS_socket, AF_INET, kind | libc::SOCK_CLOEXEC, 0);
    Ok(socket?)
}

/// `struct sockaddr_in`.
fn ip(address: [u8; 4], port: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&address);
    bytes
}

/// `struct sockaddr_un`.
fn unix(path: &[u8]) -> [u8; 110] {
    let mut bytes = [0; 110];
    bytes[..2].copy_from_slice(&(AF_UNIX as u16).to_ne_bytes());
    bytes[2..2 + path.len()].copy_from_slice(path);
    bytes
}
