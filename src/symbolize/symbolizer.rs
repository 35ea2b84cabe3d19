// SPDX-License-Identifier: BSD-2-Clause
//! Answers what is at an address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::image::OpenError;
use super::lines::{
    DEFAULT_LINE_MEMORY, LineAnswer, LineOptions, LineSource, Missing, PendingLines,
};
use super::modules::ModuleLines;
use super::strings::PlaceHash;
use super::types::{Frame, Frames, Level, SymbolAt};
use crate::kernel::images::ImageFile;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, AddressSpace, Ip};

/// Approximate memory of a cached frame in bytes.
const FRAME_MEMORY: usize = 256;

/// Translates addresses to frames and caches them.
#[derive(Debug)]
pub struct Symbolizer {
    kallsyms: RwLock<Arc<Kallsyms>>,
    level: Level,
    /// Not set while the image is being opened.
    lines: OnceLock<LineSource>,
    /// Not set if lines of modules are not wanted, or if they come from a recording.
    modules: OnceLock<ModuleLines>,
    memo: Mutex<Memo>,
    /// Maximum number of cached frames. Stacks repeat. If a run exceeds the limit, the cache is
    /// emptied.
    most_frames: usize,
}

/// Number of addresses without the line that was wanted, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// No symbol contains the address.
    pub no_symbol: u64,
    /// The address is not in the image's code but in a module or a BPF program.
    pub outside_image: u64,
    /// The address is in the image, but its DWARF has no line for it.
    pub no_line: u64,
    /// The address is in the image, but its DWARF could not be read there.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct Memo {
    frames: HashMap<Ip, Arc<Frame>, PlaceHash>,
    unresolved: Unresolved,
}

impl Memo {
    fn remember(&mut self, frames: impl ExactSizeIterator<Item = (Ip, Arc<Frame>)>, most: usize) {
        if self.frames.len() + frames.len() > most {
            self.frames.clear();
        }
        self.frames.extend(frames.take(most));
    }
}

impl Symbolizer {
    /// Creates a symbolizer that returns what `level` asks for, as far as `lines` has it.
    #[must_use]
    pub fn new(kallsyms: Arc<Kallsyms>, level: Level, lines: Option<LineSource>) -> Self {
        Self {
            kallsyms: RwLock::new(kallsyms),
            level,
            lines: lines.map_or_else(OnceLock::new, OnceLock::from),
            modules: OnceLock::new(),
            memo: Mutex::default(),
            most_frames: DEFAULT_LINE_MEMORY / FRAME_MEMORY,
        }
    }

