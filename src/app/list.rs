// SPDX-License-Identifier: BSD-2-Clause
//! `list functions`: which functions can be traced and how, and why the others cannot. Functions of
//! the kernel, and of executables and libraries.
//!
//! It uses the same facts and the same selection as a run. Nothing is loaded except to determine
//! the available back ends.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustc_hash::FxHashMap;

use crate::config::{GlobUse, Globs, ListConfig, ListFormat, Role};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::btf::{Btf, BtfFunction, NameSet};
use crate::kernel::facts::{KernelFacts, KernelFiles};
use crate::live::fetching::Fetching;
use crate::live::lines::{self, ImageChoice};
use crate::output::print;
use crate::prepare::gather::{GatheredFacts, capabilities, offered, read_facts};
use crate::prepare::layout::{full_support, support};
use crate::prepare::users;
use crate::render::{ListedFunction, write_functions_json, write_functions_text};
use crate::select::{Assigned, BackendPolicy, GlobReport, Selection, assign, select};
use crate::spec::{Addr, Ip, base_name};
use crate::symbolize::{Level, Symbolizer};

/// Writes the functions that the globs match to stdout.
pub(super) fn list(config: &ListConfig, files: &KernelFiles, diag: &Diag) -> Result<()> {
    let mut out = Vec::new();
    if config.format == ListFormat::Names {
        for name in names(config, files)? {
            out.extend(name.as_bytes());
            out.push(b'\n');
        }
        return print(&out);
    }
    let (of_kernel, of_user) = config.globs.split_user();
    let mut functions = user_functions(&of_user, files, diag)?;
    if !of_kernel.entry.is_empty() || of_user.is_empty() {
        functions.extend(kernel_functions(config, of_kernel, files, diag)?);
    }
    functions.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    match config.format {
        ListFormat::Json => write_functions_json(&functions, &mut out)?,
        ListFormat::Text | ListFormat::Names => write_functions_text(&functions, &mut out)?,
    }
    print(&out)
}

/// Returns the kernel functions that the globs match.
fn kernel_functions(
    config: &ListConfig,
    globs: Globs,
    files: &KernelFiles,
    diag: &Diag,
) -> Result<Vec<ListedFunction>> {
    let gathered = gather(config, &globs, files, diag)?;
    complain(&gathered.selection.globs, diag)?;
    let mut functions = functions(&gathered);
    if config.source {
        add_sources(config, files, &gathered, &mut functions, diag)?;
    }
    Ok(functions
        .into_iter()
        .map(|(_, function)| function)
        .collect())
}

/// Returns the user functions that the globs match. It is an error if a glob matches none.
fn user_functions(
    globs: &[(Role, GlobUse)],
    files: &KernelFiles,
    diag: &Diag,
) -> Result<Vec<ListedFunction>> {
    if globs.is_empty() {
        return Ok(Vec::new());
    }
    let mut selection = Selection::default();
    let user = users::add(&mut selection, globs, &users::Places::of_host(None), diag);
    let whys: Vec<&str> = user.whys_of_none().collect();
    if !whys.is_empty() {
        return Err(Failure::hinted(
            whys.join("; "),
            "write `*` for what you do not know, such as 'u:libc:*addrinfo*'",
        ));
    }
    let policy = BackendPolicy::Auto(offered(full_support(None, files)));
    let assigned = assign(&selection.functions, &policy);
    let backend = |assigned: Assigned| assigned.backends.first().map(ToString::to_string);
    let traced = selection.functions.into_iter().zip(assigned);
    let traced = traced.map(|(function, assigned)| ListedFunction {
        name: function.name,
        module: function.module,
        backend: Ok(backend(assigned).unwrap_or_default()),
        prototype: None,
        source: None,
    });
    let left_out = user
        .left_out
        .into_iter()
        .map(|(name, file, why)| ListedFunction {
            name,
            module: Some(file),
            backend: Err(why),
            prototype: None,
            source: None,
        });
    Ok(traced.chain(left_out).collect())
}

/// The selection, and the facts it was made from.
struct Gathered {
    facts: KernelFacts,
    selection: Selection,
    policy: BackendPolicy,
}

fn gather(
    config: &ListConfig,
    globs: &Globs,
    files: &KernelFiles,
    diag: &Diag,
) -> Result<Gathered> {
    let image = &image_choice(config, files);
    let GatheredFacts { facts, globs, .. } = read_facts(globs, Arc::default(), image, files, diag)?;
    let btf = facts.kernel_btf.as_ref().context("no types")?;
    let policy = BackendPolicy::Auto(offered(support(Some(btf), files)));
    let capabilities = capabilities(&policy, btf, files);
    let selection = select(&globs, &facts, &capabilities);
    Ok(Gathered {
        facts,
        selection,
        policy,
    })
}

fn image_choice(config: &ListConfig, files: &KernelFiles) -> ImageChoice {
    let fetching = Fetching::new(config.download, files);
    ImageChoice::new(config.kernel_image.as_deref(), config.cache, fetching)
}

/// Warns about globs that match nothing. It is an error if none matches anything.
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
    let names = selection.functions.iter().map(|function| &function.name);
    let names = names.chain(selection.left_out.iter().map(|left_out| &left_out.name));
    let names: NameSet<'_> = names
        .flat_map(|name| [name.as_str(), base_name(name)])
        .collect();
    let types = ListedTypes::of(facts, &names);
    let assigned = assign(&selection.functions, &gathered.policy);
    let traced = selection
        .functions
        .iter()
        .zip(assigned)
        .map(|(function, assigned)| {
            let backend = assigned
                .backends
                .first()
                .map_or_else(String::new, ToString::to_string);
            let (name, module) = (&function.name, function.module.as_deref());
            (function.addr(), name, module, Ok(backend))
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

/// Functions in BTF by name.
struct ListedTypes<'a> {
    kernel: Option<(&'a Btf, FxHashMap<&'a str, BtfFunction<'a>>)>,
    modules: HashMap<&'a str, (&'a Btf, FxHashMap<&'a str, BtfFunction<'a>>)>,
}

impl<'a> ListedTypes<'a> {
    fn of(facts: &'a KernelFacts, names: &NameSet<'_>) -> Self {
        let by_name = |btf: &'a Btf| (btf, btf.functions_of_names(names));
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
        // If several functions share the name but not the prototype, it is unknown which one this
        // is.
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
    let mut image = lines::of_functions(
        &image_choice(config, files),
        files,
        &gathered.facts.kallsyms,
        diag,
    )?;
    let Some(lines) = image.join(diag)? else {
        return Ok(());
    };
    let kallsyms = files.kallsyms().context("the symbols went away")?;
    let symbolizer = Symbolizer::new(Arc::new(kallsyms), Level::Lines, Some(lines));
    symbolizer.set_modules(lines::of_modules(files)?);
    for (addr, function) in functions {
        let frame = symbolizer.frame(Ip::exact(*addr));
        function.source = frame
            .source
            .as_ref()
            .map(|source| (source.path.to_string(), source.line));
    }
    Ok(())
}

/// Returns names for shell completion. They come from BTF, which everyone can read, and quickly;
/// neither holds for symbols.
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
