// SPDX-License-Identifier: BSD-2-Clause
//! Reads symbols and types of the running kernel: before the selection or, if the selection is
//! cached, after tracing has started.

use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use super::lines::PendingImage;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::btf::Btf;
use crate::kernel::facts::KernelFiles;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::kcore::Kcore;
use crate::kernel::symbols::SymbolReader;
use crate::symbolize::LineSource;

/// Symbols and types of the running kernel.
pub(crate) struct KernelSymbols {
    pub(crate) kallsyms: Arc<Kallsyms>,
    pub(crate) btf: Arc<Btf>,
    pub(crate) symbols: SymbolReader,
}

/// Symbols and types as they were just read, with the kernel's memory.
pub(crate) struct Read {
    pub(crate) kallsyms: Kallsyms,
    pub(crate) btf: Arc<Btf>,
    pub(crate) symbols: SymbolReader,
    /// The kernel's memory; `None` if it cannot be read.
    pub(crate) text: Option<Arc<Kcore>>,
}

/// Reads symbols and types in parallel.
pub(crate) fn read(files: &KernelFiles, diag: &Diag) -> Result<Read> {
    let kcore = files.kcore().map(Arc::new);
    let text = kcore.as_ref().ok().map(Arc::clone);
    let mut symbols = SymbolReader::new(files, kcore);
    let (kernel, btf) = thread::scope(|scope| {
        let btf = scope.spawn(|| files.kernel_btf());
        (symbols.of_kernel(), join(btf))
    });
    let btf = btf.map_err(|error| {
        let hint = "the kernel must be built with `CONFIG_DEBUG_INFO_BTF`";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    let kallsyms = kernel
        .and_then(|kernel| symbols.with_loaded(kernel, &btf))
        .map_err(|error| {
            let hint =
                "`sysctl kernel.kptr_restrict=1` shows them to root; 2 hides them from everyone";
            Failure::hinted(format!("{error:#}"), hint)
        })?;
    if let Some(note) = btf.note() {
        diag.info(1, note);
    }
    if let Some(why) = symbols.why_text() {
        diag.info(1, format!("symbols from `/proc/kallsyms`: {why}"));
    }
    diag.phase("read symbols and types");
    Ok(Read {
        kallsyms,
        btf,
        symbols,
        text,
    })
}

impl KernelSymbols {
    /// Reads symbols and types, and discards the access to the kernel's memory.
    pub(crate) fn read(files: &KernelFiles, diag: &Diag) -> Result<Self> {
        let read = read(files, diag)?;
        Ok(Self {
            kallsyms: Arc::new(read.kallsyms),
            btf: read.btf,
            symbols: read.symbols,
        })
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a reading thread panicked")))
}

/// What is needed to show sessions. It is loaded after tracing has started, except for an image
/// that the user named: that image may be the wrong one, which is an error before the start.
pub(crate) struct DeferredSymbols {
    known: Option<KernelSymbols>,
    image: PendingImage,
    lines: Option<LineSource>,
}

impl DeferredSymbols {
    pub(crate) fn load_before_start(
        known: Option<KernelSymbols>,
        mut image: PendingImage,
        files: &KernelFiles,
        diag: &Diag,
    ) -> Result<Self> {
        let is_named = image.is_named();
        let known = match known {
            None if is_named => Some(KernelSymbols::read(files, diag)?),
            known => known,
        };
        let mut lines = None;
        if let (true, Some(known)) = (is_named, &known) {
            image.begin(&known.kallsyms, true)?;
            lines = image.join(diag)?;
            diag.phase("opened the kernel image");
        }
        Ok(Self {
            known,
            image,
            lines,
        })
    }

    pub(crate) fn load_after_start(
        self,
        files: &KernelFiles,
        diag: &Diag,
    ) -> Result<(KernelSymbols, PendingImage, Option<LineSource>)> {
        let known = match self.known {
            Some(known) => known,
            None => KernelSymbols::read(files, diag)?,
        };
        Ok((known, self.image, self.lines))
    }
}