    /// Limits the cached frames to about this many bytes.
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        Self {
            most_frames: bytes / FRAME_MEMORY,
            ..self
        }
    }

    /// Sets the modules of the running kernel. Later calls have no effect.
    pub fn set_modules(&self, modules: ModuleLines) {
        // The first ones stay.
        let _ = self.modules.set(modules);
    }

    /// Returns why modules that were asked for have no lines, since the last call.
    #[must_use]
    pub fn take_module_problems(&self) -> Vec<String> {
        let problems = self.modules.get().map(ModuleLines::take_problems);
        problems.unwrap_or_default()
    }

    /// Sets the lines if they were not available at creation. Later calls have no effect.
    pub fn set_lines(&self, lines: LineSource) {
        if self.lines.set(lines).is_ok() {
            let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
            memo.frames.clear();
        }
    }

    /// Starts to open a kernel image in the background.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn prepare(
        image: impl Into<ImageFile>,
        kallsyms: &Kallsyms,
        options: LineOptions,
    ) -> Result<PendingLines, OpenError> {
        PendingLines::open(image, kallsyms, options)
    }

    /// Symbolizes an instruction pointer. The frame is empty if the address is in no space of the
    /// kernel.
    #[must_use]
    pub fn frame(&self, ip: Ip) -> Arc<Frame> {
        let memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = memo.frames.get(&ip) {
            return Arc::clone(frame);
        }
        drop(memo);
        let mut frames = self.frames(&[ip]);
        frames.pop().unwrap_or_default()
    }

    /// Symbolizes several instruction pointers, in the same order. This is cheaper than asking for
    /// each.
    #[must_use]
    pub fn frames(&self, ips: &[Ip]) -> Vec<Arc<Frame>> {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<Ip> = Vec::new();
        let mut frames: Vec<Option<Arc<Frame>>> = Vec::with_capacity(ips.len());
        for asked in ips {
            let known = memo.frames.get(asked).map(Arc::clone);
            if known.is_none() {
                new.push(*asked);
            }
            frames.push(known);
        }
        new.sort_unstable();
        new.dedup();
        let worked_out = self.work_out(&new, &mut memo.unresolved);
        let worked_out: Vec<Arc<Frame>> = worked_out.into_iter().map(Arc::new).collect();
        for (asked, frame) in ips.iter().zip(&mut frames) {
            if frame.is_none()
                && let Ok(at) = new.binary_search(asked)
            {
                *frame = Some(Arc::clone(&worked_out[at]));
            }
        }
        memo.remember(new.into_iter().zip(worked_out), self.most_frames);
        frames.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Symbolizes several instruction pointers into a value of their own.
    #[must_use]
    pub fn look_up(&self, ips: Vec<Ip>) -> Frames {
        let memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::with_capacity(ips.len());
        let known = ips.iter().map_while(|ip| memo.frames.get_key_value(ip));
        found.extend(known.map(|(ip, frame)| (*ip, Arc::clone(frame))));
        drop(memo);
        // Nearly always all of them were seen before.
        if found.len() < ips.len() {
            let frames = self.frames(&ips);
            found = ips.into_iter().zip(frames).collect();
        }
        Frames::new(found)
    }

    /// Replaces the symbols after modules or BPF programs were loaded or unloaded.
    pub fn replace_kallsyms(&self, kallsyms: Arc<Kallsyms>) {
        *self
            .kallsyms
            .write()
            .unwrap_or_else(PoisonError::into_inner) = kallsyms;
        if let Some(modules) = self.modules.get() {
            modules.forget_moved();
        }
        self.memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .frames
            .clear();
    }

    /// Counts of addresses without a line so far. An address counts again if its frame was removed
    /// from the cache.
    #[must_use]
    pub fn unresolved(&self) -> Unresolved {
        self.memo
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unresolved
    }

    fn work_out(&self, ips: &[Ip], unresolved: &mut Unresolved) -> Vec<Frame> {
        let kallsyms = self.kallsyms.read().unwrap_or_else(PoisonError::into_inner);
        let symbols: Vec<Option<SymbolAt>> =
            ips.iter().map(|ip| symbol_at(&kallsyms, *ip)).collect();
        drop(kallsyms);
        unresolved.no_symbol += symbols.iter().filter(|symbol| symbol.is_none()).count() as u64;
        let mut meant: Vec<Addr> = ips.iter().map(|ip| ip.looked_up()).collect();
        self.follow_fgkaslr(ips, &symbols, &mut meant);
        let answers = self.answers(&meant, &symbols, unresolved);
        let frame = |(symbol, answer): (Option<SymbolAt>, LineAnswer)| Frame {
            symbol,
            source: answer.source,
            inlined: if self.level == Level::Inlines {
                answer.inlined
            } else {
                Vec::new()
            },
        };
        symbols.into_iter().zip(answers).map(frame).collect()
    }

    /// For a kernel that uses FG-KASLR, replaces addresses by those that the image has.
    fn follow_fgkaslr(&self, ips: &[Ip], symbols: &[Option<SymbolAt>], meant: &mut [Addr]) {
        let Some(lines) = self.lines.get().filter(|lines| lines.is_fgkaslr()) else {
            return;
        };
        for ((ip, symbol), meant) in ips.iter().zip(symbols).zip(meant) {
            if let Some(symbol) = symbol.as_ref().filter(|symbol| symbol.module.is_none()) {
                let offset = symbol.offset.wrapping_sub(ip.is_return.into());
                // An address without a line is better than a line of another function.
                *meant = lines.place_of(symbol, offset).unwrap_or(Addr(0));
            }
        }
    }

    /// Answers addresses from the image.
    fn answers_of_kernel(&self, meant: &[Addr], unresolved: &mut Unresolved) -> Vec<LineAnswer> {
        let Some(lines) = self.lines.get() else {
            return vec![LineAnswer::default(); meant.len()];
        };
        let answers = lines.answers(meant).into_iter();
        let told = answers.map(|answer| answer.unwrap_or_else(|why| unresolved.told(why)));
        told.collect()
    }

    /// Answers addresses from the image, and from the files of modules.
    fn answers(
        &self,
        meant: &[Addr],
        symbols: &[Option<SymbolAt>],
        unresolved: &mut Unresolved,
    ) -> Vec<LineAnswer> {
        let mut answers = vec![LineAnswer::default(); meant.len()];
        if self.level == Level::Names {
            return answers;
        }
        if self.modules.get().is_none() {
            return self.answers_of_kernel(meant, unresolved);
        }
        let mut of_kernel = Vec::new();
        let mut of_modules: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, symbol) in symbols.iter().enumerate() {
            let module = symbol.as_ref().and_then(|symbol| symbol.module.as_deref());
            match module.filter(|module| self.modules.get().is_some() && *module != "bpf") {
                Some(module) => of_modules.entry(module).or_default().push(at),
                None => of_kernel.push(at),
            }
        }
        let addrs =
            |places: &[usize]| -> Vec<Addr> { places.iter().map(|at| meant[*at]).collect() };
        let mut told = |places: &[usize], found: Vec<Result<LineAnswer, Missing>>| {
            for (at, answer) in places.iter().zip(found) {
                match answer {
                    Ok(answer) => answers[*at] = answer,
                    Err(why) => unresolved.count(why),
                }
            }
        };
        if let Some(lines) = self.lines.get() {
            told(&of_kernel, lines.answers(&addrs(&of_kernel)));
        }
        if let Some(modules) = self.modules.get() {
            for (module, places) in of_modules {
                told(&places, modules.answers(module, &addrs(&places)));
            }
        }
        answers
    }
}

fn symbol_at(kallsyms: &Kallsyms, ip: Ip) -> Option<SymbolAt> {
    match ip.location.space {
        AddressSpace::Kernel | AddressSpace::AbsentModules => {}
        AddressSpace::Object(_) | AddressSpace::Unknown => return None,
    }
    kallsyms
        .resolve(ip.looked_up())
        .map(|(symbol, offset)| SymbolAt {
            name: symbol.name.into(),
            module: symbol.module.map(Into::into),
            // The offset is that of the address itself, as everywhere in the kernel.
            offset: offset + u64::from(ip.is_return),
            size: symbol.size,
        })
}

impl Unresolved {
    fn told(&mut self, why: Missing) -> LineAnswer {
        self.count(why);
        LineAnswer::default()
    }

    fn count(&mut self, why: Missing) {
        match why {
            Missing::OutsideImage => self.outside_image += 1,
            Missing::NoUnit | Missing::NoLine => self.no_line += 1,
            Missing::Damaged => self.damaged += 1,
        }
    }
}
