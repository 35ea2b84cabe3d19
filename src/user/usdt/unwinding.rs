// SPDX-License-Identifier: BSD-2-Clause
//! Where functions have their return addresses, as the unwind information of a file (`.eh_frame`)
//! says. The file is hostile: the size of the information is limited, and each address is looked up
//! once.

use std::collections::{BTreeMap, BTreeSet};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian,
    UnwindContext, UnwindSection,
};

use crate::spec::ReturnPlace;
use crate::user::arch::{RETURN_ADDRESS_SIZE, dwarf_register, is_stack_pointer};
use crate::user::elf::UserElf;

const EH_FRAME: &str = ".eh_frame";

/// Maximum size of the unwind information, in bytes. That of Chrome has 30 MB.
const MAX_EH_FRAME: u64 = 64 << 20;

/// Maximum size of the entry of one function, in bytes.
const MAX_ENTRY: usize = 16 << 10;

type Slice<'s> = EndianSlice<'s, LittleEndian>;

/// Returns where the return address is on the stack when the code at each of the addresses runs.
/// Addresses are missing for which the information has no simple rule.
pub(super) fn return_places(elf: &UserElf<'_>, addrs: BTreeSet<u64>) -> BTreeMap<u64, ReturnPlace> {
    let mut places = BTreeMap::new();
    let Some((start, _)) = elf.section_range(EH_FRAME) else {
        return places;
    };
    let Ok(Some(bytes)) = elf.section(EH_FRAME, MAX_EH_FRAME) else {
        return places;
    };
    let bases = BaseAddresses::default().set_eh_frame(start);
    let frames = EhFrame::new(&bytes, LittleEndian);
    // Damage costs what follows it.
    let _ = find_places(&frames, &bases, addrs, &mut places);
    places
}

fn find_places(
    frames: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    mut left: BTreeSet<u64>,
    places: &mut BTreeMap<u64, ReturnPlace>,
) -> gimli::Result<()> {
    let mut context = UnwindContext::new();
    let mut entries = frames.entries(bases);
    while let Some(entry) = entries.next()? {
        if left.is_empty() {
            break;
        }
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let entry = partial.parse(EhFrame::cie_from_offset)?;
        let end = entry.initial_address().saturating_add(entry.len());
        if entry.initial_address() >= end {
            continue;
        }
        let covered = left.range(entry.initial_address()..end);
        for addr in covered.copied().collect::<Vec<u64>>() {
            left.remove(&addr);
            let place = return_place(&entry, frames, bases, &mut context, addr);
            if let Some(place) = place {
                places.insert(addr, place);
            }
        }
    }
    Ok(())
}

fn return_place<'s>(
    entry: &FrameDescriptionEntry<Slice<'s>>,
    frames: &EhFrame<Slice<'s>>,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
    addr: u64,
) -> Option<ReturnPlace> {
    if entry.entry_len() > MAX_ENTRY || entry.cie().entry_len() > MAX_ENTRY {
        return None;
    }
    let row = entry.unwind_info_for_address(frames, bases, context, addr);
    let CfaRule::RegisterAndOffset { register, offset } = *row.ok()?.cfa() else {
        return None;
    };
    Some(ReturnPlace {
        register: dwarf_register(register)?,
        offset: offset.checked_sub(RETURN_ADDRESS_SIZE)?,
    })
}

/// Returns whether at this place the return address is on top of the stack, as it is when a function
/// begins. The part of a function that is placed elsewhere (`.cold`) begins in the middle.
pub(super) fn is_on_top(place: ReturnPlace) -> bool {
    let is_stack_pointer =
        |number| is_stack_pointer(number) && dwarf_register(number) == Some(place.register);
    place.offset == 0 && (0..64).map(gimli::Register).any(is_stack_pointer)
}
