// SPDX-License-Identifier: BSD-2-Clause
//! A module that is not loaded yet: its file → functions, where in which section they lie, which
//! of them can be traced, their types.
//!
//! Nobody knows where the kernel will put it. So its sections are laid out in a range of addresses
//! that nothing else can have ([`Addr::STAND_INS`]), and everybody deals with those; what a kernel
//! reports of the module, once it is loaded, is translated (`session::Placement`).

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::env::consts::ARCH;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind,
};

use super::btf::Btf;
use super::facts::KernelFiles;
use super::images::{BuildId, module_path};
use crate::spec::{Addr, nearest};

/// Room for the sections of one module: more than any has.
const ROOM: u64 = 1 << 32;

/// Sections begin at a page, as their alignment asks for at most.
const PAGE: u64 = 4096;

/// How far behind a function's start ftrace patches it at most.
const MAX_PATCH_OFFSET: u64 = 16;

/// A module's file, understood.
#[derive(Clone, Debug)]
pub struct AbsentModule {
    /// Its name, as the kernel will have it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Of the file.
    pub build_id: Option<BuildId>,
    /// Its sections of code.
    pub sections: Vec<AbsentSection>,
    /// Its functions, ascending by address; several may have one address.
    pub functions: Vec<AbsentFunction>,
    /// Where ftrace will patch; `None` where the file does not tell.
    sites: Option<BTreeSet<u64>>,
    btf: Option<Vec<u8>>,
}

/// A section of code, where it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentSection {
    /// `.text`, `.init.text`.
    pub name: String,
    /// Its bytes.
    pub range: Range<u64>,
}

/// A function of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentFunction {
    /// Its name.
    pub name: String,
    /// Where it stands in.
    pub addr: Addr,
    /// Whether other files see it.
    pub is_global: bool,
}

/// Why there is nothing to wait for.
#[derive(Debug)]
pub enum NotAbsent {
    /// It is loaded.
    Loaded(String),
    /// It is a part of the kernel.
    BuiltIn(String),
    /// The running kernel has no module of this name; similar names.
    Unknown(String, Vec<String>),
    /// Its file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Its file is no module of this architecture.
    NoModule(PathBuf),
    /// Nothing in it is a function.
    NoFunctions(PathBuf),
}

impl fmt::Display for NotAbsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded(name) => write!(f, "module `{name}` is loaded already"),
            Self::BuiltIn(name) => write!(f, "`{name}` is built into this kernel"),
            Self::Unknown(name, similar) => {
                write!(f, "this kernel has no module `{name}`")?;
                if similar.is_empty() {
                    return Ok(());
                }
                write!(f, "; similar: {}", similar.join(", "))
            }
            Self::Unreadable(path, error) => {
                write!(f, "failed to read `{}`: {error}", path.display())
            }
            Self::NoModule(path) => {
                write!(
                    f,
                    "`{}` is no kernel module for this machine",
                    path.display()
                )
            }
            Self::NoFunctions(path) => {
                write!(f, "`{}` has no symbols of functions", path.display())
            }
        }
    }
}

impl Error for NotAbsent {}

impl AbsentModule {
    /// Looks for a module by name, or by the path of its file; `number` of those of this run.
    ///
    /// # Errors
    ///
    /// When there is none, or it is there already.
    pub fn find(
        files: &KernelFiles,
        release: &str,
        what: &str,
        number: u64,
    ) -> Result<Self, NotAbsent> {
        if what.contains('/') {
            let module = Self::open(Path::new(what), number)?;
            return if is_loaded(files, &module.name) {
                Err(NotAbsent::Loaded(module.name))
            } else {
                Ok(module)
            };
        }
        let name = what.replace('-', "_");
        if is_loaded(files, &name) {
            return Err(NotAbsent::Loaded(name));
        }
        let root = files.path("");
        let Some(relative) = module_path(&root, release, &name) else {
            return Err(not_there(&root.join("lib/modules").join(release), name));
        };
        let path = root.join("lib/modules").join(release).join(relative);
        let module = Self::open(&file::existing(&path).unwrap_or(path), number)?;
        Ok(Self { name, ..module })
    }

