// SPDX-License-Identifier: BSD-2-Clause
//! The cache of unit tables, limited in size.

use std::collections::HashMap;

use super::units::UnitAt;

/// Approximate memory in bytes of a table, in addition to its contents.
const TABLE_OVERHEAD: usize = 64;

/// Tables by unit. The least recently used ones are removed first.
#[derive(Debug)]
pub(super) struct Tables {
    kept: HashMap<UnitAt, KeptTable>,
    n_bytes: usize,
    most_bytes: usize,
    now: u64,
}

#[derive(Debug)]
struct KeptTable {
    /// `None` if the unit is damaged.
    table: Option<Box<[u8]>>,
    used: u64,
}

impl Tables {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            kept: HashMap::new(),
            n_bytes: 0,
            most_bytes,
            now: 0,
        }
    }

    /// Returns the cached entry of a unit: `None` if there is none, `Some(None)` if the unit is
    /// damaged.
    pub(super) fn get(&mut self, unit: UnitAt) -> Option<Option<&[u8]>> {
        self.now += 1;
        let kept = self.kept.get_mut(&unit)?;
        kept.used = self.now;
        Some(kept.table.as_deref())
    }

    /// Adds a table, and removes others if the limit is exceeded.
    pub(super) fn keep(&mut self, unit: UnitAt, table: Option<Vec<u8>>) {
        let table = table.map(Vec::into_boxed_slice);
        self.n_bytes += cost(table.as_deref());
        let used = self.now;
        if let Some(before) = self.kept.insert(unit, KeptTable { table, used }) {
            self.n_bytes -= cost(before.table.as_deref());
        }
        if self.n_bytes > self.most_bytes {
            self.make_room(unit);
        }
    }

    /// Removes the least recently used tables until the rest takes at most three quarters of the
    /// limit. The newest one stays.
    fn make_room(&mut self, newest: UnitAt) {
        let mut by_use: Vec<(u64, UnitAt)> = self
            .kept
            .iter()
            .map(|(unit, kept)| (kept.used, *unit))
            .collect();
        by_use.sort_unstable();
        let goal = self.most_bytes / 4 * 3;
        for (_, unit) in by_use {
            if self.n_bytes <= goal {
                break;
            }
            if unit != newest
                && let Some(gone) = self.kept.remove(&unit)
            {
                self.n_bytes -= cost(gone.table.as_deref());
            }
        }
    }

    /// Removes all tables.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most_bytes);
    }
}

fn cost(table: Option<&[u8]>) -> usize {
    TABLE_OVERHEAD + table.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::{Tables, UnitAt};

    #[test]
    fn what_was_not_asked_for_lately_goes_first() {
        let mut tables = Tables::new(10_000);
        for unit in 0..9 {
            tables.keep(UnitAt(unit), Some(vec![0; 1000]));
        }
        assert!(tables.get(UnitAt(0)).is_some());
        tables.keep(UnitAt(9), Some(vec![0; 1000]));
        assert!(tables.get(UnitAt(0)).is_some());
        assert!(tables.get(UnitAt(1)).is_none());
        assert!(tables.get(UnitAt(9)).is_some());
        assert!(tables.n_bytes <= 10_000);
        // A table that is larger than the limit is kept until the next one is added.
        tables.keep(UnitAt(10), Some(vec![0; 100_000]));
        assert!(tables.get(UnitAt(10)).is_some());
        tables.keep(UnitAt(11), None);
        assert!(tables.get(UnitAt(10)).is_none());
        assert_eq!(tables.get(UnitAt(11)), Some(None));
    }
}
