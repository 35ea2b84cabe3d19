// SPDX-License-Identifier: BSD-2-Clause
//! The tables `calls.txt` and `flags.txt`, as they are written.

use std::collections::HashMap;
use std::sync::LazyLock;

const CALLS: &str = include_str!("calls.txt");
const FLAGS: &str = include_str!("flags.txt");

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Uint,
    Hex,
    Address,
    Octal,
    Size,
    /// A descriptor.
    Fd,
    /// The descriptor of a directory, or `AT_FDCWD`.
    Directory,
    Path,
    Text,
    /// The id of a user or a group.
    Id,
    /// The number of a device.
    Device,
    /// Flags, or one of some values.
    Set(&'static Set),
    /// The mode of a file. It counts only if the flags before it say that a file may be created.
    CreationMode,
    /// The number of a socket option, whose level is the argument before it.
    SocketOption,
    /// Memory whose size is the argument with this number.
    Bytes(u8),
    /// A socket address whose size is the argument with this number.
    SocketAddress(u8),
    OpenHow,
    CloneArgs,
    ResourceLimit,
    TimeSpec,
    SchedParam,
    /// An array of texts that ends with NULL.
    Strings,
    /// An array of `struct iovec`, whose number is the argument with this number.
    Buffers(u8),
    /// A `struct msghdr`.
    Message,
    /// A `union bpf_attr`, whose size is the argument with this number.
    BpfAttributes(u8),
}

/// Names of the values of an argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// The names with their values. A name is shown if the bits of `mask` have this value.
    pub(super) names: Vec<Name>,
    /// Whether it is one value, and not a sum of flags.
    pub(super) is_one: bool,
}

/// A name of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) value: u64,
    pub(super) mask: u64,
}

/// A parameter of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

static SETS: LazyLock<HashMap<&'static str, Set>> = LazyLock::new(|| sets(FLAGS));

static PARAMETERS: LazyLock<HashMap<&'static str, Vec<Parameter>>> =
    LazyLock::new(|| calls(CALLS).filter_map(parameters).collect());

/// Returns the parameters of a system call by its name; `None` if they are not known.
pub(super) fn parameters_of(name: &str) -> Option<&'static [Parameter]> {
    PARAMETERS.get(name).map(Vec::as_slice)
}

/// Returns a set of `flags.txt`.
pub(super) fn set(name: &str) -> Option<&'static Set> {
    SETS.get(name)
}

fn calls(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Reads a line of `calls.txt`; `None` if it is not valid.
fn parameters(line: &'static str) -> Option<(&'static str, Vec<Parameter>)> {
    let (name, rest) = line.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    let parameter = |word: &'static str| {
        let (name, kind) = word.split_once(':')?;
        Some(Parameter {
            name,
            kind: self::kind(kind)?,
        })
    };
    let parameters: Option<Vec<Parameter>> = inner.split_whitespace().map(parameter).collect();
    parameters.map(|parameters| (name, parameters))
}

fn kind(text: &'static str) -> Option<Kind> {
    if let Some(name) = text.strip_prefix('@') {
        return set(name).map(Kind::Set);
    }
    if let Some((name, counted_by)) = text.split_once('/') {
        let counted_by = counted_by.parse().ok().filter(|number| *number < 6)?;
        return match name {
            "bytes" => Some(Kind::Bytes(counted_by)),
            "sockaddr" => Some(Kind::SocketAddress(counted_by)),
            "iovec" => Some(Kind::Buffers(counted_by)),
            "bpf_attr" => Some(Kind::BpfAttributes(counted_by)),
            _ => None,
        };
    }
    Some(match text {
        "int" => Kind::Int,
        "uint" => Kind::Uint,
        "hex" => Kind::Hex,
        "ptr" => Kind::Address,
        "octal" => Kind::Octal,
        "size" => Kind::Size,
        "fd" => Kind::Fd,
        "at" => Kind::Directory,
        "path" => Kind::Path,
        "text" => Kind::Text,
        "uid" => Kind::Id,
        "dev" => Kind::Device,
        "creat" => Kind::CreationMode,
        "sockopt" => Kind::SocketOption,
        "open_how" => Kind::OpenHow,
        "clone_args" => Kind::CloneArgs,
        "rlimit" => Kind::ResourceLimit,
        "timespec" => Kind::TimeSpec,
        "sched_param" => Kind::SchedParam,
        "strings" => Kind::Strings,
        "msghdr" => Kind::Message,
        _ => return None,
    })
}

