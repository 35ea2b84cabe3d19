// SPDX-License-Identifier: BSD-2-Clause
//! The functions that the globs ask for, one for each address, and whether ftrace knows them.

use std::collections::{BTreeSet, HashMap};

use super::matching::GlobIndex;
use crate::config::Globs;
use crate::kernel::kallsyms::{Kallsyms, Symbol};
use crate::kernel::traceable::Traceable;
use crate::spec::{Addr, FunctionName};

/// How far behind a function's start ftrace patches it at most: `endbr64` on x86-64, `bti` and
/// the pre-padding of newer compilers on arm64.
const MAX_PATCH_OFFSET: u64 = 16;

/// A function that a glob asks for.
pub(super) struct Candidate<'a> {
    pub(super) symbol: Symbol<'a>,
    /// Other names of the same address.
    pub(super) aliases: Vec<&'a str>,
    /// The entry globs that match.
    pub(super) entry: Vec<u16>,
    /// The allow globs that match.
    pub(super) allow: Vec<u16>,
    /// The deny globs that match.
    pub(super) deny: Vec<u16>,
    /// How many functions of the same module share the name, this one included.
    pub(super) namesakes: usize,
}

/// The modules that have functions the globs ask for: whose BTF a selection needs.
#[must_use]
pub fn matching_modules(globs: &Globs, kallsyms: &Kallsyms) -> BTreeSet<String> {
    let wanted = [GlobIndex::new(&globs.entry), GlobIndex::new(&globs.allow)];
    let mut modules = BTreeSet::new();
    for symbol in functions(kallsyms) {
        if let Some(module) = symbol.module
            && !modules.contains(module)
            && wanted.iter().any(|globs| {
                globs
                    .matches(FunctionName::new(symbol.name, Some(module)))
                    .next()
                    .is_some()
            })
        {
            modules.insert(module.to_owned());
        }
    }
    modules
}

/// What the globs ask for, in ascending order of address.
///
/// Several names of one address are one function: asked for or denied by any of them, and called
/// by the first that is asked for.
pub(super) fn candidates<'a>(globs: &Globs, kallsyms: &'a Kallsyms) -> Vec<Candidate<'a>> {
    let entry = GlobIndex::new(&globs.entry);
    let allow = GlobIndex::new(&globs.allow);
    let deny = GlobIndex::new(&globs.deny);
    let mut found: Vec<Candidate<'a>> = Vec::new();
    let mut here: Vec<Symbol<'a>> = Vec::new();
    for symbol in functions(kallsyms) {
        if here.first().is_some_and(|first| first.addr != symbol.addr) {
            here.clear();
        }
        here.push(symbol);
        let (name, module) = (symbol.name, symbol.module);
        let function = FunctionName::new(name, module);
        let by_entry: Vec<u16> = entry.matches(function).collect();
        let by_allow: Vec<u16> = allow.matches(function).collect();
        let known = found
            .last_mut()
            .filter(|last| last.symbol.addr == symbol.addr);
        match known {
            Some(known) => {
                known.aliases.push(name);
                merge(&mut known.entry, by_entry);
                merge(&mut known.allow, by_allow);
                merge(&mut known.deny, deny.matches(function).collect());
            }
            None if by_entry.is_empty() && by_allow.is_empty() => {}
            None => {
                let denied = here
                    .iter()
                    .flat_map(|symbol| deny.matches(FunctionName::new(symbol.name, module)));
                let mut by_deny = Vec::new();
                merge(&mut by_deny, denied.collect());
                found.push(Candidate {
                    symbol,
                    aliases: here
                        .iter()
                        .map(|symbol| symbol.name)
                        .filter(|&n| n != name)
                        .collect(),
                    entry: by_entry,
                    allow: by_allow,
                    deny: by_deny,
                    namesakes: 1,
                });
            }
        }
    }
    count_namesakes(&mut found);
    found
}

fn merge(into: &mut Vec<u16>, more: Vec<u16>) {
    into.extend(more);
    into.sort_unstable();
    into.dedup();
}

/// A name matches the globs wherever it occurs, so all namesakes are candidates.
fn count_namesakes(candidates: &mut [Candidate<'_>]) {
    let mut counts: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for candidate in candidates.iter() {
        *counts
            .entry((candidate.symbol.name, candidate.symbol.module))
            .or_default() += 1;
    }
    for candidate in candidates {
        let key = (candidate.symbol.name, candidate.symbol.module);
        candidate.namesakes = counts.get(&key).copied().unwrap_or(1);
    }
}

/// The symbols that are functions of the kernel or of a module.
fn functions(kallsyms: &Kallsyms) -> impl Iterator<Item = Symbol<'_>> {
    kallsyms
        .functions()
        .filter(|symbol| !is_no_function(symbol))
}

/// Symbols of code that no one calls a function: padding before functions, static call
/// trampolines, BPF programs, ftrace's and kprobes' own code pages.
fn is_no_function(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name;
    let module = symbol.module.unwrap_or_default();
    ["__pfx_", "__cfi_", "__SCT__", "__SCK__"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || module == "bpf"
        || module.starts_with("__builtin__")
}

/// Whether ftrace can trace a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracing {
    Possible,
    Impossible,
    /// Some of its namesakes can be traced, and the list does not say which.
    Unclear,
}

/// ftrace's list, ready to be asked.
pub(super) enum TraceIndex<'a> {
    /// The list was not read: the kernel says no when attaching.
    Unknown,
    /// Patch sites, ascending.
    Sites(Vec<Addr>),
    /// How many functions of each name and module are traceable.
    Names(HashMap<(&'a str, Option<&'a str>), usize>),
}

impl<'a> TraceIndex<'a> {
    pub(super) fn new(traceable: Option<&'a Traceable>) -> Self {
        let Some(traceable) = traceable else {
            return Self::Unknown;
        };
        if traceable.has_addresses() {
            let mut sites: Vec<Addr> = traceable.iter().filter_map(|f| f.patch_site).collect();
            sites.sort_unstable();
            return Self::Sites(sites);
        }
        let mut names = HashMap::with_capacity(traceable.len());
        for function in traceable.iter() {
            *names.entry((function.name, function.module)).or_default() += 1;
        }
        Self::Names(names)
    }

    pub(super) fn tracing(&self, candidate: &Candidate<'a>) -> Tracing {
        let symbol = &candidate.symbol;
        match self {
            Self::Unknown => Tracing::Possible,
            Self::Sites(sites) => {
                let reach = symbol.size.clamp(1, MAX_PATCH_OFFSET);
                let next = sites.partition_point(|&site| site < symbol.addr);
                let hit = sites
                    .get(next)
                    .is_some_and(|site| site.0 - symbol.addr.0 < reach);
                if hit {
                    Tracing::Possible
                } else {
                    Tracing::Impossible
                }
            }
            Self::Names(names) => {
                let listed = |name| names.get(&(name, symbol.module)).copied().unwrap_or(0);
                let known = listed(symbol.name);
                if known >= candidate.namesakes {
                    Tracing::Possible
                } else if known > 0 {
                    Tracing::Unclear
                } else if candidate.aliases.iter().any(|&alias| listed(alias) > 0) {
                    Tracing::Possible
                } else {
                    Tracing::Impossible
                }
            }
        }
    }
}
