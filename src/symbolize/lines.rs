// SPDX-License-Identifier: BSD-2-Clause
//! Something to be asked for lines: an image, which a thread opens while BPF programs attach, or
//! what was recorded.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::engine::Engine;
use super::fgkaslr::{FunctionOffsets, Probes};
use super::functions::SourceFunctions;
use super::guard::guarded;
use super::image::{ANCHORS, Image, OpenError};
use super::index::{Index, build_gently};
use super::relocate::{FIRST, RelocationPlacement};
use super::types::{Inlined, SourceLine, SymbolAt};
use crate::cache::Cache;
use crate::kernel::images::ImageFile;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, NameGlob};

/// How long after an image was opened its index is begun, which takes a part of a processor.
const BEHIND_THE_START: Duration = Duration::from_secs(2);

/// How images are read.
#[derive(Clone, Debug)]
pub struct LineOptions {
    /// Where indexes are kept; `None`: nowhere.
    pub cache: Option<Cache>,
    /// Whether an index is made where there is none.
    pub index: IndexUse,
    /// About how many bytes may be kept in memory of what was read of an image.
    pub most_bytes: usize,
}

/// What is done about an index that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexUse {
    /// Nothing: the image is read.
    Read,
    /// It is made in the background once the image is open.
    Make,
}

/// By default, in bytes: enough for all of a kernel.
pub const MEMORY: usize = 30 << 20;

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            cache: None,
            index: IndexUse::Read,
            most_bytes: MEMORY,
        }
    }
}

/// What an image says about an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The line in the outermost function.
    pub source: Option<SourceLine>,
    /// Functions inlined there, outermost first.
    pub inlined: Vec<Inlined>,
}

/// Why there is no line for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The address is not in the image's code: a module, a BPF program, a trampoline.
    OutsideImage,
    /// No compilation unit has it.
    NoUnit,
    /// Its unit has no line for it.
    NoLine,
    /// Its unit cannot be read.
    Damaged,
}

/// An image that is being opened.
#[derive(Debug)]
pub struct PendingLines {
    opened: Receiver<Result<Opened, OpenError>>,
}

/// What is known as soon as an image is open.
#[derive(Debug)]
struct Opened {
    lines: ImageLines,
    /// The image's own symbols, at the addresses that it is asked for.
    symbols: Option<Kallsyms>,
}

/// How the addresses of a file map to those at run time.
#[derive(Clone, Debug)]
enum LoadAddress {
    /// Of the running kernel: from the addresses of its [`ANCHORS`]; a few functions tell whether it
    /// uses FG-KASLR.
    RunningKernel([Option<Addr>; ANCHORS.len()], Probes),
    /// Of another kernel: the address of its text, or the KASLR offset; without either, the addresses
    /// in the file.
    Fixed(Option<u64>),
    /// Of a module: each section with the address that it was loaded at.
    Module(Vec<(String, u64)>),
}

/// A smaller value is an offset, as `Kernel Offset` in an oops; any other is an address.
const LARGEST_OFFSET: u64 = 1 << 32;

/// Something to be asked for lines.
#[derive(Debug)]
pub struct LineSource(Source);

#[derive(Debug)]
enum Source {
    /// An open image.
    Image(Box<ImageLines>),
    /// Answers that were given before.
    Recorded(HashMap<Addr, Answer>),
}

#[derive(Debug)]
struct ImageLines {
    engine: Mutex<Engine>,
    image: Arc<Image>,
    has_index: bool,
    /// How far the addresses that it is asked for are from its own.
    moved: u64,
    /// Set where the kernel uses FG-KASLR.
    fgkaslr: Option<FunctionOffsets>,
}

