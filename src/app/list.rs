// SPDX-License-Identifier: BSD-2-Clause
//! `list functions`: what of a kernel could be traced, how, and what not and why.
//!
//! The same facts and the same selection as a run's, but nothing is loaded beyond the question
//! which back ends there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Error, Result, anyhow};

use super::failure::Failure;
use super::gather::capabilities;
use super::lines;
use crate::bpf::KernelSupport;
use crate::bpf::attach::BackendKind;
use crate::config::{ListConfig, ListFormat};
use crate::diag::Diag;
use crate::kernel::btf::{Btf, BtfFunction};
use crate::kernel::facts::{KernelFacts, KernelFiles};
use crate::render::{ListedFunction, write_functions_json, write_functions_text};
use crate::select::{GlobReport, Selection, matching_modules, select};
use crate::spec::{Addr, base_name};
use crate::symbolize::{Level, Symbolizer};

/// Lists the functions that the globs mean.
pub(super) fn list(config: &ListConfig, files: &KernelFiles, diag: &Diag) -> Result<()> {
    let mut out = Vec::new();
    if config.format == ListFormat::Names {
        for name in names(config, files)? {
            out.extend(name.as_bytes());
            out.push(b'\n');
        }
        return super::print(&out);
    }
    let gathered = gather(config, files)?;
    complain(&gathered.selection.globs, diag)?;
    let mut functions = functions(&gathered);
    if config.source {
        add_sources(config, files, &gathered, &mut functions, diag)?;
    }
    let mut functions: Vec<ListedFunction> = functions
        .into_iter()
        .map(|(_, function)| function)
        .collect();
    functions.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    match config.format {
        ListFormat::Json => write_functions_json(&functions, &mut out)?,
        ListFormat::Text | ListFormat::Names => write_functions_text(&functions, &mut out)?,
    }
    super::print(&out)
}

/// What is listed, and the facts it was made from.
struct Gathered {
    facts: KernelFacts,
    selection: Selection,
    backend: BackendKind,
}

fn gather(config: &ListConfig, files: &KernelFiles) -> Result<Gathered> {
    let backend = BackendKind::best(KernelSupport::probe());
    let (kallsyms, traceable, btf) = thread::scope(|scope| {
        // Addresses tell namesakes apart; kernels before 6.5 have no list with them.
        let traceable = scope.spawn(|| {
            let with_addresses = files.traceable_addresses();
            with_addresses.or_else(|_| files.traceable())
        });
        let btf = scope.spawn(|| files.kernel_btf());
        (files.kallsyms(), traceable.join(), btf.join())
    });
    let panicked = |_| anyhow!("a reading thread panicked");
    let hinted = |error: Error| {
        let hint = "run it as root; `retsnoop-rs doctor` tells what is missing";
        Failure::hinted(format!("{error:#}"), hint)
    };
    let kernel_btf = btf.map_err(panicked)?.map_err(hinted)?;
    let kallsyms = kallsyms.map_err(hinted)?;
    let modules = matching_modules(&config.globs, &kallsyms);
    let mut facts = KernelFacts {
        kallsyms,
        traceable: Some(traceable.map_err(panicked)?.map_err(hinted)?),
        kprobe_blacklist: files.kprobe_blacklist(),
        kernel_btf: Some(kernel_btf),
        module_btf: BTreeMap::new(),
    };
    facts.add_modules(files, modules);
    let btf = facts.kernel_btf.as_ref().context("no types")?;
    let capabilities = capabilities(backend, btf, files);
    let selection = select(&config.globs, &facts, &capabilities);
    Ok(Gathered {
        facts,
        selection,
        backend,
    })
}

/// A glob that matches nothing is a warning; where none matches, an error.
fn complain(globs: &[GlobReport], diag: &Diag) -> Result<()> {
    let unmatched = globs.iter().filter(|glob| glob.in_kallsyms == 0);
    let unmatched: Vec<String> = unmatched.filter_map(GlobReport::why_nothing).collect();
    if unmatched.len() < globs.len() {
        for why in unmatched {
            diag.warning(why);
        }
        return Ok(());
    }
    Err(Failure::hinted(
        unmatched.join("; "),
        "write `*` for what you do not know, such as '*map*create*'",
    ))
}

