// SPDX-License-Identifier: BSD-2-Clause
//! The symbols and lines for `symbolize`: of the running kernel with its image, or of an image
//! alone.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::env;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::config::SymbolizeConfig;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::{self, ImageFile, ImageProblem, ImageSearch, KernelIdentity};
use crate::kernel::kallsyms::Kallsyms;
use crate::live::fetching::Fetching;
use crate::live::lines::{self, ImageChoice, of_modules};
use crate::spec::{Addr, Ip, SymbolPlace};
use crate::symbolize::{Frame, Level, PendingLines, Symbolizer};

/// Symbols and source lines to resolve places with.
pub(crate) struct PlaceSymbols {
    kallsyms: Arc<Kallsyms>,
    symbolizer: Symbolizer,
    /// Symbols by name, as a cache.
    named: RefCell<HashMap<String, Vec<NamedSymbol>>>,
    /// Modules whose debug information was requested.
    modules: RefCell<HashSet<String>>,
    fetching: Fetching,
    /// Whether the user was told how to get missing debug information.
    is_remedy_told: bool,
}

/// A function symbol with the name that is looked up.
#[derive(Clone)]
struct NamedSymbol {
    addr: Addr,
    size: u64,
    module: Option<String>,
}

/// Why a symbol with an offset has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// No symbol has the name.
    NoSymbol,
    /// The symbols with the name have another size: this one, in bytes.
    OtherSize(u64),
    /// The offset is outside the symbol, which has this size in bytes.
    Outside(u64),
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSymbol => write!(f, "no symbol of this name"),
            Self::OtherSize(size) => write!(f, "its size is {size:#x} here"),
            Self::Outside(size) => write!(f, "its size is {size:#x} only"),
        }
    }
}

impl PlaceSymbols {
    /// Opens the image of the options, or the running kernel's symbols and image.
    pub(crate) fn open(
        options: &SymbolizeConfig,
        files: &KernelFiles,
        diag: &Diag,
    ) -> Result<Self> {
        let fetching = Fetching::new(options.download, files);
        let choice = &ImageChoice::new(options.kernel_image.as_deref(), options.cache, fetching)
            .with_memory(options.symbol_memory);
        match &options.kernel_image {
            None => Self::of_running(choice, files, diag),
            Some(image) if options.base.is_none() && is_running(image, files) => {
                Self::of_running(choice, files, diag).or_else(|error| {
                    diag.warning(format!("{error:#}: addresses are taken as the image's own"));
                    Self::of_image(image, None, choice, diag)
                })
            }
            Some(image) => Self::of_image(image, options.base, choice, diag),
        }
    }

