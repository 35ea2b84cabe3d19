// SPDX-License-Identifier: BSD-2-Clause
//! The system call of a session, or the arguments of another entry function, in the JSON output.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::notes::number;
use crate::render::RenderContext;
use crate::render::arguments::{ShownArgument, arguments};
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
pub(super) struct ArgumentObject {
    name: String,
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
            .map(|argument| ArgumentObject::new(argument.name, &argument.value, argument.raw))
            .collect(),
    })
}

/// Returns the arguments of the entry function; `None` if it is a system call, or if they are not known.
pub(super) fn function_arguments(
    session: &Session,
    context: &RenderContext<'_>,
) -> Option<Vec<ArgumentObject>> {
    let (arguments, _) = arguments(session, context)?;
    let arguments = arguments.iter();
    let object = |argument: &ShownArgument<'_>| {
        ArgumentObject::new(argument.name, &argument.value, argument.raw)
    };
    Some(arguments.map(object).collect())
}

impl ArgumentObject {
    fn new(name: &str, value: &Value, raw: u64) -> Self {
        Self {
            name: name.to_owned(),
            value: json(value),
            raw: format!("{raw:#x}"),
            cut: matches!(value, Value::LongText(_) | Value::List(_, true)),
            unreadable: matches!(value, Value::Unreadable(_)),
            file: match value {
                Value::File(_, file) => Some(String::from_utf8_lossy(file).into_owned()),
                _ => None,
            },
        }
    }
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
