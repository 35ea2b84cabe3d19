// SPDX-License-Identifier: BSD-2-Clause
//! From the registers and the memory of a system call to its name and typed arguments.

use super::areas::{area_of, file_of};
use super::bpf::attributes;
use super::files::file;
use super::memory::{buffers, of_memory};
use super::table::{Kind, Parameter, Set, parameters_of, set};
use super::{Area, SystemCall, numbers};

/// A system call as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Its name; `None` if the number is not known.
    pub(crate) name: Option<&'static str>,
    /// Its arguments, in order.
    pub(crate) arguments: Vec<Argument>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: Value,
    /// The register.
    pub(crate) raw: u64,
}

/// A value of an argument, or of a member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// An integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// An address, or a number without a better meaning.
    Hex(u64),
    /// The mode of a file.
    Octal(u64),
    /// A pointer that is NULL.
    Null,
    /// The name of a value, or the names of flags with `|` between them.
    Named(String, u64),
    /// Text as the traced program wrote it. Escape it before output.
    Text(Vec<u8>),
    /// The beginning of a text that is longer.
    LongText(Vec<u8>),
    /// Text of our own: an address of a network.
    Plain(String),
    /// Members of a struct by name.
    Struct(Vec<(&'static str, Self)>),
    /// Elements, and whether there are more.
    List(Vec<Self>, bool),
    /// A descriptor, and what it is: a path, or a name of what has none. Escape it before output.
    File(Box<Self>, Vec<u8>),
    /// Memory at this address that could not be read.
    Unreadable(u64),
}

const AT_FDCWD: i32 = -100;

const O_CREAT: u64 = 0x40;
const O_TMPFILE: u64 = 0x41_0000;

const SOL_SOCKET: u32 = 1;

/// Names for arguments of calls that are not known.
const UNKNOWN: [&str; 6] = ["arg1", "arg2", "arg3", "arg4", "arg5", "arg6"];

/// Decodes a system call.
#[must_use]
pub(crate) fn decode(call: &SystemCall) -> Decoded {
    let name = numbers::name(call.abi, call.number);
    let Some(parameters) = name.and_then(parameters_of) else {
        let arguments = UNKNOWN.iter().zip(call.arguments);
        return Decoded {
            name,
            arguments: arguments
                .map(|(name, raw)| Argument {
                    name,
                    value: Value::Hex(raw),
                    raw,
                })
                .collect(),
        };
    };
    let n_in_memory = parameters
        .iter()
        .filter(|parameter| area_of(parameter.kind, call.abi).is_some());
    let mut files = call.areas.iter().skip(n_in_memory.count());
    let mut areas = call.areas.iter();
    let mut arguments: Vec<Argument> = Vec::with_capacity(parameters.len());
    for (index, (parameter, raw)) in parameters.iter().zip(call.arguments).enumerate() {
        let area = area_of(parameter.kind, call.abi).and_then(|_| areas.next());
        if parameter.kind == Kind::CreationMode && !may_create(parameters, call) {
            continue;
        }
        let value = value(parameter.kind, raw, area, call, index);
        let file = file_of(parameter.kind).and_then(|_| file(files.next()?));
        arguments.push(Argument {
            name: parameter.name,
            value: match file {
                Some(file) => Value::File(Box::new(value), file),
                None => value,
            },
            raw,
        });
    }
    Decoded { name, arguments }
}

fn value(kind: Kind, raw: u64, area: Option<&Area>, call: &SystemCall, index: usize) -> Value {
    if let Some(area) = area {
        return in_memory(kind, raw, area, call);
    }
    match kind {
        Kind::Int | Kind::Fd => Value::Signed((raw as i32).into()),
        Kind::Uint => Value::Unsigned((raw as u32).into()),
        Kind::Size => Value::Unsigned(raw),
        Kind::Octal | Kind::CreationMode => Value::Octal((raw as u32).into()),
        Kind::Directory if raw as i32 == AT_FDCWD => Value::Named("AT_FDCWD".to_owned(), raw),
        Kind::Directory => Value::Signed((raw as i32).into()),
        // "No change" of an id.
        Kind::Id if raw as u32 == u32::MAX => Value::Signed(-1),
        Kind::Id => Value::Unsigned((raw as u32).into()),
        Kind::Device => device(raw),
        Kind::Set(set) => names(set, raw),
        Kind::SocketOption => {
            let level = index
                .checked_sub(1)
                .map(|index| call.arguments[index] as u32);
            match set("solsocket").filter(|_| level == Some(SOL_SOCKET)) {
                Some(options) => names(options, raw),
                None => Value::Signed((raw as i32).into()),
            }
        }
        Kind::Hex => Value::Hex(raw),
        _ if raw == 0 => Value::Null,
        _ => Value::Hex(raw),
    }
}

fn in_memory(kind: Kind, raw: u64, area: &Area, call: &SystemCall) -> Value {
    let bytes = match area {
        Area::None if raw == 0 => return Value::Null,
        Area::None => return Value::Hex(raw),
        Area::Unreadable => return Value::Unreadable(raw),
        Area::Bytes(bytes) => bytes,
    };
    match kind {
        // Of an empty text kernels read nothing, not even the NUL.
        Kind::Path | Kind::Text if bytes.is_empty() => Value::Text(Vec::new()),
        Kind::Path | Kind::Text => match bytes.iter().position(|byte| *byte == 0) {
            // The last byte that was read is a NUL also where the text goes on.
            Some(end) if end + 1 < super::AREA_BYTES => Value::Text(bytes[..end].to_vec()),
            _ => Value::LongText(bytes[..bytes.len().saturating_sub(1)].to_vec()),
        },
        Kind::Bytes(by) => {
            let wanted = call.arguments.get(usize::from(by)).copied().unwrap_or(0);
            if wanted > bytes.len() as u64 {
                Value::LongText(bytes.clone())
            } else {
                Value::Text(bytes.clone())
            }
        }
        Kind::BpfAttributes(_) => attributes(call.arguments[0], bytes).unwrap_or(Value::Hex(raw)),
        Kind::Buffers(by) => {
            let wanted = call.arguments.get(usize::from(by)).copied().unwrap_or(0);
            buffers(bytes, wanted)
        }
        _ => of_memory(kind, bytes).unwrap_or(Value::Hex(raw)),
    }
}

/// Returns true if the flags before a mode say that a file may be created.
fn may_create(parameters: &[Parameter], call: &SystemCall) -> bool {
    let mut with_values = parameters.iter().zip(call.arguments);
    let flags = with_values.find(|(parameter, _)| parameter.name == "flags");
    flags.is_some_and(|(_, flags)| flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE)
}

/// Returns a device's number as the C library writes it: major and minor.
fn device(raw: u64) -> Value {
    let major = raw >> 8 & 0xfff;
    let minor = raw & 0xff | raw >> 12 & 0xf_ff00;
    Value::Plain(format!("{major}:{minor}"))
}

/// Returns a value with the names of a set.
pub(super) fn of_set(name: &str, raw: u64) -> Value {
    set(name).map_or(Value::Hex(raw), |set| names(set, raw))
}

fn names(set: &Set, raw: u64) -> Value {
    if set.is_one {
        // The kernel takes most of them as an `int`.
        let named = set
            .names
            .iter()
            .find(|name| name.value == raw || name.value as u32 == raw as u32 && raw >> 32 == 0);
        return match named {
            Some(named) => Value::Named(named.name.to_owned(), raw),
            None if raw as u32 >= 1 << 16 && (raw as i32) > 0 => Value::Hex(raw),
            None => Value::Signed((raw as i32).into()),
        };
    }
    let mut rest = raw;
    let mut text = String::new();
    for name in &set.names {
        let is_new = name.mask & rest == name.mask || name.value != name.mask;
        if raw & name.mask == name.value && is_new {
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(name.name);
            rest &= !name.mask;
        }
    }
    if text.is_empty() {
        return if raw == 0 {
            Value::Unsigned(0)
        } else {
            Value::Hex(raw)
        };
    }
    if rest != 0 {
        text.push_str(&format!("|{rest:#x}"));
    }
    Value::Named(text, raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::Abi;

    fn call(number: u32, arguments: [u64; 6], areas: Vec<Area>) -> SystemCall {
        SystemCall {
            abi: Abi::Native,
            number,
            arguments,
            areas,
        }
    }

    fn text(text: &str) -> Area {
        Area::Bytes([text.as_bytes(), b"\0"].concat())
    }

    fn values(call: &SystemCall) -> Vec<Value> {
        let arguments = decode(call).arguments;
        arguments
            .into_iter()
            .map(|argument| argument.value)
            .collect()
    }

    fn named(name: &str, raw: u64) -> Value {
        Value::Named(name.to_owned(), raw)
    }

    #[test]
    fn an_openat_has_its_path_and_flags() {
        let at = (-100_i64) as u64;
        let call = call(
            257,
            [at, 0x1000, 0x80000, 0, 0, 0],
            vec![text("/etc/shadow")],
        );
        assert_eq!(decode(&call).name, Some("openat"));
        let flags = named("O_RDONLY|O_CLOEXEC", 0x80000);
        let path = Value::Text(b"/etc/shadow".to_vec());
        assert_eq!(values(&call), [named("AT_FDCWD", at), path, flags]);
    }

    #[test]
    fn a_mode_counts_only_if_a_file_may_be_created() {
        let open = |flags| call(2, [1, flags, 0o644, 0, 0, 0], vec![text("f")]);
        assert_eq!(values(&open(0)).len(), 2);
        assert_eq!(values(&open(0x41))[2], Value::Octal(0o644));
        assert_eq!(values(&open(0x41))[1], named("O_WRONLY|O_CREAT", 0x41));
        assert_eq!(
            values(&open(0x40_0000))[1],
            named("O_RDONLY|0x400000", 0x40_0000)
        );
    }

    #[test]
    fn an_argument_behind_one_that_does_not_count_has_its_own_register() {
        let call = call(240, [1, 0, 0o600, 7, 0, 0], vec![text("/queue")]);
        let arguments = decode(&call).arguments;
        let attr = arguments.last().unwrap();
        assert_eq!((attr.name, attr.raw), ("attr", 7));
        assert_eq!(arguments.len(), 3);
    }

    #[test]
    fn memory_that_is_not_there_is_told() {
        let open =
            |pointer, area| values(&call(2, [pointer, 0, 0, 0, 0, 0], vec![area]))[0].clone();
        assert_eq!(open(0, Area::None), Value::Null);
        assert_eq!(open(0x10, Area::Unreadable), Value::Unreadable(0x10));
        // Of a lost record.
        assert_eq!(
            values(&call(2, [0x10, 0, 0, 0, 0, 0], Vec::new()))[0],
            Value::Hex(0x10)
        );
    }

    #[test]
    fn a_directory_is_told_behind_what_is_in_memory() {
        let at = (-100_i64) as u64;
        let mut file = vec![0; 32];
        file.extend(b"root\0");
        let areas = vec![text("x"), Area::Bytes(file)];
        let relative = call(257, [at, 1, 0, 0, 0, 0], areas);
        let cwd = Value::File(Box::new(named("AT_FDCWD", at)), b"/root".to_vec());
        assert_eq!(values(&relative)[0], cwd);
        // Recordings of before.
        let without = call(257, [at, 1, 0, 0, 0, 0], vec![text("x")]);
        assert_eq!(values(&without)[0], named("AT_FDCWD", at));
    }

    #[test]
    fn programs_have_their_arguments() {
        let areas = vec![text("/bin/ls"), Area::Bytes(b"\x01ls\0-l\0".to_vec())];
        let call = call(59, [1, 2, 0, 0, 0, 0], areas);
        let arguments = ["ls", "-l"].map(|text| Value::Text(text.as_bytes().to_vec()));
        assert_eq!(values(&call)[1], Value::List(arguments.to_vec(), true));
    }

    #[test]
    fn buffers_have_their_beginnings() {
        let mut buffer = [3_u64, 1].map(u64::to_ne_bytes).concat();
        buffer.extend(b"abc");
        buffer.resize(80, 0);
        let mut unread = [200_u64, 0, 0x10].map(u64::to_ne_bytes).concat();
        unread.resize(80, 0);
        let area = |bytes: Vec<u8>| vec![Area::Bytes(bytes)];
        let two = call(
            20,
            [1, 2, 3, 0, 0, 0],
            area([buffer.clone(), unread].concat()),
        );
        let member =
            |value, len| Value::Struct(vec![("base", value), ("len", Value::Unsigned(len))]);
        let elements = vec![
            member(Value::Text(b"abc".to_vec()), 3),
            member(Value::Unreadable(0x10), 200),
        ];
        assert_eq!(values(&two)[1], Value::List(elements, true));
        let short = call(20, [1, 2, 1, 0, 0, 0], area(buffer[..20].to_vec()));
        assert_eq!(values(&short)[1], Value::List(Vec::new(), true));
    }

    #[test]
    fn a_text_that_goes_on_is_told() {
        let mut long = vec![b'a'; 255];
        long.push(0);
        let path = &values(&call(80, [1, 0, 0, 0, 0, 0], vec![Area::Bytes(long)]))[0];
        assert_eq!(*path, Value::LongText(vec![b'a'; 255]));
    }

    #[test]
    fn socket_addresses_have_members() {
        let address = |bytes: &[u8]| {
            let length = bytes.len() as u64;
            let area = Area::Bytes(bytes.to_vec());
            values(&call(42, [3, 1, length, 0, 0, 0], vec![area]))[1].clone()
        };
        let inet = address(&[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let members = vec![
            ("family", named("AF_INET", 2)),
            ("port", Value::Unsigned(8080)),
            ("addr", Value::Plain("127.0.0.1".to_owned())),
        ];
        assert_eq!(inet, Value::Struct(members));
        let unix = address(b"\x01\0/run/x\0");
        let path = Value::Text(b"/run/x".to_vec());
        assert_eq!(
            unix,
            Value::Struct(vec![("family", named("AF_UNIX", 1)), ("path", path)])
        );
        // Too short to have a family, or a port.
        assert_eq!(address(b"\x02"), Value::Hex(1));
        assert_eq!(address(b"\x02\0\x01"), Value::Hex(1));
    }

    #[test]
    fn one_of_several_values_is_named_or_a_number() {
        let lseek = |whence| values(&call(8, [1, 0, whence, 0, 0, 0], Vec::new()))[2].clone();
        assert_eq!(lseek(2), named("SEEK_END", 2));
        assert_eq!(lseek(99), Value::Signed(99));
        let keyring = u64::from((-3_i32) as u32);
        let key = call(248, [0, 0, 0, 0, keyring, 0], vec![Area::None, Area::None]);
        assert_eq!(values(&key)[4], named("KEY_SPEC_SESSION_KEYRING", keyring));
    }

    #[test]
    fn a_call_that_is_not_known_has_its_registers() {
        let call = call(5000, [1, 2, 3, 4, 5, 6], Vec::new());
        assert_eq!(decode(&call).name, None);
        assert_eq!(values(&call)[5], Value::Hex(6));
    }

    #[test]
    fn a_device_has_a_major_and_a_minor_number() {
        assert_eq!(device(0x0803), Value::Plain("8:3".to_owned()));
    }
}
