// SPDX-License-Identifier: BSD-2-Clause
//! Writes the scope for the programs: rules in a map, marks that tell whether any rule may name an
//! id, and a Bloom filter of thread names (`bpf/include/filter.bpf.h`).

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::settings::{ScopeEntry, ScopeKind, ScopeRule, ScopeSettings};
use super::skel::{RetsnoopSkel, types};

/// `SCOPE_BITS / 64` of `limits.h`.
pub(super) const N_SCOPE_WORDS: usize = 1024;

/// `SCOPE_MARK_BITS` of `limits.h`.
pub(super) const MARK_BITS: u32 = 14;

/// `SCOPE_KINDS` of `config.bpf.h`.
pub(super) const N_SCOPE_KINDS: usize = 7;

/// `COMM_LEN` of `limits.h`: bytes of a thread's name, including the NUL.
pub(super) const COMM_LEN: usize = 16;
type CommKey = [u8; COMM_LEN];

/// Room in the map for descendants of processes, or for cgroups, that are added while tracing.
const MAX_ADDED_ENTRIES: u32 = 16_384;

/// Returns the size of the map of rules, in entries.
pub(super) fn n_entries(scope: &ScopeSettings) -> u32 {
    let mut room = scope.entries.len() as u32;
    if scope.follow_forks {
        room += MAX_ADDED_ENTRIES;
    }
    if scope.watch_cgroups {
        room = room
            .saturating_add(MAX_ADDED_ENTRIES)
            .saturating_add(scope.n_cgroups);
    }
    room.max(1)
}

/// Returns the number of rules of each kind, awaited ones included, for the constants of the
/// programs.
pub(super) fn counts(scope: &ScopeSettings) -> [types::scope_rules; N_SCOPE_KINDS] {
    let mut counts = [types::scope_rules::default(); N_SCOPE_KINDS];
    let there = scope.entries.iter().map(|entry| (entry.kind, entry.rule));
    for (kind, rule) in there.chain(scope.awaited.iter().copied()) {
        let of_kind = &mut counts[kind as usize];
        match rule {
            ScopeRule::Allow | ScopeRule::HeldUntilExec => of_kind.allowed += 1,
            ScopeRule::Deny => of_kind.denied += 1,
        }
    }
    counts
}

/// Writes all rules that are known now to the maps, the marks and the Bloom filter.
pub(super) fn fill(skel: &mut RetsnoopSkel<'_>, scope: &ScopeSettings) -> Result<()> {
    for entry in &scope.entries {
        add(skel, *entry)?;
    }
    for (comms, rule) in [
        (&scope.comms_allowed, ScopeRule::Allow),
        (&scope.comms_denied, ScopeRule::Deny),
    ] {
        for comm in comms {
            let rule = (rule as u32).to_ne_bytes();
            skel.maps
                .comms
                .update(&comm_key(comm), &rule, MapFlags::ANY)?;
            let bit = comm_bit(comm_key(comm));
            let bss = skel.maps.bss_data.as_deref_mut().context("no .bss")?;
            bss.comm_bits[(bit >> 6) as usize % N_SCOPE_WORDS] |= 1 << (bit & 63);
        }
    }
    Ok(())
}

/// Adds a rule, before or while tracing. Fails if the map is full.
pub(super) fn add(skel: &mut RetsnoopSkel<'_>, entry: ScopeEntry) -> Result<()> {
    // Increment the mark first: lookups ignore a rule without a mark.
    let bss = skel.maps.bss_data.as_deref_mut().context("no .bss")?;
    let mark = &mut bss.scope_marks[mark_of(entry.kind, entry.id)].by_user;
    *mark = mark.saturating_add(1);
    let rule = (entry.rule as u32).to_ne_bytes();
    let added = skel.maps.scope.update(&key_of(entry), &rule, MapFlags::ANY);
    if added.is_err() {
        let bss = skel.maps.bss_data.as_deref_mut().context("no .bss")?;
        let mark = &mut bss.scope_marks[mark_of(entry.kind, entry.id)].by_user;
        *mark = mark.saturating_sub(1);
    }
    added.context("failed to add to the scope")
}

/// Encodes a `struct scope_key`.
fn key_of(entry: ScopeEntry) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&entry.id.to_ne_bytes());
    key[8..].copy_from_slice(&(entry.kind as u64).to_ne_bytes());
    key
}

/// Returns the index of a mark. Has the same hash function as `scope_mark` of `filter.bpf.h`.
fn mark_of(kind: ScopeKind, id: u64) -> usize {
    let hash = (id as u32)
        .wrapping_add((kind as u32).wrapping_mul(0x2545_f491))
        .wrapping_mul(0x9e37_79b1);
    (hash >> (32 - MARK_BITS)) as usize
}

/// Encodes a thread's name as the kernel stores it: at most 15 bytes, padded with zeroes.
fn comm_key(comm: &str) -> CommKey {
    let mut key = [0; COMM_LEN];
    for (to, from) in key[..COMM_LEN - 1].iter_mut().zip(comm.bytes()) {
        *to = from;
    }
    key
}

/// Returns the bit of a thread's name. Has the same hash function as `comm_bit` of `filter.bpf.h`.
fn comm_bit(comm: CommKey) -> u32 {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&comm[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    let folded = (word(0) ^ word(8).wrapping_mul(31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::{MARK_BITS, comm_bit, counts, mark_of, n_entries};
    use crate::bpf::settings::{ScopeEntry, ScopeKind, ScopeRule, ScopeSettings};

    #[test]
    fn marks_of_kinds_and_neighbours_differ_and_are_in_range() {
        let marks = [
            mark_of(ScopeKind::Process, 1),
            mark_of(ScopeKind::Process, 2),
            mark_of(ScopeKind::User, 1),
            mark_of(ScopeKind::NetNamespace, 0xf000_0000),
        ];
        for (index, mark) in marks.iter().enumerate() {
            assert!(*mark < 1 << MARK_BITS);
            assert!(!marks[..index].contains(mark), "{marks:?}");
        }
    }

    #[test]
    fn rules_are_counted_by_kind_and_room_is_made_for_those_to_come() {
        let entry = |kind, rule| ScopeEntry { kind, id: 7, rule };
        let mut scope = ScopeSettings {
            entries: vec![
                entry(ScopeKind::Process, ScopeRule::HeldUntilExec),
                entry(ScopeKind::User, ScopeRule::Deny),
            ],
            awaited: vec![
                (ScopeKind::Cgroup, ScopeRule::Allow),
                (ScopeKind::NetNamespace, ScopeRule::Deny),
            ],
            ..ScopeSettings::default()
        };
        let counted = counts(&scope).map(|of| (of.allowed, of.denied));
        assert_eq!(
            counted,
            [(1, 0), (0, 1), (0, 0), (1, 0), (0, 0), (0, 0), (0, 1)]
        );
        assert_eq!(n_entries(&scope), 2);
        scope.follow_forks = true;
        assert!(n_entries(&scope) > 10_000);
        assert_eq!(n_entries(&ScopeSettings::default()), 1);
        // A host may have more cgroups at the start than there is room for new ones.
        scope.watch_cgroups = true;
        scope.n_cgroups = 40_000;
        assert!(n_entries(&scope) > 50_000);
    }

    #[test]
    fn names_that_differ_anywhere_have_bits_of_their_own() {
        let a = *b"simfail\0\0\0\0\0\0\0\0\0";
        let b = *b"simfail\0\0\0\0\0\0\0x\0";
        assert_ne!(comm_bit(a), comm_bit(b));
        assert!(comm_bit(a) < 65_536);
    }
}
