// SPDX-License-Identifier: BSD-2-Clause
//! Which image gives source lines, opened in the background; why none does.

use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;

use super::failure::Failure;
use super::warm;
use crate::cache::Cache;
use crate::config::{Config, Symbolization};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::{self, Found, ImageProblem, KernelIdentity};
use crate::kernel::kallsyms::Kallsyms;
use crate::symbolize::{
    IndexUse, Level, LineOptions, LineSource, ModuleLines, PendingLines, Symbolizer,
};

/// Which image is read, and how.
#[derive(Clone, Debug)]
pub(super) struct ImageChoice {
    named: Option<PathBuf>,
    options: LineOptions,
}

impl ImageChoice {
    /// The image that the user named, or that of the running kernel; `cache` says whether indexes
    /// are used and made.
    pub(super) fn new(named: Option<&Path>, cache: bool) -> Self {
        let cache = warm::directory().filter(|_| cache);
        Self {
            named: named.map(Path::to_owned),
            options: LineOptions {
                // Without one the image is read.
                cache: cache.and_then(|directory| Cache::open(&directory).ok()),
                ..LineOptions::default()
            },
        }
    }

    /// With so many MiB of memory: a half for what was read, a half for frames that were made of
    /// it.
    pub(super) fn with_memory(mut self, mib: u32) -> Self {
        self.options.most_bytes = (mib as usize) << 19;
        self
    }

    /// The one that the user named.
    pub(super) fn named(&self) -> Option<&Path> {
        self.named.as_deref()
    }

    /// How it is read.
    pub(super) fn options(&self) -> &LineOptions {
        &self.options
    }
}

/// An image that is being opened, if there is one, and how much of it is wanted.
pub(super) struct PendingImage {
    found: Option<PathBuf>,
    pending: Option<PendingLines>,
    level: Level,
    choice: ImageChoice,
    index: IndexUse,
}

/// Finds the image.
pub(super) fn look_for(config: &Config, files: &KernelFiles, diag: &Diag) -> Result<PendingImage> {
    let level = match config.symbolization {
        Symbolization::NamesOnly => Level::Names,
        Symbolization::Lines => Level::Lines,
        Symbolization::Auto | Symbolization::Inlines => Level::Inlines,
    };
    let mut image = PendingImage {
        found: None,
        pending: None,
        level,
        choice: ImageChoice::new(config.kernel_image.as_deref(), config.cache)
            .with_memory(config.symbol_memory),
        index: IndexUse::Make,
    };
    if level == Level::Names {
        return Ok(image);
    }
    let found = find(config.kernel_image.as_deref(), files)?;
    say_problems(&found, config, files, diag);
    if let Some(found) = found.image {
        diag.info(1, format!("source lines from `{}`", found.path.display()));
        if !found.is_verified {
            diag.warning(format!(
                "`{}` has no build id to compare with the kernel's: its lines may be wrong",
                found.path.display()
            ));
        }
        image.found = Some(found.path);
    }
    Ok(image)
}

/// Finds the image and begins to open it, to say where functions are defined.
pub(super) fn of_functions(
    choice: &ImageChoice,
    files: &KernelFiles,
    kallsyms: &Kallsyms,
    diag: &Diag,
) -> Result<PendingImage> {
    let found = find(choice.named.as_deref(), files)?;
    for problem in &found.problems {
        if found.image.is_none() {
            diag.warning(format!("no source files: {problem}"));
        }
    }
    let mut image = PendingImage {
        found: found.image.map(|image| image.path),
        pending: None,
        level: Level::Lines,
        choice: choice.clone(),
        index: IndexUse::Read,
    };
    image.begin(kallsyms, true)?;
    Ok(image)
}

fn find(named: Option<&Path>, files: &KernelFiles) -> Result<Found> {
    let kernel = KernelIdentity::read(&files.path(""))?;
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    match named {
        Some(path) => images::named(&files.path(""), &caches, path, &kernel).map_err(|problem| {
            Failure::hinted(
                format!("{problem}"),
                "`-k` takes the `vmlinux` of the running kernel, with debug information",
            )
        }),
        None => Ok(images::find(&files.path(""), &caches, &kernel)),
    }
}

/// The modules of the running kernel.
pub(super) fn of_modules(files: &KernelFiles) -> Result<ModuleLines> {
    let root = files.path("");
    let kernel = KernelIdentity::read(&root)?;
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    Ok(ModuleLines::new(root, caches, kernel))
}

/// How to get debug information of the running kernel.
pub(super) fn remedy(files: &KernelFiles) -> String {
    let root = files.path("");
    match KernelIdentity::read(&root) {
        Ok(kernel) => images::remedy(&root, &kernel),
        Err(_) => "name the kernel's `vmlinux` with -k".to_owned(),
    }
}

/// What was asked for and cannot be had is a warning; what was not is a remark.
fn say_problems(found: &Found, config: &Config, files: &KernelFiles, diag: &Diag) {
    let asked = config.symbolization != Symbolization::Auto;
    for problem in &found.problems {
        let matters = matches!(problem, ImageProblem::Mismatch { .. });
        if found.image.is_none() && (asked || matters) {
            diag.warning(format!("no source lines: {problem}"));
        } else {
            diag.info(1, format!("no source lines: {problem}"));
        }
    }
    if found.image.is_none() && asked {
        diag.hint(remedy(files));
    }
}

impl PendingImage {
    /// How many bytes of memory frames may take.
    pub(super) fn most_bytes(&self) -> usize {
        self.choice.options().most_bytes
    }

    /// How much is shown.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Begins to open the image in the background. On a machine with one processor only
    /// `at_last`: there it would delay what comes first, attaching.
    pub(super) fn begin(&mut self, kallsyms: &Kallsyms, at_last: bool) -> Result<()> {
        let has_room = thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
        if (at_last || has_room)
            && let Some(path) = self.found.take()
        {
            let options = self.choice.options().clone();
            let options = LineOptions {
                index: self.index,
                ..options
            };
            self.pending = Some(Symbolizer::prepare(path, kallsyms, options)?);
        }
        Ok(())
    }

    /// Whether the user named it: then it is waited for before tracing begins.
    pub(super) fn is_named(&self) -> bool {
        self.choice.named.is_some()
    }

    /// Waits for the image.
    pub(super) fn join(&mut self, diag: &Diag) -> Result<Option<LineSource>> {
        match self.pending.take().map(PendingLines::join) {
            None => Ok(None),
            Some(Ok(lines)) => {
                if let Some(problem) = lines.problem() {
                    diag.warning(problem);
                }
                Ok(Some(lines))
            }
            Some(Err(error)) if self.is_named() => Err(error.into()),
            Some(Err(error)) => {
                diag.warning(format!("no source lines: {error}"));
                Ok(None)
            }
        }
    }
}
