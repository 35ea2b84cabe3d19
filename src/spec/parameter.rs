// SPDX-License-Identifier: BSD-2-Clause
//! Parameters of functions, by their types.

use serde::{Deserialize, Serialize};

/// Words of arguments that are kept of a call.
pub const MAX_ARGUMENT_WORDS: usize = 6;

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name; empty if it has none.
    pub name: String,
    /// Number of the word that its argument begins in, from 0. At least [`MAX_ARGUMENT_WORDS`]: it is
    /// not kept.
    pub word: u8,
    /// What its type is.
    pub kind: ParameterKind,
}

/// What the type of a parameter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterKind {
    /// A signed integer of this many bytes.
    Signed(u8),
    /// An unsigned integer of this many bytes.
    Unsigned(u8),
    /// A `bool`.
    Bool,
    /// An enum of 32 bits, and its enumerators.
    Enum(Vec<(i64, String)>),
    /// A pointer to constant characters.
    Text,
    /// Another pointer.
    Pointer,
    /// A struct or union that is passed by value.
    Struct,
}
