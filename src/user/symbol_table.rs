// SPDX-License-Identifier: BSD-2-Clause
//! A symbol table of an ELF file: `.symtab` or `.dynsym`. What it says is hostile.

use std::mem::size_of;

use object::LittleEndian;
use object::elf::{self, Sym64};
use object::pod::slice_from_bytes;

type E = LittleEndian;
const ENDIAN: E = LittleEndian;

/// Maximum length of a function's name, in bytes. Templates of C++ have names of kilobytes.
const MAX_NAME: usize = 4096;

/// A symbol table with its names.
#[derive(Debug)]
pub(super) struct SymbolTable {
    pub(super) symbols: Vec<u8>,
    pub(super) names: Vec<u8>,
}

/// A symbol of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct FunctionSymbol<'t> {
    pub(super) name: &'t str,
    /// Address as in the file; `None` if the function is imported from another file.
    pub(super) addr: Option<u64>,
    pub(super) size: u64,
    /// Whether the loader calls it to choose the function (`STT_GNU_IFUNC`).
    pub(super) is_resolver: bool,
}

impl SymbolTable {
    /// Returns the address of a variable or a function by its name.
    pub(super) fn addr_of(&self, name: &str) -> Option<u64> {
        let found = self.entries().iter().find(|symbol| {
            let start = symbol.st_name.get(ENDIAN) as usize;
            let is_defined = symbol.st_shndx.get(ENDIAN) != elf::SHN_UNDEF;
            let rest = self.names.get(start..).unwrap_or_default();
            let rest = rest.strip_prefix(name.as_bytes());
            is_defined && rest.is_some_and(|rest| rest.first() == Some(&0))
        });
        found.map(|symbol| symbol.st_value.get(ENDIAN))
    }

    fn entries(&self) -> &[Sym64<E>] {
        let n = self.symbols.len() / size_of::<Sym64<E>>();
        slice_from_bytes::<Sym64<E>>(&self.symbols, n)
            .map(|(symbols, _)| symbols)
            .unwrap_or_default()
    }

    /// Returns the symbols of functions. Symbols whose names have other characters than those that
    /// ASCII can print are left out: the names are printed.
    pub(super) fn functions(&self) -> impl Iterator<Item = FunctionSymbol<'_>> {
        self.entries().iter().filter_map(|symbol| {
            let kind = symbol.st_type();
            if kind != elf::STT_FUNC && kind != elf::STT_GNU_IFUNC {
                return None;
            }
            let name = self.names.get(symbol.st_name.get(ENDIAN) as usize..)?;
            // A table without ends of names must not be searched for each symbol.
            let name = &name[..name.len().min(MAX_NAME + 1)];
            let end = memchr::memchr(0, name)?;
            let name = str::from_utf8(&name[..end]).ok()?;
            let is_printable = name.bytes().all(|byte| byte.is_ascii_graphic());
            // In a full symbol table the version follows the name.
            let name = name.split('@').next().unwrap_or(name);
            let is_usable = is_printable && (1..=MAX_NAME).contains(&name.len());
            is_usable.then(|| FunctionSymbol {
                name,
                addr: (symbol.st_shndx.get(ENDIAN) != elf::SHN_UNDEF)
                    .then(|| symbol.st_value.get(ENDIAN)),
                size: symbol.st_size.get(ENDIAN),
                is_resolver: kind == elf::STT_GNU_IFUNC,
            })
        })
    }
}
