// SPDX-License-Identifier: BSD-2-Clause
//! Finds the addresses of modules that were not loaded when their functions were selected.
//!
//! Such functions have placeholders. Each of their calls reports the real address, which gives the
//! load address of the section. Addresses in stacks are translated to placeholders, so that later
//! stages know placeholders only. If the initialization of a module fails, the module is gone when
//! its session is processed; its calls are then the only source of its addresses.

use std::ops::Range;

use crate::events::{SessionRecord, StackRecord};
use crate::select::TracedFunction;
use crate::spec::{Addr, Hook, Placeholder};

/// The sections of absent modules and their distances from their placeholders.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    sections: Vec<PlacedSection>,
    /// An address of the kernel's own text; modules lie within 2 GiB of it.
    near: u64,
}

#[derive(Clone, Debug)]
struct PlacedSection {
    placeholders: Range<Placeholder>,
    /// The real address minus the placeholder, modulo 2^64; `None` until a call reported it.
    distance: Option<u64>,
}

impl Placement {
    /// Creates a placement. `sections` are the placeholders of each section; `near` is any address
    /// of the kernel's text.
    #[must_use]
    pub fn new(sections: impl IntoIterator<Item = Range<Placeholder>>, near: Addr) -> Self {
        let sections = sections.into_iter().map(|placeholders| PlacedSection {
            placeholders,
            distance: None,
        });
        Self {
            sections: sections.collect(),
            near: near.0,
        }
    }

    /// Translates all addresses of a session. The calls of the session are evaluated first, because
    /// a module that was loaded again may have another load address.
    pub(super) fn settle(
        &mut self,
        functions: &[TracedFunction],
        record: &mut SessionRecord,
        stacks: &mut [StackRecord],
    ) {
        if self.sections.is_empty() {
            return;
        }
        for call in record.calls.iter().filter(|call| call.place != 0) {
            let function = functions.get(call.func as usize);
            if let Some(Hook::AbsentFunction(placeholder)) = function.map(|function| function.hook)
            {
                self.learn(placeholder, call.place);
            }
        }
        for call in &mut record.calls {
            call.call_site = self.translate(call.call_site);
        }
        for addr in stacks.iter_mut().flat_map(|stack| &mut stack.addrs) {
            addr.0 = self.translate(addr.0);
        }
    }

    fn learn(&mut self, placeholder: Placeholder, lower_half: u32) {
        let real = self.whole(lower_half);
        let mut sections = self.sections.iter_mut();
        if let Some(section) = sections.find(|section| section.placeholders.contains(&placeholder))
        {
            section.distance = Some(real.wrapping_sub(placeholder.addr().0));
        }
    }

    /// Returns the address with this lower half that is nearest to the kernel's text.
    fn whole(&self, lower_half: u32) -> u64 {
        let distance = lower_half.wrapping_sub(self.near as u32).cast_signed();
        self.near.wrapping_add_signed(i64::from(distance))
    }

    /// Returns the placeholder of an address in a section that was found, as an address; otherwise
    /// the address itself.
    fn translate(&self, addr: u64) -> u64 {
        let translated = self.sections.iter().find_map(|section| {
            let placeholder = Placeholder::at(Addr(addr.wrapping_sub(section.distance?)))?;
            // A return address may be the first byte after the section.
            let is_there = section.placeholders.contains(&placeholder)
                || placeholder == section.placeholders.end;
            is_there.then_some(placeholder)
        });
        translated.map_or(addr, |placeholder| placeholder.addr().0)
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;
    use crate::spec::{Addr, Placeholder};

    const INIT: u64 = 0x10_0000;

    /// The placeholder at this offset from the first one.
    fn placeholder(offset: u64) -> Placeholder {
        let first = Placeholder::of_module(0).start;
        first.checked_add(offset).unwrap()
    }

    #[test]
    fn a_call_tells_where_its_section_lies_and_nothing_of_others() {
        let sections = [(0, 0x1000), (INIT, INIT + 0x200)]
            .map(|(start, end)| placeholder(start)..placeholder(end));
        let mut placement = Placement::new(sections, Addr(0xffff_ffff_8100_0000));
        let real = 0xffff_ffff_c012_3000_u64;
        assert_eq!(placement.translate(real + 0x40), real + 0x40);
        placement.learn(placeholder(0x10), (real + 0x10) as u32);
        assert_eq!(placement.translate(real + 0x40), placeholder(0x40).addr().0);
        assert_eq!(
            placement.translate(real + 0x1000),
            placeholder(0x1000).addr().0
        );
        assert_eq!(placement.translate(real + 0x1001), real + 0x1001);
        assert_eq!(placement.translate(0), 0);
        // The module was loaded again at another address.
        placement.learn(placeholder(0x10), (real + 0x8010) as u32);
        assert_eq!(
            placement.translate(real + 0x8040),
            placeholder(0x40).addr().0
        );
        assert_eq!(placement.translate(real + 0x40), real + 0x40);
    }

    #[test]
    fn the_upper_half_is_that_of_the_nearest_address() {
        let placement = Placement::new([], Addr(0xffff_8000_fff0_0000));
        assert_eq!(placement.whole(0x1000), 0xffff_8001_0000_1000);
        assert_eq!(placement.whole(0xff00_0000), 0xffff_8000_ff00_0000);
    }
}
