// SPDX-License-Identifier: BSD-2-Clause
//! Names of functions of a Go program, from the table that its runtime needs (`.gopclntab`): stripping
//! does not remove it.
//!
//! Layouts of Go 1.16, 1.18 and 1.20 (`src/debug/gosym/pclntab.go`). Tables of older versions are left
//! out, and those of programs for big-endian machines.

use super::elf::{BadElf, UserElf};

/// Names of the section. In a position-independent program it is among the relocated data.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];

/// Maximum size of the table, in bytes. That of kubelet has 30 MiB.
const MAX_TABLE: u64 = 256 << 20;

/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 4096;

/// The first word of the table.
const GO_1_16: u32 = 0xffff_fffa;
const GO_1_18: u32 = 0xffff_fff0;
const GO_1_20: u32 = 0xffff_fff1;

/// Size of a pointer, which the header tells, too.
const POINTER: usize = 8;

/// A function in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoFunction {
    pub(super) name: String,
    /// Its address as in the file.
    pub(super) addr: u64,
    /// Size in bytes; 0 if unknown.
    pub(super) size: u64,
}

/// Whether the file is a Go program.
pub(super) fn is_go(elf: &UserElf<'_>) -> bool {
    let sections = [".note.go.buildid", ".go.buildinfo"];
    let mut sections = SECTIONS.iter().chain(&sections);
    sections.any(|name| elf.has_section(name))
}

/// Reads the functions of a Go program. What is damaged is missing.
pub(super) fn go_functions(elf: &UserElf<'_>) -> Result<Vec<GoFunction>, BadElf> {
    for name in SECTIONS {
        if let Some(table) = elf.section(name, MAX_TABLE)? {
            // The linker leaves the start of the code to relocations in programs that need them.
            let text = elf.section_range(".text").map_or(0, |(addr, _)| addr);
            return functions_of(&table, text, elf.max_derived_bytes());
        }
    }
    Ok(Vec::new())
}

/// The parts of a table.
struct Table<'t> {
    names: &'t [u8],
    /// The index, which the descriptions of functions follow.
    functions: &'t [u8],
    n_functions: usize,
    /// Size of each of the two numbers of an entry, in bytes.
    width: usize,
    /// What addresses are relative to.
    start: u64,
}

fn functions_of(table: &[u8], text: u64, most: u64) -> Result<Vec<GoFunction>, BadElf> {
    let Some(table) = Table::read(table, text) else {
        return Ok(Vec::new());
    };
    let mut functions = Vec::new();
    let mut n_name_bytes = 0;
    for number in 0..table.n_functions {
        let Some(function) = table.function(number) else {
            continue;
        };
        n_name_bytes += function.name.len() as u64;
        if n_name_bytes > most {
            let why = "the names of its functions are larger than it";
            return Err(BadElf::Malformed(why));
        }
        functions.push(function);
    }
    Ok(functions)
}

impl<'t> Table<'t> {
    fn read(table: &'t [u8], text: u64) -> Option<Self> {
        let magic = number(table, 0, 4)? as u32;
        if table.get(7).copied().map(usize::from) != Some(POINTER) {
            return None;
        }
        let word = |index: usize| number(table, 8 + index * POINTER, POINTER);
        let part = |index| table.get(usize::try_from(word(index)?).ok()?..);
        let (names, functions, width, start) = match magic {
            GO_1_16 => (part(2)?, part(6)?, POINTER, 0),
            GO_1_18 | GO_1_20 => {
                let start = word(2).filter(|start| *start != 0).unwrap_or(text);
                (part(3)?, part(7)?, 4, start)
            }
            _ => return None,
        };
        // The index ends with the address behind the last function.
        let room = functions.len().saturating_sub(width) / (2 * width);
        let n_functions = usize::try_from(word(0)?).ok()?.min(room);
        Some(Self {
            names,
            functions,
            n_functions,
            width,
            start,
        })
    }