impl PendingLines {
    /// Begins to open an image whose build id is known to be the kernel's.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn open(
        file: impl Into<ImageFile>,
        kallsyms: &Kallsyms,
        options: LineOptions,
    ) -> Result<Self, OpenError> {
        let anchors = ANCHORS.map(|anchor| kallsyms.any_named(anchor).map(|symbol| symbol.addr));
        let start = anchors.into_iter().flatten().next();
        let probes = start.map_or_else(Probes::default, |start| Probes::of(kallsyms, start.0));
        Self::start(
            file.into(),
            LoadAddress::RunningKernel(anchors, probes),
            options,
        )
    }

    /// Opens an image to ask it for its own addresses, or those of a kernel whose text (`_text`)
    /// began at `base`, or which was moved by that; its symbols stand for kallsyms.
    ///
    /// # Errors
    ///
    /// When the image cannot be used.
    pub fn open_alone(
        file: impl Into<ImageFile>,
        base: Option<u64>,
        options: &LineOptions,
    ) -> Result<(LineSource, Kallsyms), OpenError> {
        let file = file.into();
        let opened = open(&file, &LoadAddress::Fixed(base), options)?;
        let symbols = opened.symbols.ok_or(OpenError::NoSymbols(file.path))?;
        Ok((LineSource(Source::Image(Box::new(opened.lines))), symbols))
    }

    /// Opens the file of a module whose sections were loaded to these addresses.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub fn open_module(
        file: impl Into<ImageFile>,
        sections: Vec<(String, u64)>,
        most_bytes: usize,
    ) -> Result<LineSource, OpenError> {
        // It is small, and where its sections lie is different each time.
        let options = LineOptions {
            most_bytes,
            ..LineOptions::default()
        };
        let opened = open(&file.into(), &LoadAddress::Module(sections), &options)?;
        Ok(LineSource(Source::Image(Box::new(opened.lines))))
    }

    fn start(
        file: ImageFile,
        load_address: LoadAddress,
        options: LineOptions,
    ) -> Result<Self, OpenError> {
        let (opening, opened) = channel();
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                let opened = open(&file, &load_address, &options);
                let image = opened
                    .as_ref()
                    .ok()
                    .and_then(|opened| opened.lines.to_index());
                // Nobody waits any more where it cannot be sent.
                let is_wanted = opening.send(opened).is_ok();
                if let (Some(image), Some(cache)) = (image, &options.cache)
                    && is_wanted
                    && options.index == IndexUse::Make
                {
                    // Attaching comes first.
                    thread::sleep(BEHIND_THE_START);
                    // It only costs the next run its head start.
                    let _ = guarded(|| build_gently(&image, cache));
                }
            })
            .map_err(|_| OpenError::Thread)?;
        Ok(Self { opened })
    }

    /// Waits until the image is open.
    ///
    /// # Errors
    ///
    /// When the image cannot be used.
    pub fn join(self) -> Result<LineSource, OpenError> {
        let opened = self.opened.recv();
        // A panic of the thread is no answer that a test may take for one.
        assert!(
            opened.is_ok() || !cfg!(any(test, fuzzing)),
            "the thread that reads an image panicked"
        );
        let opened = opened.map_err(|_| OpenError::Thread)??;
        Ok(LineSource(Source::Image(Box::new(opened.lines))))
    }
}

impl LineSource {
    /// Answers that an image gave before, by the addresses they were asked for: what a recorded
    /// run is shown with where its image is not at hand.
    #[must_use]
    pub fn recorded(answers: HashMap<Addr, Answer>) -> Self {
        Self(Source::Recorded(answers))
    }

    /// What is known about an address of the running kernel.
    ///
    /// # Errors
    ///
    /// When nothing is.
    pub fn answer(&self, addr: Addr) -> Result<Answer, Missing> {
        let mut answers = self.answers(&[addr]);
        answers.pop().unwrap_or(Err(Missing::Damaged))
    }

    /// The functions that files of such a path define, sorted by address.
    #[must_use]
    pub fn functions(&self, path: &NameGlob) -> SourceFunctions {
        let Source::Image(image) = &self.0 else {
            return SourceFunctions::default();
        };
        let mut engine = image.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = engine.functions(path);
        for addr in &mut found.addrs {
            *addr = addr.wrapping_add(image.moved);
        }
        found
    }

    /// What is known about each of some addresses: cheaper than one by one.
    #[must_use]
    pub fn answers(&self, addrs: &[Addr]) -> Vec<Result<Answer, Missing>> {
        match &self.0 {
            Source::Image(image) => {
                let in_image = addrs.iter().map(|addr| addr.0.wrapping_sub(image.moved));
                let in_image: Vec<u64> = in_image.collect();
                let mut engine = image.engine.lock().unwrap_or_else(PoisonError::into_inner);
                engine.answers(&in_image)
            }
            Source::Recorded(answers) => {
                let recorded = |addr| answers.get(addr).cloned().ok_or(Missing::NoLine);
                addrs.iter().map(recorded).collect()
            }
        }
    }

    /// Whether the kernel uses FG-KASLR: then [`Self::place_of`] says which address to ask for.
    #[must_use]
    pub fn is_fgkaslr(&self) -> bool {
        matches!(&self.0, Source::Image(image) if image.fgkaslr.is_some())
    }

