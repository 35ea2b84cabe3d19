// SPDX-License-Identifier: BSD-2-Clause
//! What an instruction does to the values that matter, whatever the architecture: copies,
//! arithmetic, comparisons, and where it goes on. [`crate::code::arch`] translates instructions.

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::code) enum Place {
    /// A general register by its number; 0 holds results.
    Register(u8),
    /// A word of the stack: its offset from the stack pointer at the entry, and its size in bytes.
    Slot(i32, u8),
}

/// What an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) enum Operand {
    Place(Place),
    Constant(u64),
    /// Memory outside of the frame, or something that is not followed.
    Unknown,
}

/// How operands become a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) enum Calculation {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Multiply,
    ShiftLeft,
    ShiftRight,
    /// Fills with the sign.
    ShiftRightSigned,
}

/// How a narrow value becomes a wide one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) enum Extension {
    Zero,
    Sign,
}

/// What a conditional instruction asks about the last comparison. The names are those for `a`
/// compared with `b`; "below" and "above" are without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) enum Condition {
    Equal,
    NotEqual,
    Below,
    AboveOrEqual,
    BelowOrEqual,
    Above,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Greater,
    Negative,
    NotNegative,
    /// Either way.
    Unknown,
}

/// One effect of an instruction. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::code) enum Operation {
    /// `to` becomes the lowest `size` bytes of `from`, extended to `to_size` bytes, and by zeros
    /// from there.
    Copy {
        to: Place,
        from: Operand,
        size: u8,
        extension: Extension,
        to_size: u8,
    },
    Calculate {
        to: Place,
        calculation: Calculation,
        a: Operand,
        b: Operand,
        size: u8,
        /// Whether later conditions ask about it.
        is_compared: bool,
    },
    /// Like a subtraction, or like a conjunction, without a result.
    Compare {
        calculation: Calculation,
        a: Operand,
        b: Operand,
        size: u8,
    },
    /// `to` becomes `from` if the condition holds.
    CopyIf {
        to: Place,
        from: Operand,
        condition: Condition,
        size: u8,
    },
    /// `to` becomes `value` if the condition holds, else 0.
    SetIf {
        to: Place,
        condition: Condition,
        value: u64,
    },
    /// `to` becomes something that depends on `from`.
    Mix { to: Place, from: Vec<Place> },
    /// The last comparison is forgotten.
    ForgetComparison,
    /// `from` leaves the frame: it is stored in memory that is not followed.
    Store { from: Operand },
    /// The value is an address that is read or written, or is used in another way that is not
    /// followed.
    Use { from: Place },
}

/// Where an instruction goes on. Targets are addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) enum Onward {
    Next,
    Jump(u64),
    Branch(Condition, u64),
    /// `None`: through a pointer.
    Call(Option<u64>),
    /// A call through a pointer at a fixed address, such as those of `pv_ops`, which may keep the
    /// registers.
    CallThroughGlobal,
    /// A jump through a pointer to another function.
    LeaveThroughPointer,
    /// A jump to another function.
    LeaveTo(u64),
    Return,
    /// It traps, or waits forever.
    End,
    /// To a place that is not known, such as one of a jump table.
    Lost,
}

/// The stack and frame pointer, as offsets from the stack pointer at the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::code) struct Frame {
    pub(in crate::code) stack: Option<i32>,
    pub(in crate::code) base: Option<i32>,
}

/// A translated instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::code) struct Translated {
    /// Its length in bytes; at least 1.
    pub(in crate::code) length: u8,
    pub(in crate::code) operations: Vec<Operation>,
    pub(in crate::code) onward: Onward,
    /// The offset of a word of the frame whose address it takes.
    pub(in crate::code) taken: Option<i32>,
    /// Whether it reads memory by an index.
    pub(in crate::code) is_indexed: bool,
}

impl Condition {
    /// Returns the condition that holds if this one does not.
    pub(super) fn inverse(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Below => Self::AboveOrEqual,
            Self::AboveOrEqual => Self::Below,
            Self::BelowOrEqual => Self::Above,
            Self::Above => Self::BelowOrEqual,
            Self::Less => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::Less,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::Negative => Self::NotNegative,
            Self::NotNegative => Self::Negative,
            Self::Unknown => Self::Unknown,
        }
    }

    /// Returns whether it holds for `a` compared with `b` by a subtraction of `size` bytes; `None`
    /// if that is not known.
    pub(super) fn holds_for(self, a: u64, b: u64, size: u8) -> Option<bool> {
        let (a, b) = (narrow(a, size), narrow(b, size));
        let (signed_a, signed_b) = (sign_extend(a, size), sign_extend(b, size));
        let difference = sign_extend(narrow(a.wrapping_sub(b), size), size);
        Some(match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Below => a < b,
            Self::AboveOrEqual => a >= b,
            Self::BelowOrEqual => a <= b,
            Self::Above => a > b,
            Self::Less => signed_a < signed_b,
            Self::GreaterOrEqual => signed_a >= signed_b,
            Self::LessOrEqual => signed_a <= signed_b,
            Self::Greater => signed_a > signed_b,
            Self::Negative => difference < 0,
            Self::NotNegative => difference >= 0,
            Self::Unknown => return None,
        })
    }
}

impl Calculation {
    pub(super) fn of(self, a: u64, b: u64, size: u8) -> u64 {
        let (a, b) = (narrow(a, size), narrow(b, size));
        let bits = u32::from(size) * 8;
        let shift = (b as u32) & if size == 8 { 63 } else { 31 };
        let value = match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::Multiply => a.wrapping_mul(b),
            Self::ShiftLeft if shift < bits => a << shift,
            Self::ShiftRight if shift < bits => a >> shift,
            Self::ShiftRightSigned => (sign_extend(a, size) >> shift.min(63)) as u64,
            Self::ShiftLeft | Self::ShiftRight => 0,
        };
        narrow(value, size)
    }
}

/// Returns the lowest `size` bytes of a value.
pub(super) fn narrow(value: u64, size: u8) -> u64 {
    match size {
        1 => value & 0xff,
        2 => value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    }
}

/// Returns the lowest `size` bytes of a value with their sign.
pub(super) fn sign_extend(value: u64, size: u8) -> i64 {
    match size {
        1 => i64::from(value as i8),
        2 => i64::from(value as i16),
        4 => i64::from(value as i32),
        _ => value as i64,
    }
}
