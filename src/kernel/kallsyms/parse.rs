// SPDX-License-Identifier: BSD-2-Clause
//! Lines of kallsyms → entries: `address type name [module]`, sorted, preferred names first.

use anyhow::bail;

use super::Entry;

/// Aliases that nobody calls a function by: padding and type hashes in front of functions, and
/// copies for position-independent code. (The kernel's own look-ups avoid them as well.)
const UNWELCOME_PREFIXES: [&str; 4] = ["__pfx_", "__cfi_", "__pi_", "__probestub_"];

/// Marks of the linker script, which share their address with the first function behind them.
const MARKERS: [&str; 6] = [
    "_text",
    "_stext",
    "_sinittext",
    "startup_64",
    "__entry_text_start",
    "__noinstr_text_start",
];

pub(super) fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    if u32::try_from(text.len()).is_err() {
        bail!("kallsyms is larger than 4 GiB");
    }
    // 40 bytes a line is less than any real kernel's average.
    let mut entries = Vec::with_capacity(text.len() / 40);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        entries.extend(entry(line.trim_end_matches('\n'), start));
        start += line.len();
    }
    if entries.is_empty() {
        bail!("kallsyms has no line that is a symbol");
    }
    if entries.iter().all(|entry| entry.addr == 0) {
        bail!("the kernel hides the addresses of its symbols (kptr_restrict)");
    }
    // Stable, so that the kernel's own order decides among equals; and quick, because the file
    // consists of a few sorted runs.
    entries.sort_by_key(|entry| (entry.addr, entry.rank));
    entries.shrink_to_fit();
    Ok(entries)
}

/// One line; `start` is its place in the text, which fits into 32 bits.
fn entry(line: &str, start: usize) -> Option<Entry> {
    let bytes = line.as_bytes();
    let digits = bytes.iter().position(|byte| *byte == b' ')?;
    let addr = hex(&bytes[..digits])?;
    let kind = *bytes.get(digits + 1)?;
    if !kind.is_ascii_graphic() || bytes.get(digits + 2) != Some(&b' ') {
        return None;
    }
    let name_start = digits + 3;
    let rest = &bytes[name_start..];
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'\t' | b' '))
        .unwrap_or(rest.len());
    if len == 0 {
        return None;
    }
    let name = &line[name_start..name_start + len];
    Some(Entry {
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
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

fn rank(kind: u8, name: &str) -> u8 {
    let by_kind = match kind {
        b'T' => 0,
        b'W' => 1,
        b't' | b'w' => 2,
        _ => return 9,
    };
    // Most names begin with neither, so that one comparison settles it.
    if !name.starts_with('_') && !name.starts_with("startup") {
        return by_kind;
    }
    if MARKERS.contains(&name) {
        by_kind + 6
    } else if UNWELCOME_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        by_kind + 3
    } else {
        by_kind
    }
}
