// SPDX-License-Identifier: BSD-2-Clause
//! A code place as kernels print it: an address, or a symbol with an offset.

use std::fmt;
use std::str::FromStr;

use super::Addr;

/// A place in kernel code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CodePlace {
    /// An absolute address.
    Address(Addr),
    /// A symbol with an offset.
    Symbol(SymbolPlace),
}

/// A place such as `name+0x1/0x2 [module]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SymbolPlace {
    /// Name of the symbol.
    pub name: String,
    /// Distance from the start of the symbol, in bytes.
    pub offset: u64,
    /// Size of the symbol in bytes, if given. It distinguishes symbols of the same name.
    pub size: Option<u64>,
    /// Name of the module, if given.
    pub module: Option<String>,
}

/// With fewer hexadecimal digits and without `0x`, a word may be a name: `add`, `dead`.
const CLEARLY_HEX: usize = 8;

/// Parses a hexadecimal number with or without `0x`; `None` if it is malformed or exceeds 64 bits.
#[must_use]
pub fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let digits = digits.unwrap_or(text);
    // `from_str_radix` would accept a sign.
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && !digits.is_empty()).then(|| u64::from_str_radix(digits, 16).ok())?
}

impl FromStr for CodePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            "an address in hex, or a symbol with an offset: `0xffffffff81234567`, \
             `vfs_read+0x1b/0x340`, 'ext4_sync_fs+0x10/0x50 [ext4]'"
                .to_owned()
        };
        let starts_as_hex = text.starts_with(|c: char| c.is_ascii_digit());
        if (starts_as_hex || text.len() >= CLEARLY_HEX)
            && let Some(addr) = parse_hex(text)
        {
            return Ok(Self::Address(Addr(addr)));
        }
        if starts_as_hex {
            return Err(bad());
        }
        let (text, module) = match text.split_once([' ', '\t']) {
            None => (text, None),
            Some((place, rest)) => {
                let module = rest.trim().strip_prefix('[');
                let module = module.and_then(|module| module.strip_suffix(']'));
                (place, Some(module.ok_or_else(bad)?.to_owned()))
            }
        };
        let (name, at) = match text.split_once('+') {
            None => (text, None),
            Some((name, at)) => (name, Some(at)),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(bad());
        }
        let (offset, size) = match at.map(|at| at.split_once('/').ok_or(at)) {
            None => (0, None),
            Some(Err(offset)) => (parse_hex(offset).ok_or_else(bad)?, None),
            Some(Ok((offset, size))) => (
                parse_hex(offset).ok_or_else(bad)?,
                Some(parse_hex(size).ok_or_else(bad)?),
            ),
        };
        Ok(Self::Symbol(SymbolPlace {
            name: name.to_owned(),
            offset,
            size,
            module,
        }))
    }
}

impl fmt::Display for CodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Self::Address(addr) => return write!(f, "{:#x}", addr.0),
            Self::Symbol(place) => place,
        };
        write!(f, "{}+{:#x}", place.name, place.offset)?;
        if let Some(size) = place.size {
            write!(f, "/{size:#x}")?;
        }
        if let Some(module) = &place.module {
            write!(f, " [{module}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::CodePlace;

    #[test]
    fn places_are_read_as_kernels_print_them() {
        for (text, shown) in [
            ("0xffffffff81234567", "0xffffffff81234567"),
            ("ffffffff81234567", "0xffffffff81234567"),
            ("FFFFFFFF81234567", "0xffffffff81234567"),
            ("0", "0x0"),
            ("add", "add+0x0"),
            ("vfs_read+0x1b", "vfs_read+0x1b"),
            ("vfs_read+0x1b/0x340", "vfs_read+0x1b/0x340"),
            ("a.isra.0+1b/340 [ext4]", "a.isra.0+0x1b/0x340 [ext4]"),
        ] {
            let place: CodePlace = text.parse().unwrap();
            assert_eq!(place.to_string(), shown, "{text}");
        }
        for text in [
            "",
            "0x",
            "-1",
            "0xffffffff812345678",
            "12g",
            "a+",
            "a+0x",
            "a+1/",
            "a b",
            "a+1 [b",
            "+1",
            "a+-1",
            "fs/read.c",
        ] {
            assert!(text.parse::<CodePlace>().is_err(), "{text}");
        }
    }
}
