// SPDX-License-Identifier: BSD-2-Clause
//! Where the bytes of a function and of its cold part are, by the kernel's symbols.

use super::graph::{Outside, Region, Surroundings};
use crate::code::arch as machine;
use crate::code::functions::{Code, MAX_SIZE, is_part};
use crate::knowledge::denied::never_returns;
use crate::spec::Addr;

/// Number of bytes to read of code that is part of a function by a jump alone. Some kernels have no
/// symbols for cold parts.
const PART_WITHOUT_SYMBOL: usize = 512;

/// The symbols and the text around a function.
pub(super) struct Neighbourhood<'a, 'b> {
    code: &'b Code<'a>,
}

impl<'a, 'b> Neighbourhood<'a, 'b> {
    pub(super) fn new(code: &'b Code<'a>) -> Self {
        Self { code }
    }

    /// Returns the bytes of the function that starts at `addr`.
    pub(super) fn function(&self, addr: Addr) -> Option<Region> {
        let (symbol, offset) = self.code.kallsyms().resolve(addr)?;
        if offset != 0 || !symbol.is_function {
            return None;
        }
        self.read(addr, symbol.size.min(MAX_SIZE) as usize)
    }

    fn read(&self, addr: Addr, size: usize) -> Option<Region> {
        let mut bytes = vec![0; size];
        self.code.text().read(addr, &mut bytes).then_some(Region {
            start: addr.0,
            bytes,
        })
    }

    fn name_at(&self, addr: u64) -> Option<(&'a str, u64)> {
        let (symbol, offset) = self.code.kallsyms().resolve(Addr(addr))?;
        Some((symbol.name, offset))
    }
}

impl Surroundings for Neighbourhood<'_, '_> {
    fn at(&self, addr: u64) -> Outside {
        let Some((symbol, offset)) = self.code.kallsyms().resolve(Addr(addr)) else {
            return Outside::Unknown;
        };
        let region = if is_part(symbol.name) {
            self.read(symbol.addr, symbol.size.min(MAX_SIZE) as usize)
        } else if offset <= machine::MAX_ENTRY_OFFSET {
            return Outside::Function;
        } else {
            let left = symbol.size.saturating_sub(offset);
            self.read(Addr(addr), left.min(PART_WITHOUT_SYMBOL as u64) as usize)
        };
        region.map_or(Outside::Unknown, Outside::Part)
    }

    fn never_returns(&self, addr: u64) -> bool {
        self.name_at(addr).is_some_and(|(name, offset)| {
            offset <= machine::MAX_ENTRY_OFFSET && never_returns(name)
        })
    }

    fn keeps_registers(&self, addr: u64) -> bool {
        self.name_at(addr)
            .is_none_or(|(name, _)| machine::keeps_registers(name))
    }

    fn is_return(&self, addr: u64) -> bool {
        self.name_at(addr)
            .is_some_and(|(name, offset)| offset == 0 && machine::is_return_thunk(name))
    }
}
