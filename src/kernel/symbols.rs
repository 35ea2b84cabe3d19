// SPDX-License-Identifier: BSD-2-Clause
//! Reads the symbols of the running kernel in the fastest way that it offers: from its memory, or
//! from the text of `/proc/kallsyms`.

use std::sync::Arc;

use anyhow::Result;

use super::absent::AbsentModule;
use super::btf::Btf;
use super::facts::KernelFiles;
use super::kallsyms::{Kallsyms, LoadedLayout};
use super::kcore::Kcore;

/// Reads symbols at the start, and again when modules or programs were loaded or unloaded.
#[derive(Debug)]
pub struct SymbolReader {
    files: KernelFiles,
    kcore: Option<Arc<Kcore>>,
    layout: Option<LoadedLayout>,
    /// Why the text is used; `None` if it is not.
    why_text: Option<String>,
    absent: Arc<[AbsentModule]>,
}

impl SymbolReader {
    /// Creates a reader. `kcore` is the kernel's memory, or why it is not available.
    #[must_use]
    pub fn new(files: &KernelFiles, kcore: Result<Arc<Kcore>>) -> Self {
        let (kcore, why_text) = match kcore {
            Ok(kcore) => (Some(kcore), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Self {
            files: files.clone(),
            kcore,
            layout: None,
            why_text,
            absent: Arc::default(),
        }
    }

    /// Reads the symbols of the kernel itself. If the text is used, they include those of loaded
    /// code.
    ///
    /// # Errors
    ///
    /// When the kernel gives access to its symbols in neither way.
    pub fn of_kernel(&mut self) -> Result<Kallsyms> {
        if let Some(kcore) = &self.kcore {
            match Kallsyms::of_memory(kcore) {
                Ok(symbols) => return Ok(symbols),
                Err(error) => self.why_text = Some(format!("{error:#}")),
            }
        }
        self.files.kallsyms()
    }

    /// Adds the symbols of loaded code to those of [`SymbolReader::of_kernel`].
    ///
    /// # Errors
    ///
    /// When the kernel gives access to its symbols in neither way.
    pub fn with_loaded(&mut self, kernel: Kallsyms, btf: &Btf) -> Result<Kallsyms> {
        self.layout = LoadedLayout::of(btf);
        if self.why_text.is_some() {
            // The text has the symbols of loaded code already.
            return Ok(kernel);
        }
        if let (Some(kcore), Some(layout)) = (&self.kcore, &self.layout)
            && let Ok(symbols) = kernel.add_loaded(kcore, layout)
        {
            return Ok(symbols);
        }
        self.files.kallsyms()
    }

    /// Adds the functions of modules that are not loaded yet to the symbols `known`, and to those
    /// that are read later.
    ///
    /// # Errors
    ///
    /// As [`Kallsyms::with_absent`].
    pub fn add_absent_modules(
        &mut self,
        modules: &Arc<[AbsentModule]>,
        known: Kallsyms,
    ) -> Result<Kallsyms> {
        self.absent = Arc::clone(modules);
        known.with_absent(&self.absent)
    }

    /// The modules of [`Self::add_absent_modules`].
    #[must_use]
    pub fn absent_modules(&self) -> &Arc<[AbsentModule]> {
        &self.absent
    }

    /// Reads the current symbols. `known` are older ones, of which the kernel's own are reused.
    ///
    /// # Errors
    ///
    /// When the kernel gives access to its symbols in neither way.
    pub fn read_again(&self, known: &Kallsyms) -> Result<Kallsyms> {
        if let (Some(kcore), Some(layout)) = (&self.kcore, &self.layout)
            && let Ok(symbols) = known.with_loaded(kcore, layout)
        {
            return symbols.with_absent(&self.absent);
        }
        self.files.kallsyms()?.with_absent(&self.absent)
    }

    /// Why symbols had to be read as text, which takes longer; `None` if they were read from
    /// memory.
    #[must_use]
    pub fn why_text(&self) -> Option<&str> {
        self.why_text.as_deref()
    }
}
