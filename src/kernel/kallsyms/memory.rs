// SPDX-License-Identifier: BSD-2-Clause
//! Reads the kernel's own symbol tables from its memory.
//!
//! For `/proc/kallsyms` the kernel uncompresses and prints every symbol, which takes longer than
//! the rest of a start. The tables are in its read-only data. Since 6.0 (5fd8fea935a1, "vmcoreinfo:
//! include kallsyms symbols") the note VMCOREINFO has their addresses. The result is checked
//! against symbols that the same note contains. If the tables have another format, they are
//! refused, and the caller reads the symbols as text.

use std::mem;

use anyhow::{Context, Result, bail, ensure};

use super::parse::{self, rank};
use super::{Kallsyms, SymbolEntry};
use crate::kernel::arch::PAGE_TABLE;
use crate::kernel::kcore::Kcore;
use crate::spec::Addr;

/// Maximum number of symbols, ten times that of kernels.
const MAX_SYMBOLS: usize = 4 << 20;

/// Maximum size of a table in bytes. The names of a kernel with some hundred thousand symbols take
/// a few MiB.
const MAX_TABLE: u64 = 256 << 20;

const N_TOKENS: usize = 256;

/// Size of an offset in bytes.
const OFFSET_SIZE: usize = 4;

/// Bytes to reserve per name. The reservation for all names is never used up. Reserved memory that
/// is not used costs nothing.
const LONG_NAME: usize = 48;

/// Symbols that the note contains too.
const ANCHORS: [&str; 3] = ["_stext", "init_uts_ns", PAGE_TABLE];

impl Kallsyms {
    /// Reads the symbols of the kernel itself, without modules.
    ///
    /// # Errors
    ///
    /// When the kernel does not give the addresses of its tables (before 6.0, 5fd8fea935a1), or
    /// when they have an unknown format.
    pub fn of_memory(kcore: &Kcore) -> Result<Self> {
        let tables = SymbolTables::read(kcore)?;
        let mut symbols = Self::decode(&tables)?;
        for anchor in ANCHORS {
            let Some(expected) = kcore.symbol(anchor) else {
                continue;
            };
            ensure!(
                symbols.is_named(expected, anchor),
                "the kernel's symbol table is of an unknown form: `{anchor}` is not where it is"
            );
        }
        symbols.kernel_text_len = symbols.text.len();
        Ok(symbols)
    }

    fn is_named(&self, addr: Addr, name: &str) -> bool {
        let first = self.entries.partition_point(|entry| entry.addr < addr.0);
        let here = self.entries[first..].iter();
        here.take_while(|entry| entry.addr == addr.0)
            .any(|&entry| self.name(entry) == name)
    }

    fn decode(tables: &SymbolTables) -> Result<Self> {
        let tokens = tables.tokens()?;
        let count = tables.offsets.len() / OFFSET_SIZE;
        let mut text = TextBuffer::with_capacity(count * LONG_NAME);
        let mut entries = Vec::with_capacity(count);
        let mut at = 0;
        for addr in tables.addresses() {
            let (len, start) = tables.name_len(at).context("the names are cut short")?;
            let packed = tables.names.get(start..start + len);
            let packed = packed.context("the names are cut short")?;
            at = start + len;
            let begin = text.len();
            text.push_tokens(packed, &tokens);
            let name_len = text.len().saturating_sub(begin + 1);
            if name_len == 0 {
                bail!("a symbol without a name");
            }
            // The first letter is the type. It is replaced by a blank, as in the file.
            let kind = text.replace(begin, b' ');
            text.push_bytes(b"\n");
            entries.push(SymbolEntry {
                addr,
                name: u32::try_from(begin + 1)?,
                name_len: u16::try_from(name_len)?,
                kind,
                rank: 0,
            });
        }
        let text = text.into_string();
        for entry in &mut entries {
            let name = entry.name as usize..entry.name as usize + usize::from(entry.name_len);
            entry.rank = rank(entry.kind, &text[name]);
        }
        parse::sort(&mut entries);
        Ok(Self::from_parts(text, entries))
    }
}

