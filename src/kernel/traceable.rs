// SPDX-License-Identifier: BSD-2-Clause
//! Which functions ftrace can trace: parses `available_filter_functions` and
//! `available_filter_functions_addrs`, and the instructions at patch sites.
//!
//! [`super::facts::KernelFiles`] reads the files. Malformed lines are ignored, because a newer
//! kernel may add other lines.

use crate::spec::Addr;

/// Prefix of the names of patch sites whose function was discarded. They cannot be traced.
const DISCARDED_SITE_PREFIX: &str = "__ftrace_invalid_address___";

/// The functions that ftrace can trace.
#[derive(Debug)]
pub struct Traceable {
    text: String,
    entries: Vec<TraceableEntry>,
    has_addresses: bool,
}

/// A traceable function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceableFunction<'a> {
    /// Name of the function.
    pub name: &'a str,
    /// Name of its module; `None` for the kernel itself.
    pub module: Option<&'a str>,
    /// Its patch site: at its start or, with IBT, 4 bytes after it. The kernel lists it since 6.5
    /// (83f74441bcb1, see [`super::facts::KernelFiles::traceable_addresses`]).
    pub patch_site: Option<Addr>,
}

#[derive(Clone, Copy, Debug)]
struct TraceableEntry {
    patch_site: u64,
    name: u32,
    name_len: u16,
    module_len: u16,
}

impl Traceable {
    /// Parses `available_filter_functions` (`name [module]`) or `available_filter_functions_addrs`
    /// (with an address first). The first line shows which of them it is.
    #[must_use]
    pub fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let has_addresses = text.lines().next().is_some_and(starts_with_address);
        let mut entries = Vec::with_capacity(text.len() / 24);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            entries.extend(entry(line, start, has_addresses));
            start += line.len();
        }
        Self {
            text,
            entries,
            has_addresses,
        }
    }

    /// Whether the list has the patch sites.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        self.has_addresses
    }

    /// Number of functions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no functions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Iterates over the functions in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = TraceableFunction<'_>> + '_ {
        self.entries.iter().map(|&entry| self.function(entry))
    }

    fn function(&self, entry: TraceableEntry) -> TraceableFunction<'_> {
        let start = entry.name as usize;
        let end = start + usize::from(entry.name_len);
        // A separator and the opening bracket are between name and module.
        let module = end + 2..end + 2 + usize::from(entry.module_len);
        TraceableFunction {
            name: &self.text[start..end],
            module: (entry.module_len > 0).then(|| &self.text[module]),
            patch_site: self.has_addresses.then_some(Addr(entry.patch_site)),
        }
    }
}

