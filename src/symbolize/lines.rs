// SPDX-License-Identifier: BSD-2-Clause
//! A source of lines: either an image, which a thread opens while BPF programs attach, or recorded
//! answers.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::engine::Engine;
use super::fgkaslr::{FunctionOffsets, SampledFunctions};
use super::functions::SourceFunctions;
use super::guard::guarded;
use super::image::{ANCHORS, Image, OpenError};
use super::index::{Index, build_gently};
use super::relocate::{RelocationPlacement, UNLOADED_TEXT};
use super::types::{Inlined, SourceLine, SymbolAt};
use crate::cache::Cache;
use crate::kernel::images::ImageFile;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, NameGlob};

/// Delay between the opening of an image and the start of its index, which takes a share of a CPU.
const BEHIND_THE_START: Duration = Duration::from_secs(2);

/// How images are read.
#[derive(Clone, Debug)]
pub struct LineOptions {
    /// The cache that indexes are stored in; `None` disables indexes.
    pub cache: Option<Cache>,
    /// Whether a missing index is built.
    pub index: IndexUse,
    /// About how many bytes of what was read of an image are kept in memory.
    pub most_bytes: usize,
}

/// How a missing index is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexUse {
    /// The image is read without an index.
    Read,
    /// The index is built in the background after the image was opened.
    Make,
}

/// Default for [`LineOptions::most_bytes`], in bytes. It is enough for a whole kernel.
pub const DEFAULT_LINE_MEMORY: usize = 30 << 20;

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            cache: None,
            index: IndexUse::Read,
            most_bytes: DEFAULT_LINE_MEMORY,
        }
    }
}

/// The source lines of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineAnswer {
    /// The line in the outermost function; `None` if it is not known.
    pub source: Option<SourceLine>,
    /// Functions that are inlined at the address, outermost first.
    pub inlined: Vec<Inlined>,
}

/// Why an address has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The address is not in the image's code but in a module, a BPF program or a trampoline.
    OutsideImage,
    /// No compilation unit contains the address.
    NoUnit,
    /// Its unit has no line for it.
    NoLine,
    /// Its unit cannot be read.
    Damaged,
}

/// An image that is being opened by a thread.
#[derive(Debug)]
pub struct PendingLines {
    opened: Receiver<Result<OpenedImage, OpenError>>,
}

/// The result of opening an image.
#[derive(Debug)]
struct OpenedImage {
    lines: ImageLines,
    /// The image's own symbols at their run-time addresses; only for [`LoadAddress::Fixed`].
    symbols: Option<Kallsyms>,
}

/// How the addresses of a file map to those at run time.
#[derive(Clone, Debug)]
enum LoadAddress {
    /// The running kernel: the addresses of its [`ANCHORS`], and functions that show whether it
    /// uses FG-KASLR.
    RunningKernel([Option<Addr>; ANCHORS.len()], SampledFunctions),
    /// Another kernel: the address of its text or the KASLR offset. With `None` the addresses of
    /// the file are used.
    Fixed(Option<u64>),
    /// A module: name and load address of each section.
    Module(Vec<(String, u64)>),
}

/// A smaller value is an offset, such as `Kernel Offset` in an oops. Any other value is an address.
const LARGEST_OFFSET: u64 = 1 << 32;

/// Answers addresses with source lines, from an image or from a recording.
#[derive(Debug)]
pub struct LineSource(LineSourceKind);

#[derive(Debug)]
enum LineSourceKind {
    /// An open image.
    Image(Box<ImageLines>),
    /// Answers that were recorded.
    Recorded(HashMap<Addr, LineAnswer>),
}

#[derive(Debug)]
struct ImageLines {
    engine: Mutex<Engine>,
    image: Arc<Image>,
    has_index: bool,
    /// Difference in bytes between run-time addresses and those of the image.
    moved: u64,
    /// The functions by name; set only if the kernel uses FG-KASLR.
    fgkaslr: Option<FunctionOffsets>,
}

impl PendingLines {
    /// Starts a thread that opens an image. The caller must know that its build id is that of the
    /// kernel.
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
        let probes = start.map_or_else(SampledFunctions::default, |start| {
            SampledFunctions::of(kallsyms, start.0)
        });
        Self::start(
            file.into(),
            LoadAddress::RunningKernel(anchors, probes),
            options,
        )
    }

    /// Opens an image without a running kernel. `base` is the address of the kernel's text
    /// (`_text`) or the offset that it was moved by; with `None` the addresses of the file are
    /// used. The symbols of the image are returned in place of kallsyms.
    ///
    /// # Errors
    ///
    /// When the image cannot be used or has no symbols.
    pub fn open_alone(
        file: impl Into<ImageFile>,
        base: Option<u64>,
        options: &LineOptions,
    ) -> Result<(LineSource, Kallsyms), OpenError> {
        let file = file.into();
        let opened = open(&file, &LoadAddress::Fixed(base), options)?;
        let symbols = opened.symbols.ok_or(OpenError::NoSymbols(file.path))?;
        Ok((
            LineSource(LineSourceKind::Image(Box::new(opened.lines))),
            symbols,
        ))
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
        // No index: the file is small, and its load addresses differ each time.
        let options = LineOptions {
            most_bytes,
            ..LineOptions::default()
        };
        let opened = open(&file.into(), &LoadAddress::Module(sections), &options)?;
        Ok(LineSource(LineSourceKind::Image(Box::new(opened.lines))))
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
                // If the send fails, the receiver is gone and no index is needed.
                let is_wanted = opening.send(opened).is_ok();
                if let (Some(image), Some(cache)) = (image, &options.cache)
                    && is_wanted
                    && options.index == IndexUse::Make
                {
                    // Attaching has priority.
                    thread::sleep(BEHIND_THE_START);
                    // A failure only means that the next run has no index.
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
        // A test must not take a panic of the thread for an answer.
        assert!(
            opened.is_ok() || !cfg!(any(test, fuzzing)),
            "the thread that reads an image panicked"
        );
        let opened = opened.map_err(|_| OpenError::Thread)??;
        Ok(LineSource(LineSourceKind::Image(Box::new(opened.lines))))
    }
}

