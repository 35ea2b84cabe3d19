// SPDX-License-Identifier: BSD-2-Clause
//! The one question that rendering asks: what is at this address?

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::lines::{LineSource, Missing, PendingLines};
use super::sections::OpenError;
use super::types::{Frame, Level, SymbolAt};
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::Addr;

/// Frames remembered. Stacks repeat; a run that goes past this begins anew.
const MEMO: usize = 1 << 16;

/// Addresses → frames, each worked out once.
#[derive(Debug)]
pub struct Symbolizer {
    kallsyms: RwLock<Arc<Kallsyms>>,
    level: Level,
    /// Not set as long as the image is being opened.
    lines: OnceLock<LineSource>,
    memo: Mutex<Memo>,
}

/// Addresses for which a line was wanted and not had, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// Addresses that no symbol holds.
    pub no_symbol: u64,
    /// Not in the image's code: modules, BPF programs.
    pub outside_image: u64,
    /// In the image, but its DWARF has no line for it.
    pub no_line: u64,
    /// In the image, but its DWARF could not be read there.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct Memo {
    frames: HashMap<(Addr, bool), Arc<Frame>>,
    unresolved: Unresolved,
}

impl Symbolizer {
    /// A symbolizer that tells as much as `level` asks for and `lines` has.
    #[must_use]
    pub fn new(kallsyms: Arc<Kallsyms>, level: Level, lines: Option<LineSource>) -> Self {
        Self {
            kallsyms: RwLock::new(kallsyms),
            level,
            lines: lines.map_or_else(OnceLock::new, OnceLock::from),
            memo: Mutex::default(),
        }
    }

    /// Gives it lines that were not there when it was made; the first ones stay.
    pub fn set_lines(&self, lines: LineSource) {
        if self.lines.set(lines).is_ok() {
            let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
            memo.frames.clear();
        }
    }

    /// Begins to open a kernel image in the background.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn prepare(image: PathBuf, kallsyms: &Kallsyms) -> Result<PendingLines, OpenError> {
        PendingLines::open(image, kallsyms)
    }

    /// What is at an address. A return address (`is_return`) stands behind the call that is
    /// meant, which may be the next statement's or the next function's first byte.
    #[must_use]
    pub fn frame(&self, addr: Addr, is_return: bool) -> Arc<Frame> {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = memo.frames.get(&(addr, is_return)) {
            return Arc::clone(frame);
        }
        if memo.frames.len() >= MEMO {
            memo.frames.clear();
        }
        let frame = Arc::new(self.work_out(addr, is_return, &mut memo.unresolved));
        memo.frames.insert((addr, is_return), Arc::clone(&frame));
        frame
    }

    /// The symbols as they are after modules or BPF programs came or went.
    pub fn replace_kallsyms(&self, kallsyms: Arc<Kallsyms>) {
        *self
            .kallsyms
            .write()
            .unwrap_or_else(PoisonError::into_inner) = kallsyms;
        self.memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .frames
            .clear();
    }

    /// What could not be told so far, each address counted once.
    #[must_use]
    pub fn unresolved(&self) -> Unresolved {
        self.memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unresolved
    }

    fn work_out(&self, addr: Addr, is_return: bool, unresolved: &mut Unresolved) -> Frame {
        let meant = if is_return {
            Addr(addr.0.wrapping_sub(1))
        } else {
            addr
        };
        let kallsyms = self.kallsyms.read().unwrap_or_else(PoisonError::into_inner);
        let symbol = kallsyms.resolve(meant).map(|(symbol, offset)| SymbolAt {
            name: symbol.name.into(),
            module: symbol.module.map(Into::into),
            // The offset shown is that of the address itself, as everywhere in the kernel.
            offset: offset + (addr.0.wrapping_sub(meant.0)),
            size: symbol.size,
        });
        if symbol.is_none() {
            unresolved.no_symbol += 1;
        }
        let answer = match (self.lines.get(), self.level) {
            (None, _) | (_, Level::Names) => None,
            (Some(lines), _) => lines
                .answer(meant)
                .map_err(|why| unresolved.count(why))
                .ok(),
        };
        let answer = answer.unwrap_or_default();
        let inlined = if self.level == Level::Inlines {
            answer.inlined
        } else {
            Vec::new()
        };
        Frame {
            symbol,
            source: answer.source,
            inlined,
        }
    }
}

impl Unresolved {
    fn count(&mut self, why: Missing) {
        match why {
            Missing::OutsideImage => self.outside_image += 1,
            Missing::NoUnit | Missing::NoLine => self.no_line += 1,
            Missing::Damaged => self.damaged += 1,
        }
    }
}
