// SPDX-License-Identifier: BSD-2-Clause
//! The system call of a session in the JSON output.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::notes::number;
use crate::session::Session;
use crate::syscalls::{Abi, Value, decode};

/// A system call with its arguments.
#[derive(Debug, Serialize)]
pub(super) struct SyscallObject {
    /// As strace names it; `null` if the number is not known.
    name: Option<&'static str>,
    number: u32,
    /// `native`, or `compat` for the table of 32-bit programs.
    abi: &'static str,
    arguments: Vec<ArgumentObject>,
}

/// An argument.
#[derive(Debug, Serialize)]
struct ArgumentObject {
    name: &'static str,
    /// A number, a text, an array, an object for a struct, or `null` for NULL and for what could not be read.
    /// Addresses and modes are texts, and so are names of flags.
    value: Json,
    /// The register, in hexadecimal.
    raw: String,
    /// Whether the text or the array goes on.
    cut: bool,
    /// Whether memory could not be read.
    unreadable: bool,
    /// What a descriptor is; `null` if it is none, or not known.
    file: Option<String>,
}

/// Returns the system call of a session; `None` if it is not known.
pub(super) fn syscall(session: &Session) -> Option<SyscallObject> {
    let call = session.syscall.as_ref()?;
    let decoded = decode(call);
    let arguments = decoded.arguments.iter();
    Some(SyscallObject {
        name: decoded.name,
        number: call.number,
        abi: match call.abi {
            Abi::Native => "native",
            Abi::Compat => "compat",
        },
        arguments: arguments
            .map(|argument| ArgumentObject {
                name: argument.name,
                value: json(&argument.value),
                raw: format!("{:#x}", argument.raw),
                cut: matches!(argument.value, Value::LongText(_) | Value::List(_, true)),
                unreadable: matches!(argument.value, Value::Unreadable(_)),
                file: match &argument.value {
                    Value::File(_, file) => Some(String::from_utf8_lossy(file).into_owned()),
                    _ => None,
                },
            })
            .collect(),
    })
}

fn json(value: &Value) -> Json {
    match value {
        Value::Signed(signed) => match u64::try_from(*signed) {
            Ok(unsigned) => number(unsigned),
            Err(_) => (*signed).into(),
        },
        Value::Unsigned(unsigned) => number(*unsigned),
        Value::Hex(address) => format!("{address:#x}").into(),
        Value::Octal(0) => "0".into(),
        Value::Octal(mode) => format!("0{mode:o}").into(),
        Value::Null | Value::Unreadable(_) => Json::Null,
        Value::Named(name, _) | Value::Plain(name) => name.as_str().into(),
        Value::Text(bytes) | Value::LongText(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::List(elements, _) => Json::Array(elements.iter().map(json).collect()),
        Value::File(descriptor, _) => json(descriptor),
        Value::Struct(members) => {
            let members = members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json(value)));
            Json::Object(members.collect::<Map<String, Json>>())
        }
    }
}
