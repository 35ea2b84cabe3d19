// SPDX-License-Identifier: BSD-2-Clause
//! What the memory behind an argument means: socket addresses and structs.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::decode::{Value, of_set};
use super::table::Kind;

/// Decodes the memory behind an argument; `None` if there is too little of it.
pub(super) fn of_memory(kind: Kind, bytes: &[u8]) -> Option<Value> {
    match kind {
        Kind::SocketAddress(_) => socket_address(bytes),
        Kind::OpenHow => Some(Value::Struct(vec![
            ("flags", of_set("open", word(bytes, 0)?)),
            ("mode", Value::Octal(word(bytes, 1)?)),
            ("resolve", of_set("resolve", word(bytes, 2)?)),
        ])),
        Kind::CloneArgs => Some(Value::Struct(vec![
            ("flags", of_set("clone", word(bytes, 0)?)),
            ("exit_signal", of_set("signal", word(bytes, 4)?)),
            ("stack", Value::Hex(word(bytes, 5)?)),
            ("stack_size", Value::Unsigned(word(bytes, 6)?)),
        ])),
        Kind::ResourceLimit => Some(Value::Struct(vec![
            ("cur", limit(word(bytes, 0)?)),
            ("max", limit(word(bytes, 1)?)),
        ])),
        Kind::TimeSpec => Some(Value::Struct(vec![
            ("sec", Value::Signed(word(bytes, 0)? as i64)),
            ("nsec", Value::Signed(word(bytes, 1)? as i64)),
        ])),
        Kind::SchedParam => {
            let priority = i32::from_ne_bytes(*bytes.first_chunk()?);
            Some(Value::Struct(vec![(
                "priority",
                Value::Signed(priority.into()),
            )]))
        }
        Kind::Strings => {
            let (has_more, rest) = bytes.split_first()?;
            let texts = rest.split_inclusive(|byte| *byte == 0).map(text);
            Some(Value::List(texts.collect(), *has_more != 0))
        }
        Kind::Message => message(bytes),
        _ => None,
    }
}

/// Bytes of a text of an array that are read at most, including its NUL (`MAX_STRING` of
/// `syscall.bpf.h`).
const MAX_TEXT: usize = 64;

fn text(bytes: &[u8]) -> Value {
    match bytes.split_last() {
        Some((0, text)) if bytes.len() < MAX_TEXT => Value::Text(text.to_vec()),
        Some((0, text)) => Value::LongText(text.to_vec()),
        _ => Value::LongText(bytes.to_vec()),
    }
}

/// Size of `struct area_buffer` of `events.h`.
const BUFFER: usize = 80;

/// Decodes the beginnings of buffers, of which there are `n_all`.
pub(super) fn buffers(bytes: &[u8], n_all: u64) -> Value {
    let all = bytes.chunks_exact(BUFFER).filter_map(buffer);
    let all: Vec<Value> = all.collect();
    let has_more = (all.len() as u64) < n_all;
    Value::List(all, has_more)
}

fn buffer(bytes: &[u8]) -> Option<Value> {
    let size = word(bytes, 0)?;
    // The last byte is not used.
    let data = bytes.get(16..BUFFER - 1)?;
    let data = match (word(bytes, 1)?, usize::try_from(size)) {
        (0, _) => match word(bytes, 2)? {
            0 => Value::Null,
            address => Value::Unreadable(address),
        },
        (_, Ok(size)) if size <= data.len() => Value::Text(data[..size].to_vec()),
        _ => Value::LongText(data.to_vec()),
    };
    Some(Value::Struct(vec![
        ("base", data),
        ("len", Value::Unsigned(size)),
    ]))
}

/// Offsets in `struct area_message` of `events.h`.
const MESSAGE_BUFFER: usize = 32;
const MESSAGE_ADDRESS: usize = MESSAGE_BUFFER + BUFFER;

/// Decodes a `struct msghdr` with its address and its first buffer.
fn message(bytes: &[u8]) -> Option<Value> {
    let (name, n_buffers) = (word(bytes, 0)?, word(bytes, 1)?);
    let len = usize::try_from(word(bytes, 3)?).ok()?;
    let address = bytes.get(MESSAGE_ADDRESS..)?.get(..len);
    let address = address.filter(|bytes| !bytes.is_empty());
    let address = match address.and_then(socket_address) {
        Some(address) => address,
        None if name == 0 => Value::Null,
        None => Value::Hex(name),
    };
    let buffer = bytes.get(MESSAGE_BUFFER..MESSAGE_ADDRESS)?;
    let buffer = if n_buffers == 0 { &[][..] } else { buffer };
    Some(Value::Struct(vec![
        ("name", address),
        ("iov", buffers(buffer, n_buffers)),
        ("controllen", Value::Unsigned(word(bytes, 2)?)),
    ]))
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    bytes
        .as_chunks()
        .0
        .get(index)
        .map(|word| u64::from_ne_bytes(*word))
}

fn limit(value: u64) -> Value {
    if value == u64::MAX {
        Value::Named("RLIM_INFINITY".to_owned(), value)
    } else {
        Value::Unsigned(value)
    }
}

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_VSOCK: u16 = 40;

/// Decodes a `struct sockaddr`.
fn socket_address(bytes: &[u8]) -> Option<Value> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let rest = bytes.get(2..).unwrap_or_default();
    let port = || Some(u16::from_be_bytes(*rest.first_chunk()?));
    let half = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut members = vec![("family", of_set("family", family.into()))];
    match family {
        AF_UNIX => members.push(("path", Value::Text(unix_path(rest).to_vec()))),
        AF_INET => {
            let address: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            members.push(("port", Value::Unsigned(port()?.into())));
            members.push(("addr", Value::Plain(Ipv4Addr::from(address).to_string())));
        }
        AF_INET6 => {
            let address: [u8; 16] = *rest.get(6..)?.first_chunk()?;
            members.push(("port", Value::Unsigned(port()?.into())));
            members.push(("addr", Value::Plain(Ipv6Addr::from(address).to_string())));
        }
        AF_NETLINK => {
            members.push(("pid", Value::Unsigned(half(4)?.into())));
            members.push(("groups", Value::Hex(half(8)?.into())));
        }
        AF_VSOCK => {
            members.push(("port", Value::Unsigned(half(4)?.into())));
            members.push(("cid", Value::Unsigned(half(8)?.into())));
        }
        _ => {}
    }
    Some(Value::Struct(members))
}

/// A path ends at a NUL. A name of the abstract namespace begins with one, and has no end.
fn unix_path(bytes: &[u8]) -> &[u8] {
    if bytes.first() == Some(&0) {
        return bytes;
    }
    let end = bytes.iter().position(|byte| *byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}
