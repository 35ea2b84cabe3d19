// SPDX-License-Identifier: BSD-2-Clause
//! The thread that reads an image: it opens it while BPF programs attach, then answers addresses.
//!
//! A thread, because all that it parses borrows from the mappings: they are variables of its one
//! function, so that nothing refers to itself and nothing is leaked. It also fences off what
//! damaged DWARF may do to a parser.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::engine::Engine;
use super::functions::{SourceFunctions, Where};
use super::inflate::temporary_directories;
use super::relocate::{FIRST, Placement};
use super::sections::{ANCHORS, Image, OpenError, Sections};
use super::types::{Inlined, SourceLine};
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, NameGlob};

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
    questions: Sender<Question>,
    opened: Receiver<Result<Opened, OpenError>>,
}

/// What is known as soon as an image is open.
#[derive(Debug)]
struct Opened {
    /// The image's own symbols, at the addresses that it is asked for.
    symbols: Option<Kallsyms>,
}

/// Which addresses an image will be asked for.
#[derive(Clone, Debug)]
enum Lies {
    /// The running kernel's, which has [`ANCHORS`] there.
    AsKernel([Option<Addr>; ANCHORS.len()]),
    /// Those of a kernel whose text begins there, or which was moved by so much; by default the
    /// image's own.
    At(Option<u64>),
    /// Those of a module whose sections were loaded there.
    Loaded(Vec<(String, u64)>),
}

/// What is below is a distance, as `Kernel Offset` of an oops; what is not is an address.
const LARGEST_OFFSET: u64 = 1 << 32;

/// Something to be asked for lines.
#[derive(Debug)]
pub struct LineSource(Source);

#[derive(Debug)]
enum Source {
    /// An open image, behind its thread.
    Image(Mutex<Sender<Question>>),
    /// Answers that were given before.
    Recorded(HashMap<Addr, Answer>),
}

/// How long one answer may take: damaged DWARF costs lines, never the run.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take to go through a whole image: a second or two, under emulation a minute.
const SEARCH_PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug)]
enum Question {
    /// What is at these addresses?
    Addresses(Vec<Addr>, Sender<Vec<Result<Answer, Missing>>>),
    /// Which functions do files of such a path define?
    Functions(Box<NameGlob>, Where, Sender<SourceFunctions>),
}

impl PendingLines {
    /// Begins to open an image whose build id is known to be the kernel's.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn open(path: PathBuf, kallsyms: &Kallsyms) -> Result<Self, OpenError> {
        let anchors = ANCHORS.map(|anchor| kallsyms.named(anchor).next().map(|symbol| symbol.addr));
        Self::start(path, Lies::AsKernel(anchors))
    }

    /// Opens an image to ask it for its own addresses, or those of a kernel whose text (`_text`)
    /// began at `base`, or which was moved by that; its symbols stand for kallsyms.
    ///
    /// # Errors
    ///
    /// When the image cannot be used.
    pub fn open_alone(
        path: PathBuf,
        base: Option<u64>,
    ) -> Result<(LineSource, Kallsyms), OpenError> {
        let pending = Self::start(path.clone(), Lies::At(base))?;
        let opened = pending.opened.recv().map_err(|_| OpenError::Thread)??;
        let symbols = opened.symbols.ok_or(OpenError::NoSymbols(path))?;
        let lines = LineSource(Source::Image(Mutex::new(pending.questions)));
        Ok((lines, symbols))
    }

    /// Opens the file of a module whose sections were loaded to these addresses.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub fn open_module(
        path: PathBuf,
        sections: Vec<(String, u64)>,
    ) -> Result<LineSource, OpenError> {
        Self::start(path, Lies::Loaded(sections))?.join()
    }

    fn start(path: PathBuf, lies: Lies) -> Result<Self, OpenError> {
        let (questions, asked) = channel();
        let (opening, opened) = channel();
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || serve(path, &lies, &opening, &asked))
            .map_err(|_| OpenError::Thread)?;
        Ok(Self { questions, opened })
    }

    /// Waits until the image is open.
    ///
    /// # Errors
    ///
    /// When the image cannot be used.
    pub fn join(self) -> Result<LineSource, OpenError> {
        self.opened.recv().map_err(|_| OpenError::Thread)??;
        Ok(LineSource(Source::Image(Mutex::new(self.questions))))
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
        let mut answers = self.answers(vec![addr]);
        answers.pop().unwrap_or(Err(Missing::Damaged))
    }

    /// The functions that files of such a path define, sorted by address.
    #[must_use]
    pub fn functions(&self, path: &NameGlob, units: Where) -> SourceFunctions {
        let Source::Image(questions) = &self.0 else {
            return SourceFunctions::default();
        };
        let (answer, answered) = channel();
        let asked = questions.lock().ok().and_then(|questions| {
            let question = Question::Functions(Box::new(path.clone()), units, answer);
            questions.send(question).ok()
        });
        let found = asked.and_then(|()| answered.recv_timeout(SEARCH_PATIENCE).ok());
        found.unwrap_or(SourceFunctions {
            n_damaged: 1,
            ..SourceFunctions::default()
        })
    }

    /// What is known about each of some addresses: cheaper than one by one.
    #[must_use]
    pub fn answers(&self, addrs: Vec<Addr>) -> Vec<Result<Answer, Missing>> {
        match &self.0 {
            Source::Image(questions) => {
                let n_addrs = addrs.len();
                ask(questions, addrs).unwrap_or_else(|| vec![Err(Missing::Damaged); n_addrs])
            }
            Source::Recorded(answers) => {
                let recorded = |addr| answers.get(&addr).cloned().ok_or(Missing::NoLine);
                addrs.into_iter().map(recorded).collect()
            }
        }
    }
}

