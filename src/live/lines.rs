// SPDX-License-Identifier: BSD-2-Clause
//! Which image gives source lines, opened in the background; why none does.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;

use super::fetching::Fetching;
use crate::cache::{Cache, user_directory};
use crate::cli::DownloadOptions;
use crate::config::{Config, Symbolization};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::{self, Found, ImageFile, ImageProblem, KernelIdentity};
use crate::kernel::kallsyms::Kallsyms;
use crate::select::Selection;
use crate::symbolize::{
    IndexUse, Level, LineOptions, LineSource, ModuleLines, PendingLines, Symbolizer,
};

/// Which image is read, and how.
#[derive(Clone, Debug)]
pub(crate) struct ImageChoice {
    named: Option<PathBuf>,
    options: LineOptions,
    fetching: Fetching,
}

impl ImageChoice {
    /// The image that the user named, or that of the running kernel; `cache` says whether indexes
    /// are used and made, `fetching` what is done where debug information is missing.
    pub(crate) fn new(named: Option<&Path>, cache: bool, fetching: Fetching) -> Self {
        let cache = user_directory().filter(|_| cache);
        Self {
            named: named.map(Path::to_owned),
            options: LineOptions {
                // Without one the image is read.
                cache: cache.and_then(|directory| Cache::open(&directory).ok()),
                ..LineOptions::default()
            },
            fetching,
        }
    }

    /// As a traced run's settings say.
    pub(crate) fn of_run(config: &Config, files: &KernelFiles) -> Self {
        let download = match config.run.dry_run {
            true => DownloadOptions::default(),
            false => config.download,
        };
        let fetching = Fetching::new(download, files);
        Self::new(config.kernel_image.as_deref(), config.cache, fetching)
            .with_memory(config.symbol_memory)
    }

    /// With so many MiB of memory: a half for what was read, a half for frames that were made of
    /// it.
    pub(crate) fn with_memory(mut self, mib: u32) -> Self {
        self.options.most_bytes = (mib as usize) << 19;
        self
    }

    /// What is done where debug information is missing.
    pub(crate) fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    /// How it is read.
    pub(crate) fn options(&self) -> &LineOptions {
        &self.options
    }
}

/// An image that is being opened, if there is one, and how much of it is wanted.
pub(crate) struct PendingImage {
    found: Option<ImageFile>,
    pending: Option<PendingLines>,
    level: Level,
    choice: ImageChoice,
    index: IndexUse,
}

/// Finds the image.
pub(crate) fn look_for(config: &Config, files: &KernelFiles, diag: &Diag) -> Result<PendingImage> {
    let level = match config.symbolization {
        Symbolization::NamesOnly => Level::Names,
        Symbolization::Lines => Level::Lines,
        Symbolization::Auto | Symbolization::Inlines => Level::Inlines,
    };
    let mut image = PendingImage {
        found: None,
        pending: None,
        level,
        choice: ImageChoice::of_run(config, files),
        index: IndexUse::Make,
    };
    if level == Level::Names {
        return Ok(image);
    }
    let found = find_or_explain(&image.choice, files, diag)?;
    say_problems(&found, config, image.choice.fetching(), diag);
    if let Some(found) = found.image {
        diag.info(
            1,
            format!("source lines from `{}`", found.file.path.display()),
        );
        if !found.is_verified {
            diag.warning(format!(
                "`{}` has no build id to compare with the kernel's: its lines may be wrong",
                found.file.path.display()
            ));
        }
        image.found = Some(found.file);
    }
    Ok(image)
}

/// Finds the image and begins to open it, to say where functions are defined.
pub(crate) fn of_functions(
    choice: &ImageChoice,
    files: &KernelFiles,
    kallsyms: &Kallsyms,
    diag: &Diag,
) -> Result<PendingImage> {
    let found = find_or_explain(choice, files, diag)?;
    for problem in &found.problems {
        if found.image.is_none() {
            diag.warning(format!("no source files: {problem}"));
        }
    }
    let mut image = PendingImage {
        found: found.image.map(|image| image.file),
        pending: None,
        level: Level::Lines,
        choice: choice.clone(),
        index: IndexUse::Read,
    };
    image.begin(kallsyms, true)?;
    Ok(image)
}

