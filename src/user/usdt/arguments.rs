// SPDX-License-Identifier: BSD-2-Clause
//! The arguments of a USDT probe: `-4@%eax 8@-16(%rbp) 4@$5`. Each is a size, with a minus if the
//! number is signed, and an operand of the assembler.

use crate::spec::{MAX_USDT_ARGUMENTS, UsdtArgument};
use crate::user::arch::argument_place;

/// Parses the arguments of a probe. `distance` returns the distance of a symbol from it.
pub(super) fn arguments(text: &str, distance: &dyn Fn(&str) -> Option<i64>) -> Vec<UsdtArgument> {
    let operands = words(text).into_iter().take(MAX_USDT_ARGUMENTS);
    operands.map(|word| argument(word, distance)).collect()
}

/// Splits the text at blanks, but not inside of parentheses.
fn words(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let is_end = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ' ' && depth <= 0
    };
    text.split(is_end).filter(|word| !word.is_empty()).collect()
}

fn argument(word: &str, distance: &dyn Fn(&str) -> Option<i64>) -> UsdtArgument {
    let unknown = UsdtArgument {
        size: 8,
        is_signed: false,
        place: None,
    };
    // Without a size the argument is as large as a register.
    let (size, operand) = word.split_once('@').unwrap_or(("8", word));
    let (is_signed, digits) = match size.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, size),
    };
    // `8f` is a floating-point number, which is not read.
    let size = match digits.trim_end_matches('f') {
        "1" => 1,
        "2" => 2,
        "4" => 4,
        "8" => 8,
        _ => return unknown,
    };
    let is_float = digits.ends_with('f');
    let place = argument_place(operand, distance).filter(|_| !is_float);
    UsdtArgument {
        size,
        is_signed,
        place,
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;
    use crate::spec::{ArgumentPlace, MAX_USDT_ARGUMENTS, Register, UsdtArgument};

    fn parse(text: &str) -> Vec<UsdtArgument> {
        arguments(text, &|_| None)
    }

    #[test]
    fn sizes_and_signs() {
        let sizes = parse("-4@%eax 8@-16(%rbp) 1@%dl -2@$-3  4@$5");
        let sizes: Vec<_> = sizes.iter().map(|it| (it.size, it.is_signed)).collect();
        assert_eq!(
            sizes,
            [(4, true), (8, false), (1, false), (2, true), (4, false)]
        );
        assert_eq!(parse(""), []);
    }

    #[test]
    fn an_operand_may_have_blanks_in_parentheses() {
        let found = parse("8@8(%rax, %rdx, 4) -4@%ecx");
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].place,
            Some(ArgumentPlace::Memory {
                base: Some(Register(80)),
                index: Some((Register(96), 2)),
                displacement: 8,
            })
        );
    }

    #[test]
    fn what_cannot_be_read_keeps_its_place() {
        let found = parse("8f@%xmm0 16@%rax 8@nosuch(%rip) x@y @ %rdi ))))8@( -4@%eax");
        let known: Vec<bool> = found.iter().map(|it| it.place.is_some()).collect();
        assert_eq!(
            known,
            [false, false, false, false, false, true, false, true]
        );
        let many = "8@%rax ".repeat(100);
        assert_eq!(parse(&many).len(), MAX_USDT_ARGUMENTS);
    }
}
