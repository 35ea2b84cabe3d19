// SPDX-License-Identifier: BSD-2-Clause
//! Parses lines of kallsyms (`address type name [module]`) and sorts them, with preferred names
//! first.

use anyhow::bail;
use memchr::{memchr, memchr_iter, memchr2};

use super::SymbolEntry;
use crate::knowledge::arch::SYSTEM_CALL_ALIAS;

/// Prefixes of unwanted aliases: padding and type hashes before functions, and copies for
/// position-independent code. The kernel's own lookups avoid them too.
const UNWELCOME_PREFIXES: [&str; 4] = ["__pfx_", "__cfi_", "__pi_", "__probestub_"];

/// Markers of the linker script. They have the address of the first function after them.
const LINKER_MARKERS: [&str; 6] = [
    "_text",
    "_stext",
    "_sinittext",
    "startup_64",
    "__entry_text_start",
    "__noinstr_text_start",
];

pub(super) fn entries(text: &str) -> anyhow::Result<Vec<SymbolEntry>> {
    if u32::try_from(text.len()).is_err() {
        bail!("kallsyms is larger than 4 GiB");
    }
    // No real kernel has a lower average than 40 bytes per line.
    let mut entries = Vec::with_capacity(text.len() / 40);
    let mut start = 0;
    for end in memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        entries.extend(entry(&text[start..end], start));
        start = end + 1;
        if start >= text.len() {
            break;
        }
    }
    if entries.is_empty() {
        bail!("kallsyms has no line that is a symbol");
    }
    if entries.iter().all(|entry| entry.addr == 0) {
        bail!("the kernel hides the addresses of its symbols (kptr_restrict)");
    }
    sort(&mut entries);
    entries.shrink_to_fit();
    Ok(entries)
}

/// Sorts by address, with the preferred name of an address first.
pub(super) fn sort(entries: &mut [SymbolEntry]) {
    // The sort is stable, so that the kernel's order decides among equals. It is fast, because the
    // input consists of a few sorted runs.
    entries.sort_by_key(|entry| (entry.addr, entry.rank));
}

/// Parses a line. `start` is its offset in the text, which fits into 32 bits.
fn entry(line: &str, start: usize) -> Option<SymbolEntry> {
    let bytes = line.as_bytes();
    // Addresses have 16 digits on all supported kernels. Otherwise any number of digits is
    // accepted.
    let digits = match bytes.get(16) {
        Some(b' ') => 16,
        _ => memchr(b' ', bytes)?,
    };
    let addr = hex(&bytes[..digits])?;
    let kind = *bytes.get(digits + 1)?;
    if !kind.is_ascii_graphic() || bytes.get(digits + 2) != Some(&b' ') {
        return None;
    }
    let name_start = digits + 3;
    let rest = &bytes[name_start..];
    let len = memchr2(b'\t', b' ', rest).unwrap_or(rest.len());
    if len == 0 {
        return None;
    }
    let name = &line[name_start..name_start + len];
    Some(SymbolEntry {
        addr,
        name: (start + name_start) as u32,
        name_len: u16::try_from(len).ok()?,
        kind,
        rank: rank(kind, name),
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    // Invalid digits set a bit that valid ones do not set. It is checked once at the end.
    let mut value = 0;
    let mut bad = 0;
    for digit in digits {
        let digit = DIGITS[usize::from(*digit)];
        bad |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (bad & BAD_DIGIT == 0).then_some(value)
}

const BAD_DIGIT: u8 = 0x80;

/// The value of each hexadecimal digit.
const DIGITS: [u8; 256] = {
    let mut digits = [BAD_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

pub(super) fn rank(kind: u8, name: &str) -> u8 {
    let by_kind = match kind {
        b'T' => 0,
        b'W' => 1,
        b't' | b'w' => 2,
        _ => return 9,
    };
    // Most names begin with neither, so that a single comparison is enough.
    if !name.starts_with('_') && !name.starts_with("startup") {
        return by_kind;
    }
    if LINKER_MARKERS.contains(&name) {
        by_kind + 6
    } else if UNWELCOME_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        by_kind + 3
    } else if name.starts_with(SYSTEM_CALL_ALIAS) {
        by_kind + 1
    } else {
        by_kind
    }
}
