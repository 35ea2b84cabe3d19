// SPDX-License-Identifier: BSD-2-Clause
//! Which arguments point to memory that is read when the call has failed.

use super::table::{Kind, parameters_of};
use super::{Abi, numbers};

/// How an argument in memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AreaKind {
    /// Up to a NUL.
    Text,
    /// This number of bytes.
    Sized(u8),
    /// As many bytes as the argument with this number says, at most `limit`.
    Counted {
        /// Number of the argument, from 0.
        by: u8,
        /// In bytes.
        limit: u8,
    },
    /// No pointer, but a descriptor: its file is read.
    File,
    /// The same, of the directory of a path that is the next argument.
    Directory,
    /// An array of texts.
    Strings,
    /// An array of buffers.
    Buffers {
        /// Number of the argument with their number, from 0.
        by: u8,
    },
    /// A `struct msghdr`.
    Message,
}

/// An argument of which more is read than its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AreaLayout {
    /// Number of the argument, from 0.
    pub(crate) argument: u8,
    /// How it is read.
    pub(crate) kind: AreaKind,
}

/// Bytes that are read of a buffer.
const BUFFER: u8 = 64;

/// Bytes that are read of a socket address; the longest is of a Unix socket, with 110.
const ADDRESS: u8 = 128;

/// Bytes that are read of the attributes of `bpf()`: those of the first commands.
const BPF_ATTRIBUTES: u8 = 128;

/// Returns the arguments of a system call that more is read of: those that point to memory in order, then
/// descriptors in order. `None` if the call is not known.
pub(crate) fn areas_of(
    abi: Abi,
    number: u32,
) -> Option<impl Iterator<Item = AreaLayout> + 'static> {
    let parameters = parameters_of(numbers::name(abi, number)?)?;
    let areas = |of: fn(Kind, Abi) -> Option<AreaKind>| {
        let parameters = parameters.iter().enumerate();
        parameters.filter_map(move |(index, parameter)| {
            Some(AreaLayout {
                argument: index as u8,
                kind: of(parameter.kind, abi)?,
            })
        })
    };
    Some(areas(area_of).chain(areas(|kind, _| file_of(kind))))
}

/// Returns how the file of an argument of this kind is read; `None` if it is no descriptor.
pub(super) fn file_of(kind: Kind) -> Option<AreaKind> {
    match kind {
        Kind::Fd => Some(AreaKind::File),
        Kind::Directory => Some(AreaKind::Directory),
        _ => None,
    }
}

/// Returns how an argument of this kind is read; `None` if it is no pointer to what is shown. Structs
/// with members of the word size are read for native calls only.
pub(super) fn area_of(kind: Kind, abi: Abi) -> Option<AreaKind> {
    let sized = |size: u8| (abi == Abi::Native).then_some(AreaKind::Sized(size));
    match kind {
        Kind::Path | Kind::Text => Some(AreaKind::Text),
        Kind::Bytes(by) => Some(AreaKind::Counted { by, limit: BUFFER }),
        Kind::SocketAddress(by) => Some(AreaKind::Counted { by, limit: ADDRESS }),
        Kind::OpenHow => Some(AreaKind::Sized(24)),
        Kind::CloneArgs => Some(AreaKind::Sized(64)),
        Kind::ResourceLimit | Kind::TimeSpec => sized(16),
        Kind::SchedParam => Some(AreaKind::Sized(4)),
        Kind::BpfAttributes(by) => Some(AreaKind::Counted {
            by,
            limit: BPF_ATTRIBUTES,
        }),
        Kind::Strings => (abi == Abi::Native).then_some(AreaKind::Strings),
        Kind::Buffers(by) => (abi == Abi::Native).then_some(AreaKind::Buffers { by }),
        Kind::Message => (abi == Abi::Native).then_some(AreaKind::Message),
        Kind::Int
        | Kind::Uint
        | Kind::Hex
        | Kind::Address
        | Kind::Octal
        | Kind::Size
        | Kind::Fd
        | Kind::Directory
        | Kind::Id
        | Kind::Device
        | Kind::Set(_)
        | Kind::CreationMode
        | Kind::SocketOption => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_more_areas_than_are_read() {
        for number in 0..512 {
            for abi in [Abi::Native, Abi::Compat] {
                let n_areas = areas_of(abi, number).map_or(0, Iterator::count);
                assert!(n_areas <= 4, "{:?}", numbers::name(abi, number));
            }
        }
    }

    #[test]
    fn descriptors_follow_what_points_to_memory() {
        let areas = |number| areas_of(Abi::Native, number).unwrap().collect::<Vec<_>>();
        let openat = areas(257);
        assert_eq!((openat[0].argument, openat[0].kind), (1, AreaKind::Text));
        assert_eq!(
            (openat[1].argument, openat[1].kind),
            (0, AreaKind::Directory)
        );
        // Pointers of 32-bit programs are not followed.
        assert_eq!(areas_of(Abi::Compat, 11).unwrap().count(), 1);
        assert_eq!(areas(59).len(), 2);
    }

    #[test]
    fn paths_are_texts_and_addresses_are_counted() {
        let areas = |number| areas_of(Abi::Native, number).unwrap().collect::<Vec<_>>();
        let text = |argument| AreaLayout {
            argument,
            kind: AreaKind::Text,
        };
        assert_eq!(areas(82), [text(0), text(1)], "rename");
        let address = AreaLayout {
            argument: 1,
            kind: AreaKind::Counted { by: 2, limit: 128 },
        };
        let fd = AreaLayout {
            argument: 0,
            kind: AreaKind::File,
        };
        assert_eq!(areas(42), [address, fd], "connect");
    }
}