/// The tables as they are in memory.
struct SymbolTables {
    names: Vec<u8>,
    offsets: Vec<u8>,
    token_table: Vec<u8>,
    token_index: Vec<u16>,
    base: Base,
}

/// The base of the offsets.
#[derive(Clone, Copy)]
enum Base {
    /// All offsets have one base. If there are negative offsets, these are relative to the base and
    /// the others are absolute: `CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, before 6.15 (01157ddc58dc,
    /// "kallsyms: Remove `KALLSYMS_ABSOLUTE_PERCPU`"). Otherwise all are relative to the base.
    One(u64),
    /// Each offset is relative to its own address. The value is the address of the table. Since 7.0
    /// (a081b5789255, "kallsyms: Get rid of kallsyms relative base").
    Own(u64),
}

impl SymbolTables {
    fn read(kcore: &Kcore) -> Result<Self> {
        let table = |name: &str| {
            let symbol = kcore.symbol(&format!("kallsyms_{name}"));
            symbol.with_context(|| format!("the kernel does not say where `kallsyms_{name}` is"))
        };
        let word = |addr: Addr, bytes: &mut [u8]| {
            kcore
                .read(addr, bytes)
                .context("failed to read the kernel's symbol tables")
        };
        let names = table("names")?;
        let token_table = table("token_table")?;
        let token_index = table("token_index")?;
        let offsets = table("offsets")?;
        let mut n_symbols = [0; 4];
        word(table("num_syms")?, &mut n_symbols)?;
        let n_symbols = u32::from_le_bytes(n_symbols) as usize;
        ensure!(
            (1..=MAX_SYMBOLS).contains(&n_symbols),
            "the kernel says it has {n_symbols} symbols"
        );
        let base = match table("relative_base") {
            Ok(addr) => {
                let mut base = [0; 8];
                word(addr, &mut base)?;
                Base::One(u64::from_le_bytes(base))
            }
            Err(_) => Base::Own(offsets.0),
        };
        let read = |addr: Addr, len: u64| {
            ensure!(len <= MAX_TABLE, "the kernel's symbol tables lie apart");
            let bytes = kcore.bytes(addr, len as usize);
            bytes.context("failed to read the kernel's symbol tables")
        };
        let token_index_bytes = read(token_index, 2 * N_TOKENS as u64)?;
        Ok(Self {
            // The names end before the tokens begin. What is in between is smaller than the names.
            names: read(names, token_table.0.saturating_sub(names.0))?,
            offsets: read(offsets, (OFFSET_SIZE * n_symbols) as u64)?,
            token_table: read(token_table, token_index.0.saturating_sub(token_table.0))?,
            token_index: token_index_bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| u16::from_le_bytes(*bytes))
                .collect(),
            base,
        })
    }

    fn addresses(&self) -> impl Iterator<Item = u64> {
        let offsets = || {
            self.offsets
                .as_chunks::<OFFSET_SIZE>()
                .0
                .iter()
                .map(|bytes| i32::from_le_bytes(*bytes))
        };
        let has_absolute = offsets().any(|offset| offset < 0);
        offsets()
            .zip(0..)
            .map(move |(offset, index)| match self.base {
                Base::Own(table) => {
                    (table + index * OFFSET_SIZE as u64).wrapping_add_signed(offset.into())
                }
                Base::One(base) if offset < 0 => {
                    base.wrapping_sub(1).wrapping_add_signed(-i64::from(offset))
                }
                Base::One(_) if has_absolute => offset as u64,
                Base::One(base) => base.wrapping_add(u64::from(offset as u32)),
            })
    }

    /// Returns the number of tokens of the name at `at`, and the offset of the first one. The
    /// number takes one byte, or two for long names since 6.1 (73bbb94466fd, "kallsyms: support
    /// "big" kernel symbols").
    fn name_len(&self, at: usize) -> Option<(usize, usize)> {
        let first = usize::from(*self.names.get(at)?);
        if first & 0x80 == 0 {
            return Some((first, at + 1));
        }
        let second = usize::from(*self.names.get(at + 1)?);
        Some((first & 0x7f | second << 7, at + 2))
    }

    fn tokens(&self) -> Result<Box<Tokens>> {
        let token = |&start: &u16| {
            let rest = self.token_table.get(usize::from(start)..)?;
            let end = rest.iter().position(|&byte| byte == 0)?;
            Some(&rest[..end])
        };
        Tokens::new(self.token_index.iter().map(token))
            .context("the kernel's symbol tables have odd tokens")
    }
}

