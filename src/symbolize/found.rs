// SPDX-License-Identifier: BSD-2-Clause
//! Finds the code places in a line of a kernel log: `vfs_read+0x1b/0x340 [module]`, or addresses if
//! the line has no such symbol.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::{Captures, Regex};

use crate::spec::{Addr, CodePlace, SymbolPlace, parse_hex};

/// A code place in a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPlace {
    /// Its byte range in the line.
    pub at: Range<usize>,
    /// The symbol or address that it names.
    pub place: CodePlace,
    /// Whether it is a return address, as in a stack trace. False on lines that show the
    /// instruction pointer.
    pub is_return: bool,
}

/// Matches `name+0x1/0x2`, optionally followed by ` [module]` or ` [module build-id]`, or an
/// address of 16 digits in the upper half. The length of a name is bounded, so that a hostile line
/// is not scanned again and again.
static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u)
        \b(?<name>[A-Za-z_.$][\w.$]{0,510})\+0x(?<offset>[0-9a-f]{1,16})/0x(?<size>[0-9a-f]{1,16})\b
        (?:[\ \t]+\[(?<module>[\w-]{1,64})(?:\ [0-9a-f]{8,64})?\])?
        | \b(?:0x)?(?<address>[fF]{4}[0-9a-fA-F]{12})\b(?:>\])?",
    )
    .ok()
});

/// Marks of lines that show where execution was, as opposed to a return address.
const EXACT_MARKS: [&[u8]; 7] = [
    b"RIP:",
    b"EIP:",
    b"EIP is at",
    b"pc :",
    b"PC is at",
    b"RIP  [",
    b"IP: [",
];

/// Returns the code places in a line of text, in order. Addresses are left out if the line has a
/// symbol.
#[must_use]
pub fn find_places(line: &[u8]) -> Vec<FoundPlace> {
    let Some(pattern) = PLACE.as_ref() else {
        return Vec::new();
    };
    let is_return = !EXACT_MARKS
        .iter()
        .any(|mark| memmem::find(line, mark).is_some());
    let found = pattern.captures_iter(line);
    let mut found: Vec<_> = found
        .filter_map(|captures| found_place(&captures, is_return))
        .collect();
    // An address next to a symbol belongs to that symbol.
    let is_symbol = |found: &FoundPlace| matches!(found.place, CodePlace::Symbol(_));
    if found.iter().any(is_symbol) {
        found.retain(is_symbol);
    }
    found
}

fn found_place(captures: &Captures<'_>, is_return: bool) -> Option<FoundPlace> {
    let text = |name| {
        Some(
            str::from_utf8(captures.name(name)?.as_bytes())
                .ok()?
                .to_owned(),
        )
    };
    let whole = captures.get(0)?;
    let place = match text("address") {
        Some(address) => CodePlace::Address(Addr(parse_hex(&address)?)),
        None => CodePlace::Symbol(SymbolPlace {
            name: text("name")?,
            offset: parse_hex(&text("offset")?)?,
            size: Some(parse_hex(&text("size")?)?),
            module: text("module"),
        }),
    };
    Some(FoundPlace {
        at: whole.range(),
        place,
        is_return,
    })
}

#[cfg(test)]
mod tests {
    use super::find_places;

    fn found(line: &str) -> Vec<(String, String, bool)> {
        let places = find_places(line.as_bytes());
        let found = places.into_iter().map(|found| {
            let text = line[found.at].to_owned();
            (text, found.place.to_string(), found.is_return)
        });
        found.collect()
    }

    fn one(line: &str) -> (String, String, bool) {
        let mut found = found(line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        found.remove(0)
    }

    #[test]
    fn what_an_oops_names_is_found() {
        let owned = |a: &str, b: &str, is_return| (a.to_owned(), b.to_owned(), is_return);
        assert_eq!(
            one("[    1.27]  ? do_sys_open+0x1b/0x340"),
            owned("do_sys_open+0x1b/0x340", "do_sys_open+0x1b/0x340", true)
        );
        assert_eq!(
            one("[    1.27] RIP: 0010:oops_init.cold+0x1b/0x340 [oops]"),
            owned(
                "oops_init.cold+0x1b/0x340 [oops]",
                "oops_init.cold+0x1b/0x340 [oops]",
                false
            )
        );
        assert_eq!(
            one(" f+0x1/0x2 [xfs 0123456789abcdef0123456789abcdef01234567]").1,
            "f+0x1/0x2 [xfs]"
        );
        assert_eq!(one(" [<ffffffff81234567>] f+0x1/0x2").1, "f+0x1/0x2");
        assert_eq!(
            one(" [<ffffffff81234567>] x"),
            owned("ffffffff81234567>]", "0xffffffff81234567", true)
        );
        assert_eq!(one("pc : f+0x1/0x2 lr").1, "f+0x1/0x2");
        assert_eq!(found("lr: a+0x1/0x2 and b+0x3/0x4").len(), 2);
    }

    #[test]
    fn all_other_text_is_none() {
        for line in [
            "",
            "CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.12.0",
            "RSP: 0018:ffffc90000013d38 EFLAGS: 00010246",
            "a+0x1 b+1/2 +0x1/0x2 c+0x/0x1",
            "Code: 48 8b 05 ff ff ff ff",
            "0xffffffff812345678",
        ] {
            let found = found(line);
            let is_register = line.starts_with("RSP");
            assert_eq!(found.len(), usize::from(is_register), "{line}: {found:?}");
        }
    }

    #[test]
    fn long_hostile_lines_are_gone_through_once() {
        let line = "a+0x1".repeat(200_000);
        assert!(find_places(line.as_bytes()).is_empty());
        let line = vec![b'a'; 1 << 20];
        assert!(find_places(&line).is_empty());
        assert!(find_places(&[0xff; 1000]).is_empty());
    }
}