/// Finds the image of the running kernel, the named one or another, and fetches its debug
/// information if it is missing and that was asked for.
///
/// # Errors
///
/// When the named one is of no use.
pub(crate) fn find(choice: &ImageChoice, files: &KernelFiles, diag: &Diag) -> Result<Found> {
    let root = files.path("");
    let kernel = KernelIdentity::read(&root)?;
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    let look = || match &choice.named {
        Some(path) => images::named(&root, &caches, path, &kernel),
        None => Ok(images::find(&root, &caches, &kernel)),
    };
    let found = look();
    let missing = match &found {
        Err(ImageProblem::NoDwarf { build_id, .. }) => build_id.as_ref(),
        Ok(Found { image: None, .. }) if choice.named.is_none() => kernel.build_id.as_ref(),
        _ => None,
    };
    if missing.is_some_and(|id| choice.fetching.fetch(id, diag)) {
        return Ok(look()?);
    }
    Ok(found?)
}

fn find_or_explain(choice: &ImageChoice, files: &KernelFiles, diag: &Diag) -> Result<Found> {
    find(choice, files, diag).map_err(|error| {
        let hint = match error.downcast_ref() {
            Some(ImageProblem::NoDwarf { .. }) => choice.fetching.remedy_of_running(),
            Some(_) => {
                "`-k` takes the `vmlinux` of the running kernel, with debug information".to_owned()
            }
            None => return error,
        };
        Failure::hinted(format!("{error}"), hint)
    })
}

/// The modules of the running kernel.
pub(crate) fn of_modules(files: &KernelFiles) -> Result<ModuleLines> {
    let root = files.path("");
    let kernel = KernelIdentity::read(&root)?;
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    Ok(ModuleLines::new(root, caches, kernel))
}

/// What was asked for and cannot be had is a warning; what was not is a note. The remedy is told
/// once.
fn say_problems(found: &Found, config: &Config, fetching: &Fetching, diag: &Diag) {
    let asked = config.symbolization != Symbolization::Auto;
    for problem in &found.problems {
        let problem_text = format!("no source lines: {problem}");
        if found.image.is_some() {
            diag.info(1, problem_text);
        } else if asked || matches!(problem, ImageProblem::Mismatch { .. }) {
            diag.warning(problem_text);
        } else {
            diag.note(problem_text);
        }
    }
    if found.image.is_none() {
        diag.hint(fetching.remedy_of_running());
    }
}

impl PendingImage {
    /// Fetches the debug information of these modules, where it is missing and that was asked for.
    pub(crate) fn fetch_modules(&self, selection: &Selection, diag: &Diag) {
        if self.level == Level::Names {
            return;
        }
        let functions = selection.functions.iter();
        let modules: BTreeSet<&str> = functions
            .filter_map(|function| function.module.as_deref())
            .collect();
        self.choice.fetching.fetch_modules(modules, diag);
    }

    /// How many bytes of memory frames may take.
    pub(crate) fn most_bytes(&self) -> usize {
        self.choice.options().most_bytes
    }

    /// How much is shown.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Begins to open the image in the background. On a machine with one processor only
    /// `at_last`: there it would delay what comes first, attaching.
    pub(crate) fn begin(&mut self, kallsyms: &Kallsyms, at_last: bool) -> Result<()> {
        let has_room = thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
        if (at_last || has_room)
            && let Some(file) = self.found.take()
        {
            let options = self.choice.options().clone();
            let options = LineOptions {
                index: self.index,
                ..options
            };
            self.pending = Some(Symbolizer::prepare(file, kallsyms, options)?);
        }
        Ok(())
    }

    /// Whether the user named it: then it is waited for before tracing begins.
    pub(crate) fn is_named(&self) -> bool {
        self.choice.named.is_some()
    }

    /// Waits for the image.
    pub(crate) fn join(&mut self, diag: &Diag) -> Result<Option<LineSource>> {
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