/// The texts that the bytes of compressed names stand for. Copying a fixed number of bytes and
/// advancing by the length takes a fraction of the time of a copy with a variable length.
struct Tokens {
    /// The first bytes of each token; all of them are always copied.
    starts: [[u8; TOKEN_START]; N_TOKENS],
    /// Length of each token in bytes; [`IS_LONG`] if it does not fit.
    lens: [u8; N_TOKENS],
    /// The tokens that do not fit. There are nearly none. Rust's mangled names have some of 50
    /// letters.
    long: Vec<(u8, Vec<u8>)>,
}

const TOKEN_START: usize = 16;

const IS_LONG: u8 = u8::MAX;

impl Tokens {
    /// Returns `None` if the number of tokens is wrong, or if one is not a part of a name. Names
    /// are ASCII, and the result must be text.
    fn new<'t>(texts: impl Iterator<Item = Option<&'t [u8]>>) -> Option<Box<Self>> {
        let mut tokens = Box::new(Self {
            starts: [[0; TOKEN_START]; N_TOKENS],
            lens: [0; N_TOKENS],
            long: Vec::new(),
        });
        let mut n_tokens = 0;
        for (token, text) in (0..=u8::MAX).zip(texts) {
            let text = text.filter(|text| text.iter().all(u8::is_ascii_graphic))?;
            let place = usize::from(token);
            if let Some(start) = tokens.starts[place].get_mut(..text.len()) {
                start.copy_from_slice(text);
                tokens.lens[place] = text.len() as u8;
            } else {
                tokens.lens[place] = IS_LONG;
                tokens.long.push((token, text.to_vec()));
            }
            n_tokens += 1;
        }
        (n_tokens == N_TOKENS).then_some(tokens)
    }

    fn long(&self, token: u8) -> &[u8] {
        let mut long = self.long.iter();
        long.find(|(of, _)| *of == token)
            .map_or(&[], |(_, text)| text)
    }
}

/// A growing text with spare room after its end.
struct TextBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl TextBuffer {
    fn with_capacity(len: usize) -> Self {
        Self {
            bytes: vec![0; len + TOKEN_START],
            len: 0,
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn push_tokens(&mut self, packed: &[u8], tokens: &Tokens) {
        self.reserve(TOKEN_START * (packed.len() + 1));
        // A local variable, because `self.len` would be written after each token.
        let mut len = self.len;
        for &token in packed {
            let place = usize::from(token);
            let token_len = tokens.lens[place];
            if token_len == IS_LONG {
                self.len = len;
                self.push_bytes(tokens.long(token));
                self.reserve(TOKEN_START * (packed.len() + 1));
                len = self.len;
                continue;
            }
            // A copy in one piece avoids a bounds check per byte.
            if let Some(room) = self.bytes[len..].first_chunk_mut::<TOKEN_START>() {
                *room = tokens.starts[place];
            }
            len += usize::from(token_len);
        }
        self.len = len;
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn reserve(&mut self, len: usize) {
        if self.bytes.len() < self.len + len {
            self.bytes.resize(2 * (self.len + len), 0);
        }
    }

    fn replace(&mut self, at: usize, byte: u8) -> u8 {
        mem::replace(&mut self.bytes[at], byte)
    }

    fn into_string(mut self) -> String {
        self.bytes.truncate(self.len);
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
