// SPDX-License-Identifier: BSD-2-Clause
//! The thread that reads an image: it opens it while BPF programs attach, then answers addresses.
//!
//! A thread, because all that it parses borrows from the mappings: they are variables of its one
//! function, so that nothing refers to itself and nothing is leaked. It also fences off what
//! damaged DWARF may do to a parser.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::engine::Engine;
use super::inflate::temporary_directories;
use super::sections::{ANCHORS, Image, OpenError};
use super::types::{Inlined, SourceLine};
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::Addr;

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
    opened: Receiver<Result<(), OpenError>>,
}

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

#[derive(Debug)]
struct Question {
    addr: Addr,
    answer: Sender<Result<Answer, Missing>>,
}

impl PendingLines {
    /// Begins to open an image whose build id is known to be the kernel's.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn open(path: PathBuf, kallsyms: &Kallsyms) -> Result<Self, OpenError> {
        let anchors = ANCHORS.map(|anchor| kallsyms.named(anchor).next().map(|symbol| symbol.addr));
        let (questions, asked) = channel();
        let (opening, opened) = channel();
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || serve(path, anchors, &opening, &asked))
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
        match &self.0 {
            Source::Image(questions) => ask(questions, addr),
            Source::Recorded(answers) => answers.get(&addr).cloned().ok_or(Missing::NoLine),
        }
    }
}

fn ask(questions: &Mutex<Sender<Question>>, addr: Addr) -> Result<Answer, Missing> {
    let (answer, answered) = channel();
    let questions = questions.lock().map_err(|_| Missing::Damaged)?;
    questions
        .send(Question { addr, answer })
        .map_err(|_| Missing::Damaged)?;
    drop(questions);
    answered
        .recv_timeout(PATIENCE)
        .map_err(|_| Missing::Damaged)?
}

/// The thread's function: it ends when nobody can ask any more.
fn serve(
    path: PathBuf,
    anchors: [Option<Addr>; ANCHORS.len()],
    opening: &Sender<Result<(), OpenError>>,
    asked: &Receiver<Question>,
) {
    let image = match Image::open(&path, &temporary_directories()) {
        Ok(image) => image,
        Err(error) => return drop(opening.send(Err(error))),
    };
    let sections = match image.sections() {
        Ok(sections) => sections,
        Err(error) => return drop(opening.send(Err(error))),
    };
    let pairs = anchors.iter().zip(sections.anchors);
    let mut moved =
        pairs.filter_map(|(kernel, image)| Some(kernel.as_ref()?.0.wrapping_sub(image?)));
    let Some(moved) = moved.next() else {
        return drop(opening.send(Err(OpenError::NoAnchor(path))));
    };
    let engine = Engine::new(sections);
    if opening.send(Ok(())).is_err() {
        return;
    }
    while let Ok(Question { addr, answer }) = asked.recv() {
        let in_image = addr.0.wrapping_sub(moved);
        let result = catch_unwind(AssertUnwindSafe(|| engine.answer(in_image)));
        // Nobody waits any more where this fails.
        let _ = answer.send(result.unwrap_or(Err(Missing::Damaged)));
    }
}
