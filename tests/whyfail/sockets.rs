// SPDX-License-Identifier: BSD-2-Clause
//! Sockets: addresses, options, kinds.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use crate::sys::{call, call_fd};
use crate::{Attempt, Trouble, number, text, tried};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("bind", |arguments| {
        let usage = "bind ADDRESS PORT";
        let host = text(arguments, 0, usage)?;
        let port = number(arguments, 1, usage)?;
        let socket = tcp()?;
        let address = address(host.parse().map_err(|_| Trouble::Usage(usage))?, port);
        tried("bind", call!(libc::SYS_bind, &socket, &address, 16))
    }),
    ("bind-twice", |_| {
        let address = address(Ipv4Addr::LOCALHOST, 4567);
        let (first, second) = (tcp()?, tcp()?);
        call!(libc::SYS_bind, &first, &address, 16)?;
        call!(libc::SYS_listen, &first, 1)?;
        tried("bind", call!(libc::SYS_bind, &second, &address, 16))
    }),
    ("bind-device", |_| {
        let (socket, device) = (tcp()?, b"nosuch0\0");
        let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
        let set = call!(libc::SYS_setsockopt, &socket, level, option, device, 8);
        tried("setsockopt", set)
    }),
    ("sockopt", |_| {
        let (socket, value) = (tcp()?, 1_i32.to_ne_bytes());
        let set = call!(
            libc::SYS_setsockopt,
            &socket,
            libc::IPPROTO_TCP,
            9999,
            &value,
            4
        );
        tried("setsockopt", set)
    }),
    ("unix", |arguments| {
        let path = text(arguments, 0, "unix PATH")?.as_bytes();
        let socket = call_fd!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
        let mut address = [0_u8; 110];
        address[0..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        let room = address.get_mut(2..2 + path.len());
        room.ok_or(Trouble::Usage("unix PATH"))?
            .copy_from_slice(path);
        let size = 3 + path.len();
        tried("connect", call!(libc::SYS_connect, &socket, &address, size))
    }),
    // Binds a socket to the path, and leaves the file behind without it.
    ("unix-leave", |arguments| {
        let path = text(arguments, 0, "unix-leave PATH")?;
        drop(UnixListener::bind(path)?);
        Ok(())
    }),
    ("socket-family", |_| {
        tried("socket", call!(libc::SYS_socket, 99, libc::SOCK_STREAM, 0))
    }),
    ("socket-raw", |_| {
        let socket = call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_RAW, 1);
        tried("socket", socket)
    }),
    ("udp-long", |_| {
        let socket = call_fd!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let (bytes, to) = (vec![0_u8; 70_000], address(Ipv4Addr::LOCALHOST, 9));
        let bytes = bytes.as_slice();
        let sent = call!(libc::SYS_sendto, &socket, bytes, 70_000, 0, &to, 16);
        tried("sendto", sent)
    }),
];

fn tcp() -> Result<OwnedFd, Trouble> {
    Ok(call_fd!(
        libc::SYS_socket,
        libc::AF_INET,
        libc::SOCK_STREAM,
        0
    )?)
}

/// A `sockaddr_in`.
fn address(host: Ipv4Addr, port: i64) -> [u8; 16] {
    let mut address = [0_u8; 16];
    address[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&(port as u16).to_be_bytes());
    address[4..8].copy_from_slice(&host.octets());
    address
}
