// SPDX-License-Identifier: BSD-2-Clause
//! System calls: their numbers, names and arguments.
//!
//! `calls.txt` says what the arguments are, `flags.txt` names their values. Both are data for reading
//! and extending; nothing else knows a system call by name.

mod areas;
mod bpf;
mod decode;
mod files;
mod functions;
mod memory;
mod numbers;
mod table;

pub(crate) use self::areas::{AreaKind, AreaLayout, areas_of};
pub(crate) use self::decode::{Decoded, Value, decode};
pub(crate) use self::functions::{call_of_function, function_name, number_of_function};
pub(crate) use self::numbers::{name, names};

/// Bytes that are read of an argument in memory at most, including the NUL of a text (`AREA_BYTES` of
/// `limits.h`).
pub(crate) const AREA_BYTES: usize = 256;

/// Above the numbers of all system calls that are known.
pub(crate) const MAX_NUMBER: u32 = 512;

/// The table that a system call's number is an index of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// The kernel's own.
    Native,
    /// That of 32-bit programs.
    Compat,
}

/// A system call as the program made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// The table of its number.
    pub abi: Abi,
    /// Its number.
    pub number: u32,
    /// Its arguments. Those that it does not have are what the registers happened to hold.
    pub arguments: [u64; 6],
    /// What was read of arguments that point to memory, in the order of the table.
    pub areas: Vec<Area>,
}

/// What was read of an argument that points to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// Nothing: the pointer is NULL, or the argument is not used.
    None,
    /// It could not be read: the page was not in memory, or the address is invalid.
    Unreadable,
    /// These bytes. The traced program chose them: escape them before output. The last byte of a text
    /// is a NUL.
    Bytes(Vec<u8>),
}
