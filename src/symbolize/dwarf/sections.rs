// SPDX-License-Identifier: BSD-2-Clause
//! The debug sections that are needed for lines and inlined functions.

/// Maximum length of a text in bytes. Paths have at most 4096 (`PATH_MAX`), and function names of a
/// kernel have at most 512. Longer texts are ignored, because all entries may name the same one.
pub(super) const LONGEST_TEXT: usize = 4096;

/// A debug section; see [`Section::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::symbolize) enum Section {
    Abbrev,
    Addr,
    Aranges,
    Info,
    Line,
    LineStr,
    Ranges,
    RngLists,
    Str,
    StrOffsets,
}

impl Section {
    pub(in crate::symbolize) const ALL: [Self; 10] = [
        Self::Abbrev,
        Self::Addr,
        Self::Aranges,
        Self::Info,
        Self::Line,
        Self::LineStr,
        Self::Ranges,
        Self::RngLists,
        Self::Str,
        Self::StrOffsets,
    ];

    pub(in crate::symbolize) fn name(self) -> &'static str {
        match self {
            Self::Abbrev => ".debug_abbrev",
            Self::Addr => ".debug_addr",
            Self::Aranges => ".debug_aranges",
            Self::Info => ".debug_info",
            Self::Line => ".debug_line",
            Self::LineStr => ".debug_line_str",
            Self::Ranges => ".debug_ranges",
            Self::RngLists => ".debug_rnglists",
            Self::Str => ".debug_str",
            Self::StrOffsets => ".debug_str_offsets",
        }
    }
}

/// The sections of a shared file that entries of other files may refer to.
const SHARED_SECTIONS: [Section; 4] = [
    Section::Abbrev,
    Section::Info,
    Section::LineStr,
    Section::Str,
];

/// The debug information of a file, and of the file that it shares entries with (dwz).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::symbolize) struct DebugSections<'data> {
    sections: [&'data [u8]; Section::ALL.len()],
    shared: Option<[&'data [u8]; SHARED_SECTIONS.len()]>,
}

impl<'data> DebugSections<'data> {
    pub(in crate::symbolize) fn new(section: impl Fn(Section) -> &'data [u8]) -> Self {
        Self {
            sections: Section::ALL.map(section),
            shared: None,
        }
    }

    /// The bytes of a section; empty if the file does not have it.
    #[inline]
    pub(in crate::symbolize) fn get(&self, section: Section) -> &'data [u8] {
        self.sections[section as usize]
    }

    /// Adds the file that dwz moved common entries to.
    pub(in crate::symbolize) fn sharing(self, shared: &Self) -> Self {
        Self {
            shared: Some(SHARED_SECTIONS.map(|section| shared.get(section))),
            ..self
        }
    }

    /// The sections of the shared file; `None` if there is none.
    pub(in crate::symbolize) fn shared(&self) -> Option<Self> {
        let shared = self.shared?;
        Some(Self::new(|wanted| {
            let at = SHARED_SECTIONS
                .iter()
                .position(|section| *section == wanted);
            at.map_or(&[], |at| shared[at])
        }))
    }

    /// Returns the text at an offset, up to its zero byte; `None` if it is too long or has no end.
    #[inline]
    pub(in crate::symbolize) fn text(
        &self,
        section: Section,
        offset: usize,
    ) -> Option<&'data [u8]> {
        let rest = self.get(section).get(offset..)?;
        let rest = rest.get(..=LONGEST_TEXT).unwrap_or(rest);
        rest.get(..memchr::memchr(0, rest)?)
    }
}
