// SPDX-License-Identifier: BSD-2-Clause
//! Finds the image that gives source lines and opens it in the background, or reports why there is
//! none.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;

use super::fetching::Fetching;
use crate::cache::{Cache, user_directory};
use crate::config::Download;
use crate::config::{Config, Symbolization};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::{self, ImageFile, ImageProblem, ImageSearch, KernelIdentity};
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
    /// Chooses the image that the user named, or that of the running kernel. `cache` enables
    /// reading and writing indexes. `fetching` handles missing debug information.
    pub(crate) fn new(named: Option<&Path>, cache: bool, fetching: Fetching) -> Self {
        let cache = user_directory().filter(|_| cache);
        Self {
            named: named.map(Path::to_owned),
            options: LineOptions {
                // If the cache cannot be opened, the image is read without an index.
                cache: cache.and_then(|directory| Cache::open(&directory).ok()),
                ..LineOptions::default()
            },
            fetching,
        }
    }

    /// Chooses the image by the settings of a traced run. A dry run fetches nothing.
    pub(crate) fn of_run(config: &Config, files: &KernelFiles) -> Self {
        let download = match config.run.dry_run {
            true => Download::default(),
            false => config.download,
        };
        let fetching = Fetching::new(download, files);
        Self::new(config.kernel_image.as_deref(), config.cache, fetching)
            .with_memory(config.symbol_memory)
    }

    /// Sets the memory limit in MiB: one half is for what was read from the image, the other half
    /// for frames built from it.
    pub(crate) fn with_memory(mut self, mib: u32) -> Self {
        self.options.most_bytes = (mib as usize) << 19;
        self
    }

    /// Returns how missing debug information is handled.
    pub(crate) fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    /// Returns the options for reading the image.
    pub(crate) fn options(&self) -> &LineOptions {
        &self.options
    }
}

/// An image that is to be opened or is being opened, if there is one, and how much of it is needed.
pub(crate) struct PendingImage {
    found: Option<ImageFile>,
    pending: Option<PendingLines>,
    level: Level,
    choice: ImageChoice,
    index: IndexUse,
}

/// Finds the image of a traced run and reports problems. It is not opened yet.
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

/// Finds the image and starts to open it, to tell where functions are defined.
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

/// Finds the image of the running kernel or the named one. Fetches its debug information if it is
/// missing and the user asked for that.
///
/// # Errors
///
/// Fails if the named image is unusable.
pub(crate) fn find(choice: &ImageChoice, files: &KernelFiles, diag: &Diag) -> Result<ImageSearch> {
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
        Ok(ImageSearch { image: None, .. }) if choice.named.is_none() => kernel.build_id.as_ref(),
        _ => None,
    };
    if missing.is_some_and(|id| choice.fetching.fetch(id, diag)) {
        return Ok(look()?);
    }
    Ok(found?)
}

fn find_or_explain(choice: &ImageChoice, files: &KernelFiles, diag: &Diag) -> Result<ImageSearch> {
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

/// Returns the source lines of the running kernel's modules. None is read yet.
pub(crate) fn of_modules(files: &KernelFiles) -> Result<ModuleLines> {
    let root = files.path("");
    let kernel = KernelIdentity::read(&root)?;
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    Ok(ModuleLines::new(root, caches, kernel))
}

/// Reports why there is no image. It is a warning if the user asked for source lines or if the
/// image is another kernel's, else a note. The remedy is printed once.
fn say_problems(found: &ImageSearch, config: &Config, fetching: &Fetching, diag: &Diag) {
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
    /// Fetches the debug information of the modules in the selection, if it is missing and the user
    /// asked for that.
    pub(crate) fn fetch_modules(&self, selection: &Selection, diag: &Diag) {
        if self.level == Level::Names {
            return;
        }
        let functions = selection.functions.iter();
        let modules: BTreeSet<&str> = functions
            .filter(|function| !function.hook.is_of_user())
            .filter_map(|function| function.module.as_deref())
            .collect();
        self.choice.fetching.fetch_modules(modules, diag);
    }

    /// Returns the maximum memory of frames, in bytes.
    pub(crate) fn most_bytes(&self) -> usize {
        self.choice.options().most_bytes
    }

    /// Returns what is shown of each frame: names, lines or inlined functions.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Starts to open the image in the background. On a machine with one processor this happens
    /// only if `at_last` is true, because it would delay attaching.
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

    /// Returns true if the user named the image. Tracing then starts after it is opened.
    pub(crate) fn is_named(&self) -> bool {
        self.choice.named.is_some()
    }

    /// Waits until the image is open. Returns `None` if there is none; only a named image that
    /// cannot be read is an error.
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
