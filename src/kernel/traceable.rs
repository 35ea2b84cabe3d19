// SPDX-License-Identifier: BSD-2-Clause
//! Which functions ftrace can trace: parses `available_filter_functions` and
//! `available_filter_functions_addrs`, and the instructions at patch sites.
//!
//! [`super::facts::KernelFiles`] reads the files. Malformed lines are ignored, because a newer
//! kernel may add other lines.

use super::arch;
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

/// The instruction at a patch site. Compilers emit a call or NOPs, which the kernel replaces by NOPs
/// or by a call of its own.
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
    pub const REACH: usize = arch::PATCH_REACH;

    /// Maximum distance in bytes between a function's start and its patch site.
    pub const MAX_OFFSET: u64 = 16;

    /// Finds the patch site in the first bytes of the function at `addr`, after the landing pad for
    /// indirect calls if there is one; `None` if the function has no patch site.
    #[must_use]
    pub fn find(addr: Addr, bytes: &[u8; Self::REACH]) -> Option<Self> {
        arch::patch_site(addr, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Addr, Traceable, TraceableFunction};

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
}