fn ask(
    questions: &Mutex<Sender<Question>>,
    addrs: Vec<Addr>,
) -> Option<Vec<Result<Answer, Missing>>> {
    let (answers, answered) = channel();
    let patience = PATIENCE + Duration::from_millis(addrs.len() as u64);
    let questions = questions.lock().ok()?;
    questions.send(Question::Addresses(addrs, answers)).ok()?;
    drop(questions);
    answered.recv_timeout(patience).ok()
}

/// The thread's function: it ends when nobody can ask any more.
fn serve(
    path: PathBuf,
    lies: &Lies,
    opening: &Sender<Result<Opened, OpenError>>,
    asked: &Receiver<Question>,
) {
    let placement = match lies {
        Lies::Loaded(sections) => Placement::Loaded(sections.clone()),
        _ => Placement::Alone,
    };
    let image = match Image::open(&path, &temporary_directories(), &placement) {
        Ok(image) => image,
        Err(error) => return drop(opening.send(Err(error))),
    };
    let sections = match image.sections() {
        Ok(sections) => sections,
        Err(error) => return drop(opening.send(Err(error))),
    };
    let Some(moved) = moved(lies, &image, &sections) else {
        return drop(opening.send(Err(OpenError::NoAnchor(path))));
    };
    let symbols = match lies {
        Lies::AsKernel(_) | Lies::Loaded(_) => None,
        Lies::At(_) => image.symbols(moved),
    };
    let engine = Engine::new(sections);
    if opening.send(Ok(Opened { symbols })).is_err() {
        return;
    }
    while let Ok(question) = asked.recv() {
        // Nobody waits any more where an answer cannot be sent.
        match question {
            Question::Addresses(addrs, answers) => {
                let in_image: Vec<u64> = addrs
                    .iter()
                    .map(|addr| addr.0.wrapping_sub(moved))
                    .collect();
                let _ = answers.send(engine.answers(&in_image));
            }
            Question::Functions(path, units, answer) => {
                let mut found = engine.functions(&path, units);
                for addr in &mut found.addrs {
                    *addr = addr.wrapping_add(moved);
                }
                let _ = answer.send(found);
            }
        }
    }
}

/// How far the addresses that will be asked for are from the image's own.
fn moved(lies: &Lies, image: &Image, sections: &Sections<'_>) -> Option<u64> {
    match lies {
        Lies::Loaded(_) => Some(0),
        // A module's own addresses are those of its text.
        Lies::At(base) if image.is_relocatable() => Some(base.unwrap_or(0).wrapping_sub(FIRST)),
        Lies::AsKernel(anchors) => {
            let mut pairs = anchors.iter().zip(sections.anchors);
            pairs.find_map(|(kernel, image)| Some(kernel.as_ref()?.0.wrapping_sub(image?)))
        }
        Lies::At(None) => Some(0),
        Lies::At(Some(offset)) if *offset < LARGEST_OFFSET => Some(*offset),
        Lies::At(Some(base)) => {
            let begin = sections.anchors.into_iter().flatten().min()?;
            Some(base.wrapping_sub(begin))
        }
    }
}