    fn of_image(
        image: &Path,
        base: Option<u64>,
        choice: &ImageChoice,
        diag: &Diag,
    ) -> Result<Self> {
        let with_debug = with_debug(image, choice.fetching(), diag).map_err(|problem| {
            Failure::hinted(problem.to_string(), choice.fetching().remedy(None))
        })?;
        let opened = PendingLines::open_alone(with_debug, base, choice.options());
        let (lines, symbols) = opened.map_err(|error| {
            let hint = "-k takes a `vmlinux` with debug information";
            Failure::hinted(error.to_string(), hint)
        })?;
        let kallsyms = Arc::new(symbols);
        let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, Some(lines))
            .with_memory(choice.options().most_bytes);
        Ok(Self::new(kallsyms, symbolizer, choice, false))
    }

    fn of_running(choice: &ImageChoice, files: &KernelFiles, diag: &Diag) -> Result<Self> {
        let kallsyms = files.kallsyms().map_err(|error| {
            let hint = "run as root, or name an image with -k IMAGE";
            Failure::hinted(format!("{error:#}"), hint)
        })?;
        let found = lines::find(choice, files, diag)?;
        let prepare = |path| Symbolizer::prepare(path, &kallsyms, choice.options().clone());
        let lines = match found {
            ImageSearch {
                image: Some(image), ..
            } => match prepare(image.file).and_then(PendingLines::join) {
                Ok(lines) => {
                    if let Some(problem) = lines.problem() {
                        diag.warning(problem);
                    }
                    Some(lines)
                }
                Err(error) => {
                    diag.warning(format!("no source lines: {error}"));
                    None
                }
            },
            ImageSearch { problems, .. } => {
                for problem in problems {
                    diag.warning(format!("no source lines: {problem}"));
                }
                diag.hint(choice.fetching().remedy_of_running());
                None
            }
        };
        let is_remedy_told = lines.is_none();
        let kallsyms = Arc::new(kallsyms);
        let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, lines)
            .with_memory(choice.options().most_bytes);
        symbolizer.set_modules(of_modules(files)?);
        Ok(Self::new(kallsyms, symbolizer, choice, is_remedy_told))
    }

    fn new(
        kallsyms: Arc<Kallsyms>,
        symbolizer: Symbolizer,
        choice: &ImageChoice,
        is_remedy_told: bool,
    ) -> Self {
        Self {
            kallsyms,
            symbolizer,
            named: RefCell::default(),
            modules: RefCell::default(),
            fetching: choice.fetching().clone(),
            is_remedy_told,
        }
    }

    /// Returns the frames of addresses; the flag says whether an address is a return address.
    pub(crate) fn frames(&self, asked: &[Ip], diag: &Diag) -> Vec<Arc<Frame>> {
        self.fetch_modules(asked, diag);
        self.symbolizer.frames(asked)
    }

    /// Fetches missing debug information of modules, once per module.
    fn fetch_modules(&self, asked: &[Ip], diag: &Diag) {
        let mut known = self.modules.borrow_mut();
        let modules = asked.iter().filter_map(|ip| {
            let (symbol, _) = self.kallsyms.resolve(ip.location.addr)?;
            symbol.module
        });
        let modules: BTreeSet<&str> = modules.filter(|module| !known.contains(*module)).collect();
        known.extend(modules.iter().map(|module| (*module).to_owned()));
        self.fetching.fetch_modules(modules, diag);
    }

    /// Returns true if an address is inside a known symbol.
    pub(crate) fn is_code(&self, addr: Addr) -> bool {
        self.kallsyms.resolve(addr).is_some()
    }

    /// Returns the addresses that a symbol with an offset may denote.
    pub(crate) fn addresses(&self, place: &SymbolPlace) -> Result<Vec<Addr>, Unplaced> {
        let mut named = self.named.borrow_mut();
        let candidates = named
            .entry(place.name.clone())
            .or_insert_with(|| self.candidates(&place.name));
        let of_module = |candidate: &&NamedSymbol| candidate.module == place.module;
        let candidates: Vec<&NamedSymbol> = candidates.iter().filter(of_module).collect();
        let Some(first) = candidates.first() else {
            return Err(Unplaced::NoSymbol);
        };
        let of_size =
            |candidate: &&&NamedSymbol| place.size.is_none_or(|size| size == candidate.size);
        let sized: Vec<_> = candidates.iter().filter(of_size).collect();
        if sized.is_empty() {
            return Err(Unplaced::OtherSize(first.size));
        }
        // A return address may be the first byte after a call that does not return.
        let inside = sized
            .iter()
            .filter(|candidate| place.offset <= candidate.size);
        let addrs: Vec<_> = inside
            .map(|candidate| Addr(candidate.addr.0.wrapping_add(place.offset)))
            .collect();
        if addrs.is_empty() {
            return Err(Unplaced::Outside(sized[0].size));
        }
        Ok(addrs)
    }

    fn candidates(&self, name: &str) -> Vec<NamedSymbol> {
        let symbols = self
            .kallsyms
            .named(name)
            .filter(|symbol| symbol.is_function);
        symbols
            .map(|symbol| NamedSymbol {
                addr: symbol.addr,
                size: symbol.size,
                module: symbol.module.map(str::to_owned),
            })
            .collect()
    }

    /// Warns about modules and addresses without source lines.
    pub(crate) fn complain(&self, diag: &Diag) {
        let problems = self.symbolizer.take_module_problems();
        for problem in &problems {
            diag.warning(format!("no source lines of module {problem}"));
        }
        if !problems.is_empty() && !self.is_remedy_told {
            diag.hint(self.fetching.remedy_of_modules());
        }
        let unresolved = self.symbolizer.unresolved();
        if unresolved.damaged > 0 {
            let n_damaged = unresolved.damaged;
            diag.warning(format!(
                "{n_damaged} addresses have no line because the image's debug information is damaged there"
            ));
        }
    }
}

/// Finds the file with the debug information of an image. Fetches it if the user asked for that.
fn with_debug(image: &Path, fetching: &Fetching, diag: &Diag) -> Result<ImageFile, ImageProblem> {
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    let look = || images::with_debug(Path::new("/"), &caches, image);
    let found = look();
    match &found {
        Err(ImageProblem::NoDwarf {
            build_id: Some(id), ..
        }) if fetching.fetch(id, diag) => look(),
        _ => found,
    }
}

/// Returns true if an image is verified to be the running kernel's.
fn is_running(image: &Path, files: &KernelFiles) -> bool {
    let kernel = KernelIdentity::read(&files.path(""));
    let Ok(kernel) = kernel else { return false };
    let caches = images::debuginfod_caches(|name| env::var_os(name));
    match images::named(&files.path(""), &caches, image, &kernel) {
        Ok(found) => found.image.is_some_and(|image| image.is_verified),
        Err(_) => false,
    }
}
