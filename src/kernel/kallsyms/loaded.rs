// SPDX-License-Identifier: BSD-2-Clause
//! Reads the symbols of loaded code from the kernel's memory: modules, BPF programs, trampolines.
//!
//! The lists are walked without the kernel's locks while the kernel may change them, so that
//! entries may be freed or incomplete. Every number is therefore bounded, and every name is
//! checked. Malformed data ends the walk with an error, and the caller then reads `/proc/kallsyms`.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use super::parse::{self, rank};
use super::{Kallsyms, SymbolEntry};
use crate::kernel::absent::AbsentModule;
use crate::kernel::btf::Btf;
use crate::kernel::kcore::Kcore;
use crate::spec::Addr;

/// `MODULE_STATE_UNFORMED` of `enum module_state`: the memory of the module is not set up yet.
const MODULE_STATE_UNFORMED: u32 = 3;

/// Maximum number of modules. Machines have some hundred.
const MAX_MODULES: usize = 1 << 13;

/// Maximum number of symbols of a module. The largest modules have some ten thousand.
const MAX_MODULE_SYMBOLS: u32 = 1 << 20;

/// Maximum number of BPF programs, their functions, and trampolines.
const MAX_PROGRAMS: usize = 1 << 17;

/// `MODULE_NAME_LEN` and `KSYM_NAME_LEN` of the kernel.
const MODULE_NAME: usize = 56;
const MAX_NAME: usize = 512;

/// Size in bytes of `Elf64_Sym`: name (4), info, other, section (2), value (8), size (8).
const ELF_SYMBOL: usize = 24;
const LIST_HEAD: usize = 16;

/// Offsets in bytes of members of the kernel's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedLayout {
    module_list: u64,
    module_name: u64,
    module_state: u64,
    module_kallsyms: u64,
    symtab: u64,
    num_symtab: u64,
    strtab: u64,
    typetab: u64,
    ksym_start: u64,
    ksym_end: u64,
    ksym_name: u64,
    ksym_list: u64,
}

impl LoadedLayout {
    /// Reads the offsets from the kernel's types; `None` if a structure or member is missing.
    #[must_use]
    pub fn of(btf: &Btf) -> Option<Self> {
        let module = ["list", "name", "state", "kallsyms"];
        let kallsyms = ["symtab", "num_symtab", "strtab", "typetab"];
        let program = ["start", "end", "name", "lnode"];
        let [module_list, module_name, module_state, module_kallsyms] =
            btf.member_offsets("module", module)?.map(u64::from);
        let [symtab, num_symtab, strtab, typetab] =
            btf.member_offsets("mod_kallsyms", kallsyms)?.map(u64::from);
        let [ksym_start, ksym_end, ksym_name, ksym_list] =
            btf.member_offsets("bpf_ksym", program)?.map(u64::from);
        Some(Self {
            module_list,
            module_name,
            module_state,
            module_kallsyms,
            symtab,
            num_symtab,
            strtab,
            typetab,
            ksym_start,
            ksym_end,
            ksym_name,
            ksym_list,
        })
    }
}

impl Kallsyms {
    /// Returns the kernel's own symbols of `self`, with those of what is loaded now. Symbols of
    /// previously loaded code are dropped.
    ///
    /// # Errors
    ///
    /// When the lists are not where they should be, or when they changed during the walk.
    pub fn with_loaded(&self, kcore: &Kcore, layout: &LoadedLayout) -> Result<Self> {
        let kernel = |entry: &&SymbolEntry| (entry.name as usize) < self.kernel_text_len;
        let of_kernel = Self {
            text: self.text[..self.kernel_text_len].to_owned(),
            entries: self.entries.iter().filter(kernel).copied().collect(),
            kernel_text_len: self.kernel_text_len,
            steps: OnceLock::new(),
        };
        of_kernel.add_loaded(kcore, layout)
    }

    /// Adds the functions of modules that are not loaded yet, at their placeholders.
    ///
    /// # Errors
    ///
    /// When the names do not fit into 4 GiB, or when a name is longer than 64 KiB.
    pub fn with_absent(mut self, modules: &[AbsentModule]) -> Result<Self> {
        let mut loaded = LoadedSymbols {
            text: self.text,
            entries: self.entries,
        };
        for module in modules {
            for function in &module.functions {
                // All have the same type letter, so that the first one at an address is preferred.
                let name = function.name.as_bytes();
                loaded.add(function.placeholder.addr().0, b't', name, &module.name)?;
            }
            // This marker ends the last function of the section.
            for section in &module.sections {
                loaded.add(
                    section.range.end.addr().0,
                    b'd',
                    section.name.as_bytes(),
                    &module.name,
                )?;
            }
        }
        parse::sort(&mut loaded.entries);
        self.text = loaded.text;
        self.entries = loaded.entries;
        Ok(self)
    }

    /// Adds the symbols of what the kernel has loaded to those of the kernel itself.
    ///
    /// # Errors
    ///
    /// As [`Kallsyms::with_loaded`].
    pub fn add_loaded(mut self, kcore: &Kcore, layout: &LoadedLayout) -> Result<Self> {
        let memory = Memory { kcore, layout };
        let list = |name: &str| {
            let symbol = self.named(name).next();
            symbol.with_context(|| format!("no symbol `{name}`"))
        };
        let modules = list("modules")?.addr;
        let programs = list("bpf_kallsyms").ok().map(|list| list.addr);
        let mut loaded = LoadedSymbols {
            text: self.text,
            entries: self.entries,
        };
        memory.add_modules(modules, &mut loaded)?;
        if let Some(programs) = programs {
            memory.add_programs(programs, &mut loaded)?;
        }
        parse::sort(&mut loaded.entries);
        self.text = loaded.text;
        self.entries = loaded.entries;
        // The old steps do not cover the new entries.
        self.steps = OnceLock::new();
        Ok(self)
    }
}