/// A name does not begin with a digit, and an address has 16 hexadecimal digits.
fn starts_with_address(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(word, _)| {
        word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Parses a line that starts at the offset `start` of the text.
fn entry(line: &str, start: usize, has_addresses: bool) -> Option<TraceableEntry> {
    let line = line.trim_end();
    let (patch_site, rest) = if has_addresses {
        let (address, rest) = line.split_once(' ')?;
        (u64::from_str_radix(address, 16).ok()?, rest)
    } else {
        (0, line)
    };
    let name = rest.split([' ', '\t']).next()?;
    if name.is_empty() || name.starts_with(DISCARDED_SITE_PREFIX) {
        return None;
    }
    let after = &rest[name.len()..];
    let module = after.get(1..).and_then(|after| after.strip_prefix('['));
    let module = module
        .and_then(|module| module.split_once(']'))
        .map_or("", |(name, _)| name);
    Some(TraceableEntry {
        patch_site,
        name: u32::try_from(start + line.len() - rest.len()).ok()?,
        name_len: u16::try_from(name.len()).ok()?,
        module_len: u16::try_from(module.len()).ok()?,
    })
}

/// The instruction at a patch site. Compilers emit a call, which the kernel replaces by a NOP or by
/// a call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchSite {
    /// The function is not traced.
    Nop,
    /// The function is traced by a call of this address.
    Call(Addr),
    /// The function is traced by a BPF trampoline that is entered by a jump to this address. Since
    /// 6.19 (402e44b31e9d, "bpf: implement "jmp" mode for trampoline").
    Jump(Addr),
    /// The instruction is being changed.
    Changing,
}

impl PatchSite {
    /// Number of bytes from a function's start that [`PatchSite::find`] needs.
    pub const REACH: usize = 9;

    /// Finds the patch site in the first bytes of the function at `addr`, after the landing pad for
    /// indirect calls if there is one; `None` if the function has no patch site.
    #[must_use]
    pub fn find(addr: Addr, bytes: &[u8; Self::REACH]) -> Option<Self> {
        const LEN: usize = 5;
        // `endbr64`, or the replacement of one that the kernel does not need: since 5.18
        // (ed53a0d97192, "x86/alternative: Use .ibt_endbr_seal to seal indirect calls") `osp nop3`,
        // since 6.15 (c4239a72a29d, "x86/ibt: Clean up poison_endbr()") a four-byte NOP with an
        // operand of its own, `nopl -42(%rax)`.
        let pads: [&[u8]; 3] = [
            &[0xf3, 0x0f, 0x1e, 0xfa],
            &[0x66, 0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40],
        ];
        // Kernels before 5.13 (a89dfde3dc3c, "x86: Remove dynamic NOP selection") use the second
        // one on some processors.
        let nops: [[u8; LEN]; 2] = [[0x0f, 0x1f, 0x44, 0, 0], [0x66, 0x66, 0x66, 0x66, 0x90]];
        let has_pad = pads.iter().any(|pad| bytes.starts_with(pad));
        let start = if has_pad { 4 } else { 0 };
        let site: [u8; LEN] = bytes.get(start..start + LEN)?.try_into().ok()?;
        if nops.contains(&site) {
            return Some(Self::Nop);
        }
        let [opcode, displacement @ ..] = site;
        match opcode {
            0xe8 | 0xe9 => {
                let behind = addr.0.wrapping_add((start + LEN) as u64);
                let displacement = i32::from_le_bytes(displacement);
                let target = Addr(behind.wrapping_add_signed(displacement.into()));
                Some(if opcode == 0xe8 {
                    Self::Call(target)
                } else {
                    Self::Jump(target)
                })
            }
            // The kernel writes `int3` first and replaces it last. Freed start-up code is full of
            // it.
            0xcc if displacement != [0xcc; 4] => Some(Self::Changing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Addr, PatchSite, Traceable, TraceableFunction};

    fn function<'a>(
        name: &'a str,
        module: Option<&'a str>,
        patch_site: Option<u64>,
    ) -> TraceableFunction<'a> {
        TraceableFunction {
            name,
            module,
            patch_site: patch_site.map(Addr),
        }
    }

    #[test]
    fn names_and_modules_are_read_and_discarded_functions_are_not() {
        let list = Traceable::parse(
            b"do_one_initcall\n__ftrace_invalid_address___64\nxfs_bmap [xfs]\n\nf.isra.0\n"
                .to_vec(),
        );
        assert!(!list.has_addresses());
        assert_eq!(
            list.iter().collect::<Vec<_>>(),
            [
                function("do_one_initcall", None, None),
                function("xfs_bmap", Some("xfs"), None),
                function("f.isra.0", None, None),
            ]
        );
    }

    #[test]
    fn the_newer_list_has_addresses() {
        let list = Traceable::parse(
            b"ffffffff81001234 do_one_initcall\nffffffffc0001000 xfs_bmap [xfs]\n".to_vec(),
        );
        assert!(list.has_addresses());
        assert_eq!(
            list.iter().collect::<Vec<_>>(),
            [
                function("do_one_initcall", None, Some(0xffff_ffff_8100_1234)),
                function("xfs_bmap", Some("xfs"), Some(0xffff_ffff_c000_1000)),
            ]
        );
    }

    #[test]
    fn bent_lines_are_passed_over() {
        for text in [
            "",
            "\n",
            "[x]\n",
            "f [\n",
            "f []\n",
            "f ]\n",
            "ffffffff81001234 \n",
            "é [ü]",
        ] {
            let list = Traceable::parse(text.as_bytes().to_vec());
            assert!(
                list.iter().all(|function| !function.name.is_empty()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_patch_site_is_found_with_and_without_a_landing_pad() {
        let find = |bytes: [u8; 9]| PatchSite::find(Addr(0x1000), &bytes);
        let behind_pad = |site: [u8; 5]| {
            let mut bytes = [0xf3, 0x0f, 0x1e, 0xfa, 0, 0, 0, 0, 0];
            bytes[4..].copy_from_slice(&site);
            find(bytes)
        };
        let nop = [0x0f, 0x1f, 0x44, 0, 0];
        assert_eq!(behind_pad(nop), Some(PatchSite::Nop));
        assert_eq!(
            find([0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5]),
            Some(PatchSite::Nop)
        );
        assert_eq!(
            find([0x66, 0x0f, 0x1f, 0, 0x0f, 0x1f, 0x44, 0, 0]),
            Some(PatchSite::Nop)
        );
        assert_eq!(
            behind_pad([0xe8, 0xf7, 0xff, 0xff, 0xff]),
            Some(PatchSite::Call(Addr(0x1000)))
        );
        assert_eq!(
            behind_pad([0xe9, 0xf7, 0xff, 0xff, 0xff]),
            Some(PatchSite::Jump(Addr(0x1000)))
        );
        assert_eq!(
            behind_pad([0xcc, 0x1f, 0x44, 0, 0]),
            Some(PatchSite::Changing)
        );
        assert_eq!(behind_pad([0x55, 0x48, 0x89, 0xe5, 0x53]), None);
        assert_eq!(find([0xcc; 9]), None);
    }
}