    fn function(&self, index: usize) -> Option<GoFunction> {
        let entry = 2 * self.width * index;
        let at = |offset| number(self.functions, offset, self.width);
        let (addr, end) = (at(entry)?, at(entry + 2 * self.width)?);
        let description = usize::try_from(at(entry + self.width)?).ok()?;
        // The address stands there again before the name.
        let name = number(self.functions, description.checked_add(self.width)?, 4)?;
        let name = self.names.get(usize::try_from(name).ok()?..)?;
        let name = &name[..name.len().min(MAX_NAME + 1)];
        let name = &name[..memchr::memchr(0, name)?];
        let is_printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let name = str::from_utf8(name).ok().filter(|_| is_printable)?;
        Some(GoFunction {
            name: name.to_owned(),
            addr: self.start.wrapping_add(addr),
            size: end.saturating_sub(addr),
        })
    }
}

/// Returns a number of 4 or 8 bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    let mut word = [0; 8];
    word.get_mut(..width)?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::{GO_1_16, GO_1_18, GO_1_20, GoFunction, functions_of};

    const NAMES: [&str; 2] = ["main.main", "net/http.(*Client).Do"];
    const TEXT: u64 = 0x40_1000;

    /// A table with two functions of 16 and 32 bytes.
    fn forged(magic: u32, start: u64) -> Vec<u8> {
        let is_old = magic == GO_1_16;
        let width = if is_old { 8 } else { 4 };
        let word = |number: u64| number.to_le_bytes();
        let names: Vec<u8> = NAMES
            .iter()
            .flat_map(|name| [name.as_bytes(), b"\0"].concat())
            .collect();
        let header = 8 + 8 * if is_old { 7 } else { 8 };
        let functions = header + names.len();
        let mut table = magic.to_le_bytes().to_vec();
        table.extend([0, 0, 1, 8]);
        table.extend([word(2), word(0)].concat());
        if !is_old {
            table.extend(word(start));
        }
        table.extend(
            [header as u64, 0, 0, 0, functions as u64]
                .map(word)
                .concat(),
        );
        assert_eq!(table.len(), header);
        table.extend(&names);
        let base = if is_old { TEXT } else { 0 };
        let index = 5 * width as u64;
        let description = width as u64 + 4;
        let numbers = [base, index, base + 16, index + description, base + 48];
        let put = |table: &mut Vec<u8>, number: u64| table.extend(&word(number)[..width]);
        numbers.iter().for_each(|number| put(&mut table, *number));
        for (addr, name) in [(base, 0_u32), (base + 16, NAMES[0].len() as u32 + 1)] {
            put(&mut table, addr);
            table.extend(name.to_le_bytes());
        }
        table
    }

    fn expected() -> [GoFunction; 2] {
        let function = |number: usize, addr, size| GoFunction {
            name: NAMES[number].to_owned(),
            addr,
            size,
        };
        [function(0, TEXT, 16), function(1, TEXT + 16, 32)]
    }

    #[test]
    fn tables_of_all_layouts_are_read() {
        for magic in [GO_1_16, GO_1_18, GO_1_20] {
            let found = functions_of(&forged(magic, TEXT), 0, 1000).unwrap();
            assert_eq!(found, expected(), "{magic:#x}");
        }
        // Where only a relocation has it, the code starts at its section.
        let found = functions_of(&forged(GO_1_20, 0), TEXT, 1000).unwrap();
        assert_eq!(found, expected());
        assert_eq!(
            functions_of(&forged(0xffff_fffb, TEXT), 0, 1000).unwrap(),
            []
        );
    }

    #[test]
    fn damage_costs_functions_and_nothing_else() {
        for magic in [GO_1_16, GO_1_20] {
            let whole = forged(magic, TEXT);
            for end in 0..whole.len() {
                let _ = functions_of(&whole[..end], 0, 1000);
                for byte in [0, 0x7f, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[end] = byte;
                    let found = functions_of(&damaged, 0, 1000).unwrap();
                    assert!(found.len() <= whole.len() / 8);
                }
            }
        }
        // Many functions that share a long name.
        assert!(functions_of(&forged(GO_1_20, TEXT), 0, 10).is_err());
    }
}