    /// The address in the image of an offset in a symbol of a kernel that uses FG-KASLR; `None` where
    /// it is not known.
    #[must_use]
    pub fn place_of(&self, symbol: &SymbolAt, offset: u64) -> Option<Addr> {
        let Source::Image(image) = &self.0 else {
            return None;
        };
        let names = image.fgkaslr.as_ref()?;
        let in_image = names.place(&symbol.name, symbol.size, offset)?;
        Some(Addr(in_image.wrapping_add(image.moved)))
    }

    /// What is missing of an image though it can be read.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match &self.0 {
            Source::Image(image) => image.image.problem(),
            Source::Recorded(_) => None,
        }
    }

    /// Whether it answers from an index.
    #[must_use]
    pub fn has_index(&self) -> bool {
        matches!(&self.0, Source::Image(image) if image.has_index)
    }

    /// The image, to make an index of; `None` where there is one or none can be made.
    pub(super) fn without_index(&self) -> Option<Arc<Image>> {
        match &self.0 {
            Source::Image(image) => image.to_index(),
            Source::Recorded(_) => None,
        }
    }
}

impl ImageLines {
    /// The image, where it has no index and nothing of it is missing.
    fn to_index(&self) -> Option<Arc<Image>> {
        let is_whole = self.image.problem().is_none();
        (!self.has_index && is_whole).then(|| Arc::clone(&self.image))
    }
}

/// Opens an image; a damaged one may end a parser, and shall not end us.
fn open(
    file: &ImageFile,
    load_address: &LoadAddress,
    options: &LineOptions,
) -> Result<Opened, OpenError> {
    guarded(|| open_image(file, load_address, options)).unwrap_or(Err(OpenError::Thread))
}

fn open_image(
    file: &ImageFile,
    load_address: &LoadAddress,
    options: &LineOptions,
) -> Result<Opened, OpenError> {
    let placement = match load_address {
        LoadAddress::Module(sections) => RelocationPlacement::Loaded(sections.clone()),
        _ => RelocationPlacement::Alone,
    };
    let image = Image::open(file, &placement)?;
    let index = options
        .cache
        .as_ref()
        .filter(|_| !image.is_relocatable())
        .and_then(|cache| Index::open(cache, &image));
    if index.is_none() {
        image.prepare()?;
    }
    let anchor = |name: &str| match &index {
        Some(index) => index.anchor(name),
        None => image.anchor(name),
    };
    let Some(moved) = moved(load_address, &image, anchor) else {
        return Err(OpenError::NoAnchor(file.path.clone()));
    };
    let symbols = match load_address {
        LoadAddress::RunningKernel(..) | LoadAddress::Module(_) => None,
        LoadAddress::Fixed(_) => image.symbols(moved),
    };
    let fgkaslr = match load_address {
        LoadAddress::RunningKernel(_, probes) => fgkaslr(&image, &probes.in_image(moved)),
        LoadAddress::Fixed(_) | LoadAddress::Module(_) => None,
    };
    let image = Arc::new(image);
    let has_index = index.is_some();
    let engine = Mutex::new(Engine::new(Arc::clone(&image), index, options.most_bytes));
    let lines = ImageLines {
        engine,
        image,
        has_index,
        moved,
        fgkaslr,
    };
    Ok(Opened { lines, symbols })
}

/// The functions of an image by name, where these did not move together.
fn fgkaslr(image: &Image, probes: &[(&str, u64)]) -> Option<FunctionOffsets> {
    // What assembler code refers to stays together.
    if image.are_there(probes, probes.len().div_ceil(4)) {
        return None;
    }
    Some(image.names()).filter(|names| names.are_elsewhere(probes))
}

/// How far the addresses that will be asked for are from the image's own.
fn moved(
    load_address: &LoadAddress,
    image: &Image,
    in_image: impl Fn(&str) -> Option<u64>,
) -> Option<u64> {
    match load_address {
        LoadAddress::Module(_) => Some(0),
        // A module's own addresses are those of its text.
        LoadAddress::Fixed(base) if image.is_relocatable() => {
            Some(base.unwrap_or(0).wrapping_sub(FIRST))
        }
        LoadAddress::RunningKernel(anchors, _) => {
            let mut pairs = anchors.iter().zip(ANCHORS);
            pairs.find_map(|(kernel, name)| Some((*kernel)?.0.wrapping_sub(in_image(name)?)))
        }
        LoadAddress::Fixed(None) => Some(0),
        LoadAddress::Fixed(Some(offset)) if *offset < LARGEST_OFFSET => Some(*offset),
        LoadAddress::Fixed(Some(base)) => {
            let begin = ANCHORS.into_iter().filter_map(in_image).min()?;
            Some(base.wrapping_sub(begin))
        }
    }
}