impl LineSource {
    /// Uses answers that an image gave earlier, by run-time address. They show a recorded run
    /// without its image.
    #[must_use]
    pub fn recorded(answers: HashMap<Addr, LineAnswer>) -> Self {
        Self(LineSourceKind::Recorded(answers))
    }

    /// Answers a run-time address.
    ///
    /// # Errors
    ///
    /// When no line is known for the address.
    pub fn answer(&self, addr: Addr) -> Result<LineAnswer, Missing> {
        let mut answers = self.answers(&[addr]);
        answers.pop().unwrap_or(Err(Missing::Damaged))
    }

    /// Returns the functions that are defined in the files whose path matches, sorted by address. A
    /// recording has none.
    #[must_use]
    pub fn functions(&self, path: &NameGlob) -> SourceFunctions {
        let LineSourceKind::Image(image) = &self.0 else {
            return SourceFunctions::default();
        };
        let mut engine = image.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = engine.functions(path);
        for addr in &mut found.addrs {
            *addr = addr.wrapping_add(image.moved);
        }
        found
    }

    /// Answers several run-time addresses, in the same order. This is cheaper than asking for each.
    #[must_use]
    pub fn answers(&self, addrs: &[Addr]) -> Vec<Result<LineAnswer, Missing>> {
        match &self.0 {
            LineSourceKind::Image(image) => {
                let in_image = addrs.iter().map(|addr| addr.0.wrapping_sub(image.moved));
                let in_image: Vec<u64> = in_image.collect();
                let mut engine = image.engine.lock().unwrap_or_else(PoisonError::into_inner);
                engine.answers(&in_image)
            }
            LineSourceKind::Recorded(answers) => {
                let recorded = |addr| answers.get(addr).cloned().ok_or(Missing::NoLine);
                addrs.iter().map(recorded).collect()
            }
        }
    }

    /// Whether the kernel uses FG-KASLR. Then [`Self::place_of`] gives the address to ask for.
    #[must_use]
    pub fn is_fgkaslr(&self) -> bool {
        matches!(&self.0, LineSourceKind::Image(image) if image.fgkaslr.is_some())
    }

    /// Translates an offset in a symbol of a kernel that uses FG-KASLR into an address to ask for;
    /// `None` if the function is not known.
    #[must_use]
    pub fn place_of(&self, symbol: &SymbolAt, offset: u64) -> Option<Addr> {
        let LineSourceKind::Image(image) = &self.0 else {
            return None;
        };
        let names = image.fgkaslr.as_ref()?;
        let in_image = names.place(&symbol.name, symbol.size, offset)?;
        Some(Addr(in_image.wrapping_add(image.moved)))
    }

    /// A message if the image is readable but part of its information is missing.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match &self.0 {
            LineSourceKind::Image(image) => image.image.problem(),
            LineSourceKind::Recorded(_) => None,
        }
    }

    /// Whether answers come from an index.
    #[must_use]
    pub fn has_index(&self) -> bool {
        matches!(&self.0, LineSourceKind::Image(image) if image.has_index)
    }

    /// The image to build an index of; `None` if there is an index or if none can be built.
    pub(super) fn without_index(&self) -> Option<Arc<Image>> {
        match &self.0 {
            LineSourceKind::Image(image) => image.to_index(),
            LineSourceKind::Recorded(_) => None,
        }
    }
}

impl ImageLines {
    /// The image, if it has no index and nothing of it is missing.
    fn to_index(&self) -> Option<Arc<Image>> {
        let is_whole = self.image.problem().is_none();
        (!self.has_index && is_whole).then(|| Arc::clone(&self.image))
    }
}

/// Opens an image. Damaged DWARF may panic a parser, and the run must survive that.
fn open(
    file: &ImageFile,
    load_address: &LoadAddress,
    options: &LineOptions,
) -> Result<OpenedImage, OpenError> {
    guarded(|| open_image(file, load_address, options)).unwrap_or(Err(OpenError::Thread))
}

fn open_image(
    file: &ImageFile,
    load_address: &LoadAddress,
    options: &LineOptions,
) -> Result<OpenedImage, OpenError> {
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
    Ok(OpenedImage { lines, symbols })
}

/// Returns the functions of an image by name if the kernel moved them individually, else `None`.
fn fgkaslr(image: &Image, probes: &[(&str, u64)]) -> Option<FunctionOffsets> {
    // FG-KASLR leaves functions together that assembler code refers to, so that some are always in
    // place.
    if image.are_there(probes, probes.len().div_ceil(4)) {
        return None;
    }
    Some(image.names()).filter(|names| names.are_elsewhere(probes))
}

/// Difference in bytes between run-time addresses and those of the image; `None` if no anchor is
/// known in both.
fn moved(
    load_address: &LoadAddress,
    image: &Image,
    in_image: impl Fn(&str) -> Option<u64>,
) -> Option<u64> {
    match load_address {
        LoadAddress::Module(_) => Some(0),
        // The addresses of a module that is not loaded start at `UNLOADED_TEXT`, with its text.
        LoadAddress::Fixed(base) if image.is_relocatable() => {
            Some(base.unwrap_or(0).wrapping_sub(UNLOADED_TEXT))
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
