// SPDX-License-Identifier: BSD-2-Clause
//! Names of C++ and Rust functions as the programmer knows them. The mangled names are hostile: some
//! stand for names that are exponentially longer.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

/// Maximum length of a demangled name, in bytes. A longer one stays mangled.
const MAX_DEMANGLED: usize = 4096;

/// Limit of recursion in parsing and writing a name of C++.
const MAX_RECURSION: u32 = 96;

/// Returns the demangled name, without the parameters of a C++ function and the hash of a Rust
/// function. A name that is not mangled, or that demangles to other characters than those that ASCII
/// can print, stays as it is.
pub(super) fn readable(name: &str) -> String {
    let demangled = match rustc_demangle::try_demangle(name) {
        Ok(demangled) => bounded(|to| write!(to, "{demangled:#}")),
        Err(_) if name.starts_with("_Z") => of_cpp(name),
        Err(_) => None,
    };
    let is_printable = |name: &String| name.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    demangled
        .filter(is_printable)
        .unwrap_or_else(|| name.to_owned())
}

fn of_cpp(name: &str) -> Option<String> {
    let parsing = ParseOptions::default().recursion_limit(MAX_RECURSION);
    let symbol = Symbol::new_with_options(name, &parsing).ok()?;
    let options = DemangleOptions::new()
        .no_params()
        .no_return_type()
        .recursion_limit(MAX_RECURSION);
    bounded(|to| symbol.structured_demangle(to, &options))
}

/// Returns what is written, unless that is too long.
fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut to = Bounded(String::new());
    write(&mut to).ok()?;
    Some(to.0)
}

/// Text that ends the writing if it becomes too long.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEMANGLED, readable};

    #[test]
    fn names_are_as_the_programmer_knows_them() {
        for (mangled, expected) in [
            ("getaddrinfo", "getaddrinfo"),
            ("_ZN3app6Config4readEPKc", "app::Config::read"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back",
            ),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_Znonsense", "_Znonsense"),
        ] {
            assert_eq!(readable(mangled), expected);
        }
    }

    /// Each substitution doubles the name.
    #[test]
    fn names_that_grow_exponentially_stay_mangled() {
        let mut name = "_Z1fI".to_owned();
        name += "St4pairIiiE";
        for step in 0..40 {
            let reference = match step {
                0 => "S_".to_owned(),
                step if step < 37 => {
                    let digit = char::from_digit(step - 1, 36).unwrap_or('0');
                    format!("S{}_", digit.to_ascii_uppercase())
                }
                _ => break,
            };
            name += &format!("St4pairI{reference}{reference}E");
        }
        name += "EvT_";
        assert!(readable(&name).len() <= MAX_DEMANGLED);
        let deep = format!("_Z1f{}i", "P".repeat(5000));
        assert!(readable(&deep).len() <= 5100);
        let nested = format!("_Z{}", "N1a".repeat(2000));
        assert_eq!(readable(&nested), nested);
    }
}
