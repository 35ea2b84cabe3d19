// SPDX-License-Identifier: BSD-2-Clause
//! Lines of loaded modules. The file of a module is searched for when one of its addresses is first
//! asked for.

use std::collections::HashMap;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::functions::SourceFunctions;
use super::lines::{LineAnswer, LineSource, Missing, PendingLines};
use crate::kernel::absent::AbsentModule;
use crate::kernel::images::{KernelIdentity, find_absent_module, find_module, module_section};
use crate::spec::{Addr, NameGlob};

/// Maximum memory in bytes for what was read of one module.
const MAX_MODULE_MEMORY: usize = 4 << 20;

/// The section whose address shows whether a module was loaded again.
const TEXT_SECTION: &str = ".text";

/// The modules of a kernel, and those that were opened so far.
#[derive(Debug)]
pub struct ModuleLines {
    /// The directory that contains `/sys`, `/lib` and `/usr`.
    root: PathBuf,
    caches: Vec<PathBuf>,
    kernel: KernelIdentity,
    absent: Arc<[AbsentModule]>,
    opened: Mutex<OpenedModules>,
}

#[derive(Debug, Default)]
struct OpenedModules {
    modules: HashMap<String, Module>,
    problems: Vec<String>,
}

#[derive(Debug)]
struct Module {
    text: Option<u64>,
    lines: Option<LineSource>,
}

impl ModuleLines {
    /// Looks for modules of the kernel below `root`. `caches` are the directories in which
    /// debuginfod clients store files.
    #[must_use]
    pub fn new(root: PathBuf, caches: Vec<PathBuf>, kernel: KernelIdentity) -> Self {
        Self {
            root,
            caches,
            kernel,
            absent: Arc::default(),
            opened: Mutex::default(),
        }
    }

    /// Adds modules that are not loaded yet. They are opened at the placeholders of their sections.
    #[must_use]
    pub fn with_absent(mut self, modules: &Arc<[AbsentModule]>) -> Self {
        self.absent = Arc::clone(modules);
        self
    }

    /// Returns why modules that were asked for have no lines, since the last call.
    #[must_use]
    pub fn take_problems(&self) -> Vec<String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut opened.problems)
    }

    /// Returns the functions of a module that are defined in the files whose path matches.
    #[must_use]
    pub fn functions(&self, module: &str, path: &NameGlob) -> SourceFunctions {
        self.with(module, |lines| lines.functions(path))
            .unwrap_or_default()
    }

    /// Answers addresses in a module.
    pub(super) fn answers(&self, module: &str, addrs: &[Addr]) -> Vec<Result<LineAnswer, Missing>> {
        let n_addrs = addrs.len();
        self.with(module, |lines| lines.answers(addrs))
            .unwrap_or_else(|| vec![Err(Missing::OutsideImage); n_addrs])
    }

    fn with<T>(&self, module: &str, ask: impl FnOnce(&LineSource) -> T) -> Option<T> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.modules.contains_key(module) {
            let lines = self.open(module);
            let lines = lines.map_err(|why| opened.problems.push(format!("`{module}`: {why}")));
            let text = module_section(&self.root, module, TEXT_SECTION);
            let lines = lines.ok();
            opened
                .modules
                .insert(module.to_owned(), Module { text, lines });
        }
        opened.modules.get(module)?.lines.as_ref().map(ask)
    }

    /// Closes modules that were unloaded, or loaded to another address.
    pub(super) fn forget_moved(&self) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |name: &str, module: &Module| {
            module.text == module_section(&self.root, name, TEXT_SECTION)
        };
        opened.modules.retain(|name, module| {
            self.absent(name).is_some() || (module.text.is_some() && is_there(name, module))
        });
    }

    fn absent(&self, name: &str) -> Option<&AbsentModule> {
        self.absent.iter().find(|module| module.name == name)
    }

    fn open(&self, module: &str) -> Result<LineSource, String> {
        let found = match self.absent(module) {
            Some(absent) => find_absent_module(&self.root, &self.caches, &self.kernel, absent),
            None => find_module(&self.root, &self.caches, &self.kernel, module),
        };
        let image = found.map_err(|problem| problem.to_string())?;
        let opened = PendingLines::open_module(image.file, image.sections, MAX_MODULE_MEMORY);
        opened.map_err(|error| error.to_string())
    }
}
