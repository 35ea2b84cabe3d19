// SPDX-License-Identifier: BSD-2-Clause
//! Reads the file of a module that is not loaded yet: its functions, their sections, which of them
//! can be traced, and their types.
//!
//! The load address is not known yet. The sections are therefore laid out at placeholders, and all
//! code uses those. What the kernel reports about the module once it is loaded is translated
//! (`session::Placement`).

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
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

use super::arch;
use super::btf::Btf;
use super::facts::KernelFiles;
use super::images::{BuildId, module_path};
use super::traceable::PatchSite;
use crate::spec::{Placeholder, nearest};

/// Section alignment in bytes. It is a page because no section needs more.
const PAGE: u64 = 4096;

/// The parsed file of a module.
#[derive(Clone, Debug)]
pub struct AbsentModule {
    /// Name of the module in the kernel.
    pub name: String,
    /// Path of the file.
    pub path: PathBuf,
    /// Build id of the file; `None` if it has none.
    pub build_id: Option<BuildId>,
    /// The code sections.
    pub sections: Vec<AbsentSection>,
    /// The functions, sorted by address. Several may have the same address.
    pub functions: Vec<AbsentFunction>,
    /// The patch sites; `None` if the file does not list them.
    sites: Option<BTreeSet<Placeholder>>,
    btf: Option<Vec<u8>>,
}

/// A code section at its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentSection {
    /// Name, such as `.text` or `.init.text`.
    pub name: String,
    /// The placeholders of its bytes.
    pub range: Range<Placeholder>,
}

/// A function of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentFunction {
    /// Name of its symbol.
    pub name: String,
    /// Its address until the module is loaded.
    pub placeholder: Placeholder,
    /// Whether its symbol is global.
    pub is_global: bool,
}

/// Why a module cannot be traced when it is loaded.
#[derive(Debug)]
pub enum NotAbsent {
    /// It is already loaded.
    Loaded(String),
    /// It is built into the kernel.
    BuiltIn(String),
    /// The running kernel has no module of this name; similar names.
    Unknown(String, Vec<String>),
    /// Its file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Its file is not a module of this architecture.
    NoModule(PathBuf),
    /// Its file has no function symbols.
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
    /// Finds a module by name, or by path if `what` contains a slash. `number` is the index among
    /// the modules of this run, and determines the placeholders.
    ///
    /// # Errors
    ///
    /// When there is no such module, when it is built in or already loaded, or when its file cannot
    /// be used.
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

    /// Parses the bytes of a module's file. `number` is as for [`Self::find`].
    ///
    /// # Errors
    ///
    /// When the bytes are not a module of this architecture, or have no functions.
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
        // Sorts `foo_init` before its alias `init_module`.
        functions.sort_by_key(|function| (function.placeholder, function.is_global));
        let sites = sites(&elf, &mut placed);
        // Types with a base of their own cannot be resolved without the kernel's translation.
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

    /// The module's types, based on those of the kernel; `None` if there are none or if they are
    /// malformed.
    #[must_use]
    pub fn btf(&self, kernel: &Arc<Btf>) -> Option<Btf> {
        Btf::parse(self.btf.clone()?, Some(Arc::clone(kernel))).ok()
    }

    /// Whether ftrace will be able to trace a function. True if the file does not list its patch
    /// sites.
    #[must_use]
    pub fn is_traceable(&self, function: Placeholder) -> bool {
        self.sites.as_ref().is_none_or(|sites| {
            let end = function.checked_add(PatchSite::MAX_OFFSET);
            end.is_some_and(|end| sites.range(function..end).next().is_some())
        })
    }

    /// Whether this is a placeholder of this module.
    #[must_use]
    pub fn contains(&self, placeholder: Placeholder) -> bool {
        self.sections
            .iter()
            .any(|section| section.range.contains(&placeholder))
    }
}

type Elf<'a> = ElfFile64<'a, Endianness>;

fn is_ours(file: &object::File<'_>) -> bool {
    file.is_little_endian() && file.architecture() == arch::ARCHITECTURE
}

/// The value of `name=` in `.modinfo`, which is the name that the kernel uses.
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

/// Lays out sections at placeholders.
struct Placed {
    next: Placeholder,
    end: Placeholder,
    sections: Vec<AbsentSection>,
    /// Index in `sections` by section number of the file; `None` if the section is not code.
    known: HashMap<usize, Option<usize>>,
}

impl Placed {
    fn new(number: u64) -> Self {
        let placeholders = Placeholder::of_module(number);
        Self {
            next: placeholders.start,
            end: placeholders.end,
            sections: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Returns the placeholder of an offset in a section; `None` if the section is not code.
    fn place(
        &mut self,
        elf: &Elf<'_>,
        section: object::SectionIndex,
        offset: u64,
    ) -> Option<Placeholder> {
        // A cache is needed because a file may have one section per function.
        let known = match self.known.get(&section.0) {
            Some(known) => *known,
            None => {
                let added = self.add(elf, section);
                self.known.insert(section.0, added);
                added
            }
        };
        let range = &self.sections.get(known?)?.range;
        let placeholder = range.start.checked_add(offset)?;
        range.contains(&placeholder).then_some(placeholder)
    }

    /// Lays out a section and returns its index in `sections`.
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
    // Other characters could have a meaning where probes are created by name.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    let is_name = !name.is_empty() && name.bytes().all(is_part);
    if symbol.kind() != SymbolKind::Text || !is_name {
        return None;
    }
    let placeholder = placed.place(elf, symbol.section_index()?, symbol.address())?;
    Some(AbsentFunction {
        name: name.to_owned(),
        placeholder,
        is_global: symbol.is_global(),
    })
}

/// Returns the patch sites: the targets of the relocations of `__mcount_loc`.
fn sites(elf: &Elf<'_>, placed: &mut Placed) -> Option<BTreeSet<Placeholder>> {
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
    // Built-in code may have a directory there, but has no state.
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

/// Extracts the module name from a path: `xfs` for `kernel/fs/xfs/xfs.ko: …`.
fn name_of_path(line: &str) -> Option<String> {
    let path = line.split(':').next()?;
    let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
    Some(file.split(".ko").next()?.replace('-', "_"))
}