fn sets(text: &'static str) -> HashMap<&'static str, Set> {
    let mut sets = HashMap::new();
    let mut current = None;
    for line in calls(text) {
        let words = match line.split_once(':').filter(|_| !line.starts_with(' ')) {
            Some((name, rest)) => {
                current = Some(name);
                rest
            }
            None => line,
        };
        let Some(name) = current else {
            continue;
        };
        let set = sets.entry(name).or_insert_with(|| Set {
            names: Vec::new(),
            is_one: words.trim_start().starts_with("= "),
        });
        let is_one = set.is_one;
        let named = words.split_whitespace().filter(|word| *word != "=");
        set.names
            .extend(named.filter_map(|word| self::named(word, is_one)));
    }
    sets
}

/// Reads `NAME=VALUE` or `NAME=VALUE/MASK`.
fn named(word: &'static str, is_one: bool) -> Option<Name> {
    let (name, number) = word.split_once('=')?;
    let (value, mask) = match number.split_once('/') {
        Some((value, mask)) => (self::number(value)?, self::number(mask)?),
        None => {
            let value = self::number(number)?;
            (value, if is_one { u64::MAX } else { value })
        }
    };
    Some(Name { name, value, mask })
}

fn number(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    text.parse::<i64>().ok().map(|number| number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::Abi;
    use crate::syscalls::numbers;

    #[test]
    fn every_line_is_valid_and_every_call_exists() {
        let known: Vec<&str> = (0..512)
            .filter_map(|number| numbers::name(Abi::Native, number))
            .collect();
        for line in calls(CALLS) {
            let (name, parameters) = parameters(line).unwrap_or_else(|| panic!("{line}"));
            assert!(parameters.len() <= 6, "{line}");
            assert!(known.contains(&name), "there is no system call {name}");
        }
        let n_words = calls(FLAGS)
            .map(|line| line.matches('=').count() - usize::from(line.contains(": = ")))
            .sum::<usize>();
        let n_names: usize = SETS.values().map(|set| set.names.len()).sum();
        assert_eq!(n_names, n_words);
    }

    #[test]
    fn every_set_is_used() {
        let used: Vec<&Set> = PARAMETERS
            .values()
            .flatten()
            .filter_map(|parameter| match parameter.kind {
                Kind::Set(set) => Some(set),
                _ => None,
            })
            .collect();
        for (name, set) in &*SETS {
            let is_elsewhere = ["solsocket", "resolve", "bpf_map", "bpf_prog"].contains(name);
            assert!(is_elsewhere || used.contains(&set), "{name}");
        }
    }

    #[test]
    fn every_system_call_is_listed_unless_it_does_nothing() {
        // Removed from kernels, never there, or without arguments that could fail.
        let gone = [
            "rt_sigreturn",
            "_sysctl",
            "create_module",
            "get_kernel_syms",
            "query_module",
            "nfsservctl",
            "getpmsg",
            "putpmsg",
            "afs_syscall",
            "tuxcall",
            "security",
            "set_thread_area",
            "get_thread_area",
            "lookup_dcookie",
            "epoll_ctl_old",
            "epoll_wait_old",
            "vserver",
            "uretprobe",
            "uprobe",
        ];
        let unlisted: Vec<&str> = (0..512)
            .filter_map(|number| numbers::name(Abi::Native, number))
            .filter(|name| parameters_of(name).is_none() && !gone.contains(name))
            .collect();
        assert!(unlisted.is_empty(), "{unlisted:?}");
    }
}