    fn open(path: &Path, number: u64) -> Result<Self, NotAbsent> {
        let bytes = file::read(path);
        let bytes = bytes.map_err(|error| NotAbsent::Unreadable(path.to_owned(), error))?;
        Self::parse(&bytes, path, number)
    }

    /// Understands the bytes of a module's file.
    ///
    /// # Errors
    ///
    /// When they are none.
    pub fn parse(bytes: &[u8], path: &Path, number: u64) -> Result<Self, NotAbsent> {
        let no_module = || NotAbsent::NoModule(path.to_owned());
        let elf = Elf::parse(bytes).map_err(|_| no_module())?;
        let is_ours = object::File::parse(bytes).is_ok_and(|file| is_ours(&file));
        let name = module_name(&elf)
            .filter(|_| is_ours)
            .ok_or_else(no_module)?;
        let mut placed = Placed::new(number);
        let mut functions: Vec<AbsentFunction> = elf
            .symbols()
            .filter_map(|symbol| function(&elf, &symbol, &mut placed))
            .collect();
        if functions.is_empty() {
            return Err(NotAbsent::NoFunctions(path.to_owned()));
        }
        // `foo_init` before its alias `init_module`.
        functions.sort_by_key(|function| (function.addr, function.is_global));
        let sites = sites(&elf, &mut placed);
        // Types that do not continue the kernel's own cannot be told from here.
        let is_of_kernel = elf.section_by_name(".BTF.base").is_none();
        let btf = elf.section_by_name(".BTF").filter(|_| is_of_kernel);
        Ok(Self {
            name,
            path: path.to_owned(),
            build_id: elf.build_id().ok().flatten().map(|id| BuildId(id.to_vec())),
            sections: placed.sections,
            functions,
            sites,
            btf: btf.and_then(|section| Some(section.data().ok()?.to_vec())),
        })
    }

    /// Its types, on top of the kernel's.
    #[must_use]
    pub fn btf(&self, kernel: &Arc<Btf>) -> Option<Btf> {
        Btf::parse(self.btf.clone()?, Some(Arc::clone(kernel))).ok()
    }

    /// Whether ftrace will know a function; yes where the file does not tell.
    #[must_use]
    pub fn is_traceable(&self, addr: Addr) -> bool {
        self.sites.as_ref().is_none_or(|sites| {
            sites
                .range(addr.0..addr.0 + MAX_PATCH_OFFSET)
                .next()
                .is_some()
        })
    }

    /// Whether an address stands for one in this module.
    #[must_use]
    pub fn contains(&self, addr: Addr) -> bool {
        self.sections
            .iter()
            .any(|section| section.range.contains(&addr.0))
    }
}

type Elf<'a> = ElfFile64<'a, Endianness>;

fn is_ours(file: &object::File<'_>) -> bool {
    let machine = match file.architecture() {
        object::Architecture::X86_64 => "x86_64",
        object::Architecture::Aarch64 => "aarch64",
        _ => return false,
    };
    file.is_little_endian() && machine == ARCH
}

/// `name=` of `.modinfo`: what the kernel goes by.
fn module_name(elf: &Elf<'_>) -> Option<String> {
    let info = elf.section_by_name(".modinfo")?.data().ok()?;
    let mut entries = info.split(|byte| *byte == 0);
    let name = entries.find_map(|entry| entry.strip_prefix(b"name="))?;
    let is_name = |name: &&str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && name.len() < 64 && name.bytes().all(is_part)
    };
    str::from_utf8(name).ok().filter(is_name).map(str::to_owned)
}

/// Sections as they are laid out.
struct Placed {
    next: u64,
    end: u64,
    sections: Vec<AbsentSection>,
    /// Their places by their numbers in the file; `None`: it is no code.
    known: HashMap<usize, Option<usize>>,
}