fn functions(gathered: &Gathered) -> Vec<(Addr, ListedFunction)> {
    let Gathered {
        facts, selection, ..
    } = gathered;
    let types = Types::of(facts);
    let backend = gathered.backend.to_string();
    let traced = selection.functions.iter().map(|function| {
        let (name, module) = (&function.name, function.module.as_deref());
        (function.addr, name, module, Ok(backend.clone()))
    });
    let left_out = selection.left_out.iter().map(|left_out| {
        let (name, module) = (&left_out.name, left_out.module.as_deref());
        (
            left_out.addr,
            name,
            module,
            Err(left_out.reason.to_string()),
        )
    });
    let listed = |(addr, name, module, backend): (Addr, &String, Option<&str>, _)| {
        let function = ListedFunction {
            name: name.clone(),
            module: module.map(str::to_owned),
            backend,
            prototype: types.declaration(name, module),
            source: None,
        };
        (addr, function)
    };
    traced.chain(left_out).map(listed).collect()
}

/// The functions that type information has, by name; built once.
struct Types<'a> {
    kernel: Option<(&'a Btf, HashMap<&'a str, BtfFunction<'a>>)>,
    modules: HashMap<&'a str, (&'a Btf, HashMap<&'a str, BtfFunction<'a>>)>,
}

impl<'a> Types<'a> {
    fn of(facts: &'a KernelFacts) -> Self {
        let by_name = |btf: &'a Btf| (btf, btf.functions_by_name());
        Self {
            kernel: facts.kernel_btf.as_deref().map(by_name),
            modules: facts
                .module_btf
                .iter()
                .map(|(name, btf)| (name.as_str(), by_name(btf)))
                .collect(),
        }
    }

    fn declaration(&self, name: &str, module: Option<&str>) -> Option<String> {
        let (btf, functions) = match module {
            None => self.kernel.as_ref()?,
            Some(module) => self.modules.get(module)?,
        };
        let exact = functions.get(name);
        let function = exact.or_else(|| functions.get(base_name(name)))?;
        // Namesakes with other prototypes: which of them this is, is not known.
        function.unique.then(|| btf.declaration(function.id))?
    }
}

fn add_sources(
    config: &ListConfig,
    files: &KernelFiles,
    gathered: &Gathered,
    functions: &mut [(Addr, ListedFunction)],
    diag: &Diag,
) -> Result<()> {
    let image = lines::of_functions(
        config.kernel_image.as_deref(),
        files,
        &gathered.facts.kallsyms,
        diag,
    )?;
    let Some(lines) = image.join(diag)? else {
        return Ok(());
    };
    let kallsyms = files.kallsyms().context("the symbols went away")?;
    let symbolizer = Symbolizer::new(Arc::new(kallsyms), Level::Lines, Some(lines));
    for (addr, function) in functions {
        let frame = symbolizer.frame(*addr, false);
        function.source = frame
            .source
            .as_ref()
            .map(|source| (source.path.to_string(), source.line));
    }
    Ok(())
}

/// Names for a shell to complete. Types are readable for everyone and read in a moment; symbols
/// are neither.
fn names(config: &ListConfig, files: &KernelFiles) -> Result<BTreeSet<String>> {
    let kernel = files.kernel_btf()?;
    let mut names = BTreeSet::new();
    let mut add = |btf: &Btf, module: Option<&str>| {
        for (_, name) in btf.functions() {
            let globs = &config.globs.entry;
            if globs.iter().any(|glob| glob.spec.matches(name, module)) {
                names.insert(name.to_owned());
            }
        }
    };
    add(&kernel, None);
    for module in files.modules_with_btf() {
        if let Ok(btf) = files.module_btf(&module, &kernel) {
            add(&btf, Some(&module));
        }
    }
    Ok(names)
}
