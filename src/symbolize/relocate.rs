// SPDX-License-Identifier: BSD-2-Clause
//! Relocatable files (modules): assigns addresses to their sections and relocates their DWARF.

use object::{
    Object, ObjectSection, ObjectSymbol, RelocationKind, RelocationTarget, SectionFlags,
    SectionIndex, elf,
};

use super::image::Elf;

/// How addresses are assigned to the sections of a relocatable file.
#[derive(Clone, Debug)]
pub(super) enum RelocationPlacement {
    /// The load addresses in the kernel, by section name.
    Loaded(Vec<(String, u64)>),
    /// Not loaded: the text is at [`UNLOADED_TEXT`], and the other code sections follow.
    Alone,
}

/// Address of the text of a file that is not loaded. It is not 0, because code that the linker
/// dropped has address 0.
pub(super) const UNLOADED_TEXT: u64 = 1 << 20;

/// The address of each section of a file, by index; 0 for a section that is not in memory.
#[derive(Debug)]
pub(super) struct Bases(Vec<u64>);

impl Bases {
    /// Assigns the addresses; returns `None` if the file is linked already.
    pub(super) fn of(elf: &Elf<'_>, placement: &RelocationPlacement) -> Option<Self> {
        if elf.elf_header().e_type.get(elf.endian()) != elf::ET_REL {
            return None;
        }
        let mut bases = Vec::new();
        let mut next = UNLOADED_TEXT;
        // `.text` comes first, whatever precedes it in the file.
        let text = elf.section_by_name(".text");
        let text_index = text.as_ref().map(ObjectSection::index);
        next = next.checked_add(text.map_or(0, |text| text.size()))?;
        for section in elf.sections() {
            let SectionIndex(index) = section.index();
            let name = section.name().unwrap_or_default();
            let base = match placement {
                RelocationPlacement::Loaded(loaded) => {
                    let found = loaded.iter().find(|(other, _)| other == name);
                    found.map_or(0, |(_, addr)| *addr)
                }
                RelocationPlacement::Alone if Some(section.index()) == text_index => UNLOADED_TEXT,
                RelocationPlacement::Alone if is_code(section.flags()) => {
                    let align = section.align().clamp(1, 1 << 16);
                    let base = next.checked_next_multiple_of(align)?;
                    next = base.checked_add(section.size())?;
                    base
                }
                RelocationPlacement::Alone => 0,
            };
            if bases.len() <= index {
                bases.resize(index + 1, 0);
            }
            if let Some(slot) = bases.get_mut(index) {
                *slot = base;
            }
        }
        Some(Self(bases))
    }

    pub(super) fn section(&self, SectionIndex(index): SectionIndex) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

pub(super) fn is_code(flags: SectionFlags) -> bool {
    match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_EXECINSTR),
        _ => false,
    }
}

/// Applies the relocations of a section to its bytes. Malformed ones are ignored, and the lines
/// that depend on them are missing.
pub(super) fn relocate(elf: &Elf<'_>, name: &str, bytes: &mut [u8], bases: &Bases) {
    let Some(section) = elf.section_by_name(name) else {
        return;
    };
    for (offset, relocation) in section.relocations() {
        if relocation.kind() != RelocationKind::Absolute {
            continue;
        }
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            continue;
        };
        let Ok(symbol) = elf.symbol_by_index(symbol) else {
            continue;
        };
        let base = symbol
            .section_index()
            .map_or(0, |index| bases.section(index));
        let value = base
            .wrapping_add(symbol.address())
            .wrapping_add(relocation.addend() as u64);
        let n_bytes = usize::from(relocation.size() / 8);
        let Some(place) = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(n_bytes)?;
            bytes.get_mut(start..end)
        }) else {
            continue;
        };
        if let Some(value) = value.to_le_bytes().get(..n_bytes) {
            place.copy_from_slice(value);
        }
    }
}