impl Placed {
    fn new(number: u64) -> Self {
        let start = Addr::STAND_INS.start + number * ROOM;
        Self {
            next: start,
            end: start + ROOM,
            sections: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Where an offset of a section stands in; `None` where that is no code.
    fn place(&mut self, elf: &Elf<'_>, section: object::SectionIndex, offset: u64) -> Option<u64> {
        // Files may have a section for each function.
        let known = match self.known.get(&section.0) {
            Some(known) => *known,
            None => {
                let added = self.add(elf, section);
                self.known.insert(section.0, added);
                added
            }
        };
        let range = &self.sections.get(known?)?.range;
        let addr = range.start.checked_add(offset)?;
        range.contains(&addr).then_some(addr)
    }

    /// Its place among the sections.
    fn add(&mut self, elf: &Elf<'_>, index: object::SectionIndex) -> Option<usize> {
        let section = elf.section_by_index(index).ok()?;
        let range = self.next..self.next.checked_add(section.size())?;
        let is_code = section.kind() == SectionKind::Text;
        if !is_code || range.is_empty() || range.end > self.end {
            return None;
        }
        self.next = range.end.next_multiple_of(PAGE);
        let name = section.name().ok()?.to_owned();
        self.sections.push(AbsentSection { name, range });
        Some(self.sections.len() - 1)
    }
}

fn function(
    elf: &Elf<'_>,
    symbol: &ElfSymbol64<'_, '_, Endianness>,
    placed: &mut Placed,
) -> Option<AbsentFunction> {
    let name = symbol.name().ok()?;
    // Others would mean something where probes are made.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    let is_name = !name.is_empty() && name.bytes().all(is_part);
    if symbol.kind() != SymbolKind::Text || !is_name {
        return None;
    }
    let addr = placed.place(elf, symbol.section_index()?, symbol.address())?;
    Some(AbsentFunction {
        name: name.to_owned(),
        addr: Addr(addr),
        is_global: symbol.is_global(),
    })
}

/// Where ftrace will patch: what the relocations of its table point to.
fn sites(elf: &Elf<'_>, placed: &mut Placed) -> Option<BTreeSet<u64>> {
    let table = elf.section_by_name("__mcount_loc")?;
    let sites = table.relocations().filter_map(|(_, relocation)| {
        let (section, value) = match relocation.target() {
            RelocationTarget::Section(section) => (section, 0),
            RelocationTarget::Symbol(symbol) => {
                let symbol = elf.symbol_by_index(symbol).ok()?;
                (symbol.section_index()?, symbol.address())
            }
            _ => return None,
        };
        let offset = value.checked_add_signed(relocation.addend())?;
        placed.place(elf, section, offset)
    });
    Some(sites.collect())
}

fn is_loaded(files: &KernelFiles, name: &str) -> bool {
    // What is built in may have a directory, but no state.
    let state = files.path("sys/module").join(name).join("initstate");
    state.exists()
}

fn not_there(modules: &Path, name: String) -> NotAbsent {
    let read = |list: &str| fs::read_to_string(modules.join(list)).unwrap_or_default();
    let named = |list: &str| -> Vec<String> { list.lines().filter_map(name_of_path).collect() };
    if named(&read("modules.builtin")).contains(&name) {
        return NotAbsent::BuiltIn(name);
    }
    let all = named(&read("modules.dep"));
    let similar = nearest(&name, all.iter().map(String::as_str), 3);
    let similar = similar.into_iter().map(str::to_owned).collect();
    NotAbsent::Unknown(name, similar)
}

/// `kernel/fs/xfs/xfs.ko: …`: `xfs`.
fn name_of_path(line: &str) -> Option<String> {
    let path = line.split(':').next()?;
    let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
    Some(file.split(".ko").next()?.replace('-', "_"))
}
