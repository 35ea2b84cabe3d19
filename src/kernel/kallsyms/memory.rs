// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's own symbol tables, read from its memory.
//!
//! For `/proc/kallsyms` the kernel unpacks and prints every symbol, which takes longer than all
//! the rest of a start. The tables that it unpacks lie in its read-only data. Since 6.0
//! (5fd8fea935a1, "vmcoreinfo: include kallsyms symbols") the note VMCOREINFO says where. What is
//! read is checked against symbols that the same note names. A kernel whose tables have another
//! form is refused here, and its symbols are read as text.

use std::mem;

use anyhow::{Context, Result, bail, ensure};

use super::parse::{self, rank};
use super::{Entry, Kallsyms};
use crate::kernel::kcore::Kcore;
use crate::spec::Addr;

/// Ten times what kernels have.
const MAX_SYMBOLS: usize = 4 << 20;

/// The names of a kernel with some hundred thousand symbols are a few MiB.
const MAX_TABLE: u64 = 256 << 20;

const TOKENS: usize = 256;

/// The room for an offset.
const OFFSET: usize = 4;

/// Room for so much per name is never used up; what is not used costs nothing.
const LONG_NAME: usize = 48;

/// Symbols that the note names as well.
const ANCHORS: [&str; 3] = ["_stext", "init_uts_ns", "init_top_pgt"];

impl Kallsyms {
    /// The symbols of the kernel itself, without modules.
    ///
    /// # Errors
    ///
    /// When the kernel does not say where its tables are (before 6.0, 5fd8fea935a1), or they have a
    /// form that is not known here.
    pub fn of_memory(kcore: &Kcore) -> Result<Self> {
        let tables = Tables::read(kcore)?;
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

    fn decode(tables: &Tables) -> Result<Self> {
        let tokens = tables.tokens()?;
        let count = tables.offsets.len() / OFFSET;
        let mut text = Text::with_capacity(count * LONG_NAME);
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
            // The first letter is the type; a blank stands in its place, as in the file.
            let kind = text.replace(begin, b' ');
            text.push_bytes(b"\n");
            entries.push(Entry {
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

/// The tables as they lie in memory.
struct Tables {
    names: Vec<u8>,
    offsets: Vec<u8>,
    token_table: Vec<u8>,
    token_index: Vec<u16>,
    base: Base,
}

/// What offsets are relative to.
#[derive(Clone, Copy)]
enum Base {
    /// One address. Where there are negative offsets, these count from it and the others are
    /// absolute: `CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, before 6.15 (01157ddc58dc, "kallsyms: Remove
    /// `KALLSYMS_ABSOLUTE_PERCPU`"). Where there are none, all count from it.
    One(u64),
    /// Where each offset itself stands. Since 7.0 (a081b5789255, "kallsyms: Get rid of kallsyms
    /// relative base").
    Own(u64),
}

impl Tables {
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
        let token_index_bytes = read(token_index, 2 * TOKENS as u64)?;
        Ok(Self {
            // The names end before the tokens begin; what lies between is smaller than they are.
            names: read(names, token_table.0.saturating_sub(names.0))?,
            offsets: read(offsets, (OFFSET * n_symbols) as u64)?,
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
                .as_chunks::<OFFSET>()
                .0
                .iter()
                .map(|bytes| i32::from_le_bytes(*bytes))
        };
        let has_absolute = offsets().any(|offset| offset < 0);
        offsets()
            .zip(0..)
            .map(move |(offset, index)| match self.base {
                Base::Own(table) => {
                    (table + index * OFFSET as u64).wrapping_add_signed(offset.into())
                }
                Base::One(base) if offset < 0 => {
                    base.wrapping_sub(1).wrapping_add_signed(-i64::from(offset))
                }
                Base::One(_) if has_absolute => offset as u64,
                Base::One(base) => base.wrapping_add(u64::from(offset as u32)),
            })
    }

    /// How many tokens the name at `at` has, and where they begin. The number takes one byte, or
    /// two for long names since 6.1 (73bbb94466fd, "kallsyms: support "big" kernel symbols").
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

/// What the bytes of packed names stand for. Copying a fixed number of bytes and going on behind
/// those that count takes a fraction of the time of a copy of the right length.
struct Tokens {
    /// As much of each as is always copied.
    starts: [[u8; TOKEN_START]; TOKENS],
    /// How many of these bytes count; [`IS_LONG`] where the token does not fit.
    lens: [u8; TOKENS],
    /// Tokens that do not fit: nearly none. (Rust's mangled names have some of 50 letters.)
    long: Vec<(u8, Vec<u8>)>,
}

const TOKEN_START: usize = 16;

const IS_LONG: u8 = u8::MAX;

impl Tokens {
    /// `None` where they are not as many as there should be, or no parts of names: what is printed
    /// later must be text, and names are ASCII.
    fn new<'t>(texts: impl Iterator<Item = Option<&'t [u8]>>) -> Option<Box<Self>> {
        let mut tokens = Box::new(Self {
            starts: [[0; TOKEN_START]; TOKENS],
            lens: [0; TOKENS],
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
        (n_tokens == TOKENS).then_some(tokens)
    }

    fn long(&self, token: u8) -> &[u8] {
        let mut long = self.long.iter();
        long.find(|(of, _)| *of == token)
            .map_or(&[], |(_, text)| text)
    }
}

/// A growing text with room behind its end.
struct Text {
    bytes: Vec<u8>,
    len: usize,
}

impl Text {
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
        // A number of its own: `self.len` would be written after each token.
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
            // In one piece, or each byte is checked for having room.
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
