// SPDX-License-Identifier: BSD-2-Clause
//! "Did you mean …": finds the names in a list that are most similar to a mistyped one.

use std::mem::swap;

/// Returns at most `limit` of `names` that are similar to `wanted`, the best first, and shorter
/// ones first among equals.
///
/// A name that contains `wanted` is better than one that differs by some letters: a user who types
/// `sys_bpf` means `__x64_sys_bpf`.
pub fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
    limit: usize,
) -> Vec<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| Some((distance(&wanted, &name.to_ascii_lowercase())?, name)))
        .collect();
    found.sort_by_key(|&(distance, name)| (distance, name.len()));
    found.dedup_by_key(|&mut (_, name)| name);
    found.truncate(limit);
    found.into_iter().map(|(_, name)| name).collect()
}

/// The distance of `name` from `wanted`; `None` if they are not similar.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    if wanted.len() >= 3 && name.contains(wanted) {
        return Some(0);
    }
    let allowed = (wanted.len() / 3).min(4);
    if name.len().abs_diff(wanted.len()) > allowed {
        return None;
    }
    let letters = edits(wanted.as_bytes(), name.as_bytes());
    (letters <= allowed).then_some(letters)
}

/// Number of letters to insert, delete, replace, or swap with a neighbour.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = above.clone();
    for i in 0..a.len() {
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = above[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        swap(&mut before, &mut above);
        swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn swapped_and_missing_letters_count_one_each() {
        assert_eq!(edits(b"EINVAL", b"EINVAL"), 0);
        assert_eq!(edits(b"EINAVL", b"EINVAL"), 1);
        assert_eq!(edits(b"EINVL", b"EINVAL"), 1);
        assert_eq!(edits(b"", b"abc"), 3);
    }

    #[test]
    fn a_name_that_contains_the_wanted_one_comes_first() {
        let names = ["sys_bpg", "__x64_sys_bpf", "unrelated"];
        assert_eq!(nearest("sys_bpf", names, 3), ["__x64_sys_bpf", "sys_bpg"]);
    }

    #[test]
    fn nothing_is_offered_for_what_resembles_nothing() {
        assert!(nearest("qqqqqqqq", ["EINVAL", "ENOENT"], 3).is_empty());
    }
}
