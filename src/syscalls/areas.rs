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
}

/// An argument that points to memory.
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

/// Returns the arguments of a system call that point to memory, in order. `None` if the call is not
/// known.
pub(crate) fn areas_of(
    abi: Abi,
    number: u32,
) -> Option<impl Iterator<Item = AreaLayout> + 'static> {
    let parameters = parameters_of(numbers::name(abi, number)?)?;
    Some(
        parameters
            .iter()
            .enumerate()
            .filter_map(move |(index, parameter)| {
                Some(AreaLayout {
                    argument: index as u8,
                    kind: area_of(parameter.kind, abi)?,
                })
            }),
    )
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
        assert_eq!(areas(42), [address], "connect");
    }
}
