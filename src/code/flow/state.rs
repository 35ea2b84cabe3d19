// SPDX-License-Identifier: BSD-2-Clause
//! What is known at one point of a function: the values of registers and of words of the frame, and
//! the last comparison.

use super::operations::{Calculation, Condition, Extension, Operand, Operation, Place, narrow};
use super::value::Value;
use crate::code::arch::{ARGUMENTS, CLOBBERED, N_REGISTERS};

/// A pointer to a word of the frame may be used to write as many bytes from there.
const REACH: i32 = 512;

/// What was done with the result that is followed, besides copying it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// A branch, or a choice without one, depends on it.
    pub(super) is_tested: bool,
    /// It was given to another function, or stored in memory.
    pub(super) has_escaped: bool,
}

/// The last comparison: `a` with `b`.
#[expect(
    clippy::large_enum_variant,
    reason = "it is part of a state, which is larger by far, and is nearly always known"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
enum Comparison {
    Unknown {
        is_followed: bool,
    },
    Known {
        a: Value,
        b: Value,
        size: u8,
        /// Where `a` is still kept.
        place: Option<Place>,
        /// Only equality and sign are known.
        is_limited: bool,
    },
}

/// The values at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    registers: [Value; N_REGISTERS],
    /// Ascending. Words that are missing hold something unknown.
    slots: Vec<((i32, u8), Value)>,
    comparison: Comparison,
}

impl State {
    /// Returns the state at the entry, where nothing is known.
    pub(super) fn at_entry() -> Self {
        Self {
            registers: [Value::other(); N_REGISTERS],
            slots: Vec::new(),
            comparison: Comparison::Unknown { is_followed: false },
        }
    }

    /// Returns the result in the register for results.
    pub(super) fn result(&self) -> Value {
        self.registers[0]
    }

    pub(super) fn set_result(&mut self, value: Value) {
        self.registers[0] = value;
    }

    /// Takes the words of the frame whose address is taken for what the call that is followed wrote.
    pub(super) fn take_words_as_result(&mut self, taken: &[i32]) {
        for offset in taken {
            // As wide as an error. A wider word that is read overlaps with it.
            self.keep(Place::Slot(*offset, 4), Value::other_followed(true));
        }
    }

