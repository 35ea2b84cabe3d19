// SPDX-License-Identifier: BSD-2-Clause
//! The symbols of the running kernel, by the fastest way that it offers: its memory, or else the
//! text of `/proc/kallsyms`.

use std::sync::Arc;

use anyhow::Result;

use super::absent::AbsentModule;
use super::btf::Btf;
use super::facts::KernelFiles;
use super::kallsyms::{Kallsyms, LoadedLayout};
use super::kcore::Kcore;

/// Reads symbols, now and again: modules and programs come and go.
#[derive(Debug)]
pub struct SymbolReader {
    files: KernelFiles,
    kcore: Option<Arc<Kcore>>,
    layout: Option<LoadedLayout>,
    /// Why the text has to do.
    why_text: Option<String>,
    absent: Arc<[AbsentModule]>,
}

impl SymbolReader {
    /// A reader; `kcore` is the kernel's memory, or why there is none.
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

    /// The symbols of the kernel itself, perhaps more.
    ///
    /// # Errors
    ///
    /// When the kernel shows its symbols in no way.
    pub fn of_kernel(&mut self) -> Result<Kallsyms> {
        if let Some(kcore) = &self.kcore {
            match Kallsyms::of_memory(kcore) {
                Ok(symbols) => return Ok(symbols),
                Err(error) => self.why_text = Some(format!("{error:#}")),
            }
        }
        self.files.kallsyms()
    }

    /// Adds the symbols of what is loaded to those of [`SymbolReader::of_kernel`].
    ///
    /// # Errors
    ///
    /// When the kernel shows them in no way.
    pub fn with_loaded(&mut self, kernel: Kallsyms, btf: &Btf) -> Result<Kallsyms> {
        self.layout = LoadedLayout::of(btf);
        if self.why_text.is_some() {
            // The text has all of them.
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
    /// When there are too many.
    pub fn add_absent_modules(
        &mut self,
        modules: &Arc<[AbsentModule]>,
        known: Kallsyms,
    ) -> Result<Kallsyms> {
        self.absent = Arc::clone(modules);
        known.with_absent(&self.absent)
    }

    /// Returns the modules of [`Self::add_absent_modules`].
    #[must_use]
    pub fn absent_modules(&self) -> &Arc<[AbsentModule]> {
        &self.absent
    }

    /// The symbols as they are now; `known` are older ones.
    ///
    /// # Errors
    ///
    /// When the kernel shows them in no way.
    pub fn read_again(&self, known: &Kallsyms) -> Result<Kallsyms> {
        if let (Some(kcore), Some(layout)) = (&self.kcore, &self.layout)
            && let Ok(symbols) = known.with_loaded(kcore, layout)
        {
            return symbols.with_absent(&self.absent);
        }
        self.files.kallsyms()?.with_absent(&self.absent)
    }

    /// Why they had to be read as text, which takes longer; `None` where they had not.
    #[must_use]
    pub fn why_text(&self) -> Option<&str> {
        self.why_text.as_deref()
    }
}