/// The text and the entries that are being built.
struct LoadedSymbols {
    text: String,
    entries: Vec<SymbolEntry>,
}

impl LoadedSymbols {
    /// Adds a symbol as `/proc/kallsyms` prints it: `name<tab>[module]`.
    fn add(&mut self, addr: u64, kind: u8, name: &[u8], module: &str) -> Result<()> {
        let is_name = name.iter().all(u8::is_ascii_graphic);
        let (true, Ok(name)) = (is_name, str::from_utf8(name)) else {
            return Ok(());
        };
        self.entries.push(SymbolEntry {
            addr,
            name: u32::try_from(self.text.len() + 1)?,
            name_len: u16::try_from(name.len())?,
            kind,
            rank: rank(kind, name),
        });
        for piece in [" ", name, "\t[", module, "]\n"] {
            self.text.push_str(piece);
        }
        Ok(())
    }
}

struct Memory<'a> {
    kcore: &'a Kcore,
    layout: &'a LoadedLayout,
}

impl Memory<'_> {
    fn bytes<const N: usize>(&self, addr: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.kcore
            .read(Addr(addr), &mut bytes)
            .context("failed to read the kernel's lists")?;
        Ok(bytes)
    }

    fn pointer(&self, addr: u64) -> Result<u64> {
        self.bytes(addr).map(u64::from_le_bytes)
    }

    fn many(&self, addr: u64, len: usize) -> Result<Vec<u8>> {
        let bytes = self.kcore.bytes(Addr(addr), len);
        bytes.context("failed to read the kernel's lists")
    }

    /// Returns the nodes of a list. Each must link back to the node before it.
    fn list(&self, head: u64, max: usize) -> Result<Vec<u64>> {
        let mut nodes = Vec::new();
        let mut before = head;
        let mut node = self.pointer(head)?;
        while node != head {
            let [next, back] = words(&self.bytes::<LIST_HEAD>(node)?);
            ensure!(
                back == before && nodes.len() < max,
                "a list of the kernel changed meanwhile"
            );
            nodes.push(node);
            (before, node) = (node, next);
        }
        Ok(nodes)
    }

    fn add_modules(&self, head: Addr, loaded: &mut LoadedSymbols) -> Result<()> {
        for node in self.list(head.0, MAX_MODULES)? {
            let module = node.wrapping_sub(self.layout.module_list);
            let state = self.bytes(module.wrapping_add(self.layout.module_state))?;
            if u32::from_le_bytes(state) == MODULE_STATE_UNFORMED {
                continue;
            }
            let name: [u8; MODULE_NAME] =
                self.bytes(module.wrapping_add(self.layout.module_name))?;
            let name = until_nul(&name);
            let is_name = |name: &&str| {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                !name.is_empty() && name.bytes().all(is_part)
            };
            let name = str::from_utf8(name).ok().filter(is_name);
            let name = name.context("a module without a name")?;
            let kallsyms = self.pointer(module.wrapping_add(self.layout.module_kallsyms))?;
            if kallsyms != 0 {
                self.add_module(kallsyms, name, loaded)
                    .with_context(|| format!("the symbols of module `{name}`"))?;
            }
        }
        Ok(())
    }

    fn add_module(&self, kallsyms: u64, module: &str, loaded: &mut LoadedSymbols) -> Result<()> {
        let layout = self.layout;
        let count = u32::from_le_bytes(self.bytes(kallsyms.wrapping_add(layout.num_symtab))?);
        ensure!(count <= MAX_MODULE_SYMBOLS, "{count} symbols");
        let count = count as usize;
        let table = |member: u64| self.pointer(kallsyms.wrapping_add(member));
        let symbols = self.many(table(layout.symtab)?, ELF_SYMBOL * count)?;
        let kinds = self.many(table(layout.typetab)?, count)?;
        let symbols = symbols.as_chunks::<ELF_SYMBOL>().0;
        let name_of = |symbol: &[u8; ELF_SYMBOL]| {
            u32::from_le_bytes([symbol[0], symbol[1], symbol[2], symbol[3]]) as usize
        };
        let last_name = symbols.iter().map(name_of).max().unwrap_or_default();
        ensure!(last_name <= count * MAX_NAME, "names lie apart");
        let names = self.many(table(layout.strtab)?, last_name + MAX_NAME)?;
        for (symbol, &kind) in symbols.iter().zip(&kinds) {
            let name = until_nul(names.get(name_of(symbol)..).unwrap_or_default());
            let [_, value, _] = words::<3>(symbol);
            if !name.is_empty() && kind.is_ascii_graphic() {
                loaded.add(value, kind, name, module)?;
            }
        }
        Ok(())
    }

    fn add_programs(&self, head: Addr, loaded: &mut LoadedSymbols) -> Result<()> {
        for node in self.list(head.0, MAX_PROGRAMS)? {
            let ksym = node.wrapping_sub(self.layout.ksym_list);
            let start = self.pointer(ksym.wrapping_add(self.layout.ksym_start))?;
            let end = self.pointer(ksym.wrapping_add(self.layout.ksym_end))?;
            ensure!(start < end, "a BPF program without text");
            let name: [u8; MAX_NAME] = self.bytes(ksym.wrapping_add(self.layout.ksym_name))?;
            loaded.add(start, b't', until_nul(&name), "bpf")?;
        }
        Ok(())
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Reads the first `N` little-endian words.
fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}