    /// Adds what may be known on another way. Returns true if that is more than before.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            changed |= mine.join(theirs);
        }
        changed |= self.join_slots(other);
        changed | self.join_comparison(other)
    }

    fn join_slots(&mut self, other: &Self) -> bool {
        let before = self.slots.clone();
        for (_, value) in self
            .slots
            .iter_mut()
            .filter(|(key, _)| other.slot(*key).is_none())
        {
            value.join(&Value::other());
        }
        for (key, value) in &other.slots {
            match self.slots.binary_search_by_key(key, |(key, _)| *key) {
                Ok(at) => {
                    self.slots[at].1.join(value);
                }
                Err(at) => {
                    let mut value = *value;
                    value.join(&Value::other());
                    self.slots.insert(at, (*key, value));
                }
            }
        }
        self.slots
            .retain(|(_, value)| !value.constants().is_empty() || value.is_followed());
        self.slots != before
    }

    fn join_comparison(&mut self, other: &Self) -> bool {
        let is_followed = self.comparison.is_followed() || other.comparison.is_followed();
        match (&mut self.comparison, &other.comparison) {
            (
                Comparison::Known {
                    a,
                    b,
                    size,
                    place,
                    is_limited,
                },
                Comparison::Known {
                    a: other_a,
                    b: other_b,
                    size: other_size,
                    place: other_place,
                    is_limited: other_limited,
                },
            ) if size == other_size && place == other_place && is_limited == other_limited => {
                let changed = a.join(other_a);
                changed | b.join(other_b)
            }
            (mine, _) => {
                let joined = Comparison::Unknown { is_followed };
                let changed = *mine != joined;
                *mine = joined;
                changed
            }
        }
    }

    /// Applies one operation. `taken` are the offsets of the words of the frame whose address is
    /// taken.
    pub(super) fn apply(&mut self, operation: &Operation, taken: &[i32], uses: &mut Uses) {
        match operation {
            Operation::Copy {
                to,
                from,
                size,
                extension,
                to_size,
            } => {
                let value = self.read(*from).extend(*size, *extension, *to_size);
                self.write(*to, value);
            }
            Operation::Calculate {
                to,
                calculation,
                a,
                b,
                size,
                is_compared,
            } => self.calculate(*to, *calculation, (*a, *b), *size, *is_compared),
            Operation::Compare {
                calculation,
                a,
                b,
                size,
            } => self.compare(*calculation, *a, *b, *size),
            Operation::CopyIf {
                to,
                from,
                condition,
                size,
            } => {
                let (yes, no) = self.can_be(*condition, uses);
                let mut value = Value::default();
                if yes {
                    value.join(&self.read(*from).extend(*size, Extension::Zero, *size));
                }
                if no {
                    let kept = self.read(Operand::Place(*to));
                    value.join(&kept.extend(*size, Extension::Zero, *size));
                }
                self.write(*to, value);
            }
            Operation::SetIf {
                to,
                condition,
                value: set,
            } => {
                let (yes, no) = self.can_be(*condition, uses);
                let mut value = Value::default();
                if yes {
                    value.join(&Value::constant(*set));
                }
                if no {
                    value.join(&Value::constant(0));
                }
                self.write(*to, value);
            }
            Operation::Mix { to, from } => {
                let is_followed = from
                    .iter()
                    .any(|place| self.read(Operand::Place(*place)).is_followed());
                self.write(*to, Value::other_followed(is_followed));
            }
            Operation::ForgetComparison => {
                self.comparison = Comparison::Unknown { is_followed: false };
            }
            Operation::Store { from } => {
                uses.has_escaped |= self.read(*from).is_followed();
                self.forget_taken(taken, uses);
            }
            Operation::Use { from } => {
                let is_followed = self.read(Operand::Place(*from)).is_followed();
                uses.is_tested |= is_followed;
                uses.has_escaped |= is_followed;
            }
        }
    }

    /// Applies the call of a function. Its result is unknown, and so are registers that functions
    /// need not keep, or they are as before.
    pub(super) fn call(&mut self, keeps_registers: bool, taken: &[i32], uses: &mut Uses) {
        if !keeps_registers {
            self.leave(uses);
        }
        for register in CLOBBERED {
            let value = &mut self.registers[usize::from(*register)];
            if keeps_registers {
                value.join(&Value::other());
            } else {
                *value = Value::other();
            }
        }
        self.comparison = Comparison::Unknown { is_followed: false };
        self.forget_taken(taken, uses);
    }

    /// Records that another function gets the registers for arguments.
    pub(super) fn leave(&self, uses: &mut Uses) {
        uses.has_escaped |= ARGUMENTS
            .iter()
            .any(|register| self.registers[usize::from(*register)].is_followed());
    }

    /// Returns whether a condition may hold, and whether it may not.
    pub(super) fn can_be(&self, condition: Condition, uses: &mut Uses) -> (bool, bool) {
        uses.is_tested |= self.comparison.is_followed();
        let Comparison::Known {
            a,
            b,
            size,
            is_limited,
            ..
        } = &self.comparison
        else {
            return (true, true);
        };
        if a.has_other() || b.has_other() || *is_limited && condition.needs_carry() {
            return (true, true);
        }
        let mut can_be = (false, false);
        for a in a.constants() {
            for b in b.constants() {
                match condition.holds_for(a.value, b.value, *size) {
                    Some(true) => can_be.0 = true,
                    Some(false) => can_be.1 = true,
                    None => can_be = (true, true),
                }
            }
        }
        can_be
    }

    /// Returns the state on a way that is taken if a condition holds; `None` if it cannot hold.
    pub(super) fn assuming(&self, condition: Condition) -> Option<Self> {
        let mut state = self.clone();
        let Comparison::Known {
            a,
            b,
            size,
            place: Some(place),
            is_limited,
        } = &self.comparison
        else {
            return Some(state);
        };
        if *is_limited && condition.needs_carry() || b.has_other() {
            return Some(state);
        }
        let fits = |a: u64| {
            let mut bs = b.constants().iter();
            bs.any(|b| condition.holds_for(a, b.value, *size) != Some(false))
        };
        let mut value = a.filter(fits);
        if let (Condition::Equal, [b], 4 | 8) = (condition, b.constants(), *size) {
            value = value.resolve(narrow(b.value, *size));
        }
        if value.is_empty() {
            return None;
        }
        state.keep(*place, value);
        // Further conditions may ask about the same comparison.
        if let Comparison::Known { a, .. } = &mut state.comparison {
            *a = value;
        }
        Some(state)
    }

    fn calculate(
        &mut self,
        to: Place,
        calculation: Calculation,
        operands: (Operand, Operand),
        size: u8,
        is_compared: bool,
    ) {
        let (a, b) = (self.read(operands.0), self.read(operands.1));
        let value = match (calculation, b.constants()) {
            // All bits are set, whatever they were.
            (Calculation::Or, [ones])
                if !b.has_other() && narrow(!ones.value, size) == 0 && !a.is_followed() =>
            {
                Value::constant(narrow(u64::MAX, size))
            }
            _ => a.combine(&b, |a, b| calculation.of(a, b, size)),
        };
        self.write(to, value);
        if !is_compared {
            return;
        }
        let zero = Value::constant(0);
        let (a, b, place) = match calculation {
            Calculation::Sub => (a, b, None),
            _ => (value, zero, Some(to)),
        };
        let is_limited = !matches!(
            calculation,
            Calculation::Sub | Calculation::And | Calculation::Or | Calculation::Xor
        );
        self.comparison = Comparison::Known {
            a,
            b,
            size,
            place,
            is_limited,
        };
    }

    fn compare(&mut self, calculation: Calculation, a: Operand, b: Operand, size: u8) {
        let place = match a {
            Operand::Place(place) => Some(place),
            Operand::Constant(_) | Operand::Unknown => None,
        };
        let (left, right) = (self.read(a), self.read(b));
        let (a, b, place) = match calculation {
            Calculation::And if a == b => (left, Value::constant(0), place),
            Calculation::And => {
                let both = left.combine(&right, |a, b| a & b);
                (both, Value::constant(0), None)
            }
            _ => (left, right, place),
        };
        self.comparison = Comparison::Known {
            a,
            b,
            size,
            place,
            is_limited: false,
        };
    }

    fn read(&self, operand: Operand) -> Value {
        match operand {
            Operand::Constant(value) => Value::constant(value),
            Operand::Unknown => Value::other(),
            Operand::Place(Place::Register(register)) => self.registers[usize::from(register)],
            Operand::Place(Place::Slot(offset, size)) => self.read_slot(offset, size),
        }
    }

    fn read_slot(&self, offset: i32, size: u8) -> Value {
        let wider = [size, 8].into_iter().filter(|wider| *wider >= size);
        for wider in wider {
            if let Some(value) = self.slot((offset, wider)) {
                return value.extend(size, Extension::Zero, size);
            }
        }
        let mut overlapping = self.slots.iter().filter(|(key, _)| {
            let (start, length) = *key;
            start < offset + i32::from(size) && offset < start + i32::from(length)
        });
        Value::other_followed(overlapping.any(|(_, value)| value.is_followed()))
    }

    fn slot(&self, key: (i32, u8)) -> Option<&Value> {
        let at = self.slots.binary_search_by_key(&key, |(key, _)| *key);
        at.ok().map(|at| &self.slots[at].1)
    }

    fn write(&mut self, to: Place, value: Value) {
        if let Comparison::Known { place, .. } = &mut self.comparison
            && place.is_some_and(|place| place.overlaps(to))
        {
            *place = None;
        }
        self.keep(to, value);
    }

    fn keep(&mut self, to: Place, value: Value) {
        match to {
            Place::Register(register) => self.registers[usize::from(register)] = value,
            Place::Slot(offset, size) => {
                self.slots
                    .retain(|((start, length), _)| !Place::Slot(*start, *length).overlaps(to));
                if !value.constants().is_empty() || value.is_followed() {
                    let key = (offset, size);
                    let place = self.slots.partition_point(|(known, _)| *known < key);
                    self.slots.insert(place, (key, value));
                }
            }
        }
    }

    /// Forgets the words of the frame that others may write.
    fn forget_taken(&mut self, taken: &[i32], uses: &mut Uses) {
        self.slots.retain_mut(|((offset, size), value)| {
            let end = *offset + i32::from(*size);
            let before = taken.partition_point(|taken| *taken < end);
            let is_reached = before
                .checked_sub(1)
                .is_some_and(|at| taken[at] + REACH > *offset);
            if is_reached {
                let is_followed = value.is_followed();
                uses.has_escaped |= is_followed;
                *value = Value::other_followed(is_followed);
            }
            !is_reached || value.is_followed()
        });
    }
}

impl Comparison {
    fn is_followed(&self) -> bool {
        match self {
            Self::Unknown { is_followed } => *is_followed,
            Self::Known { a, b, .. } => a.is_followed() || b.is_followed(),
        }
    }
}

impl Place {
    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Slot(a, a_size), Self::Slot(b, b_size)) => {
                a < b + i32::from(b_size) && b < a + i32::from(a_size)
            }
            _ => self == other,
        }
    }
}

impl Condition {
    /// Returns true if it asks about more than equality and sign.
    fn needs_carry(self) -> bool {
        !matches!(
            self,
            Self::Equal | Self::NotEqual | Self::Negative | Self::NotNegative
        )
    }
}
