// SPDX-License-Identifier: BSD-2-Clause
//! Finds the functions that the globs ask for, one per address, and whether ftrace can trace them.

use std::collections::BTreeSet;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::matching::{GlobIndex, is_function, matching, matching_in_modules};
use crate::config::{GlobUse, Globs};
use crate::kernel::absent::AbsentModule;
use crate::kernel::facts::KernelFacts;
use crate::kernel::kallsyms::{Kallsyms, Symbol};
use crate::kernel::kcore::Kcore;
use crate::kernel::traceable::PatchSite;
use crate::spec::{Addr, FunctionName, Hook};

/// A function that a glob asks for.
pub(super) struct Candidate<'a> {
    pub(super) symbol: Symbol<'a>,
    /// Other names of the same address.
    pub(super) aliases: Vec<&'a str>,
    /// Indexes of the entry globs that match, ascending.
    pub(super) entry: Vec<u16>,
    /// Indexes of the allow globs that match, ascending.
    pub(super) allow: Vec<u16>,
    /// Indexes of the deny globs that match, ascending.
    pub(super) deny: Vec<u16>,
    /// Number of functions of the same module with this name, including this one.
    pub(super) namesakes: usize,
}

/// Returns the modules that contain functions the globs ask for. A selection needs the BTF of these
/// modules.
#[must_use]
pub fn matching_modules(globs: &Globs, kallsyms: &Kallsyms) -> BTreeSet<String> {
    [&globs.entry, &globs.allow]
        .into_iter()
        .flat_map(|globs| matching_in_modules(globs, kallsyms))
        .filter_map(|(index, _)| kallsyms.symbol(index).module.map(str::to_owned))
        .collect()
}

/// Returns the functions that the globs ask for, in ascending order of address.
///
/// Several names of one address are one function. It is selected or denied if any of its names is,
/// and it gets the first name that is asked for.
pub(super) fn candidates<'a>(globs: &Globs, kallsyms: &'a Kallsyms) -> Vec<Candidate<'a>> {
    let entry = matching(&globs.entry, kallsyms);
    let allow = matching(&globs.allow, kallsyms);
    let mut denied = Denied::new(&globs.deny);
    let mut asked: Vec<usize> = entry
        .iter()
        .chain(&allow)
        .map(|&(index, _)| index)
        .collect();
    asked.sort_unstable();
    asked.dedup();
    if asked.len() > MAX_LOOKED_UP {
        denied.look_up_all(kallsyms);
    }
    let mut found: Vec<Candidate<'a>> = Vec::with_capacity(asked.len());
    for index in asked {
        let symbol = kallsyms.symbol(index);
        if found
            .last()
            .is_some_and(|last| last.symbol.addr == symbol.addr)
        {
            continue; // another name of the same address
        }
        let all = kallsyms.namesakes_of_address(index);
        let here: Vec<Symbol<'a>> = all
            .clone()
            .map(|index| kallsyms.symbol(index))
            .filter(is_function)
            .collect();
        found.push(Candidate {
            symbol,
            aliases: here
                .iter()
                .map(|symbol| symbol.name)
                .filter(|&name| name != symbol.name)
                .collect(),
            entry: unique(globs_of(&entry, &all)),
            allow: unique(globs_of(&allow, &all)),
            deny: denied.of(&all, kallsyms),
            namesakes: 1,
        });
    }
    count_namesakes(&mut found);
    found
}

/// If more functions are asked for, the deny globs are matched against all names at once. That takes
/// as long as matching some thousand names one by one.
const MAX_LOOKED_UP: usize = 2000;

/// The deny globs of functions.
struct Denied<'g> {
    globs: &'g [GlobUse],
    index: GlobIndex<'g>,
    /// The functions that each glob matches, as [`matching`] returns them, if they were looked up.
    all: Option<Vec<(usize, u16)>>,
}

impl<'g> Denied<'g> {
    fn new(globs: &'g [GlobUse]) -> Self {
        Self {
            globs,
            index: GlobIndex::new(globs),
            all: None,
        }
    }

    fn look_up_all(&mut self, kallsyms: &Kallsyms) {
        self.all = Some(matching(self.globs, kallsyms));
    }

    /// Returns the globs that match one of the symbols of an address, ascending.
    fn of(&self, indices: &Range<usize>, kallsyms: &Kallsyms) -> Vec<u16> {
        if let Some(all) = &self.all {
            return unique(globs_of(all, indices));
        }
        let symbols = indices.clone().map(|index| kallsyms.symbol(index));
        let symbols = symbols.filter(is_function);
        let matches = symbols.flat_map(|symbol| {
            let name = FunctionName::new(symbol.name, symbol.module);
            let by_name: Vec<u16> = self.index.matches(name).collect();
            let by_source = (0..)
                .zip(self.globs)
                .filter(move |(_, glob)| glob.functions.binary_search(&symbol.addr).is_ok());
            by_name
                .into_iter()
                .chain(by_source.map(|(number, _)| number))
        });
        unique(matches.collect())
    }
}

/// Returns the globs that match one of the symbols at `indices`.
fn globs_of(matching: &[(usize, u16)], indices: &Range<usize>) -> Vec<u16> {
    let first = matching.partition_point(|&(index, _)| index < indices.start);
    matching[first..]
        .iter()
        .take_while(|&&(index, _)| index < indices.end)
        .map(|&(_, glob)| glob)
        .collect()
}

fn unique(mut globs: Vec<u16>) -> Vec<u16> {
    globs.sort_unstable();
    globs.dedup();
    globs
}

/// Counts the candidates that share a name. A glob matches all functions of a name, so all of them
/// are candidates.
fn count_namesakes(candidates: &mut [Candidate<'_>]) {
    let mut counts: FxHashMap<(&str, Option<&str>), usize> = FxHashMap::default();
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

/// Whether ftrace can trace a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracing {
    Possible,
    Impossible,
    /// Some of the functions with this name can be traced, but the list does not say which.
    Unclear,
}

/// Looks up whether ftrace can trace a function.
pub(super) struct TraceIndex<'a> {
    known: TraceableSet<'a>,
    absent: &'a [AbsentModule],
}

/// The source of this knowledge for functions that are loaded.
enum TraceableSet<'a> {
    /// The list was not read; the kernel refuses when attaching.
    Unknown,
    /// Addresses of the patch sites, ascending.
    Sites(Vec<Addr>),
    /// Number of traceable functions per name and module.
    Names(FxHashMap<(&'a str, Option<&'a str>), usize>),
    /// The kernel's text, which shows the marks of compilers and ftrace.
    Text {
        kcore: &'a Kcore,
        kallsyms: &'a Kallsyms,
        /// End of the kernel's own text. After it come init code, which is freed, and data, which
        /// may look like a call; newer kernels' symbols declare parts of that data as text.
        end: Option<Addr>,
    },
}

impl<'a> TraceIndex<'a> {
    pub(super) fn new(facts: &'a KernelFacts) -> Self {
        Self {
            known: TraceableSet::new(facts),
            absent: &facts.absent,
        }
    }

    pub(super) fn tracing(&self, candidate: &Candidate<'a>) -> Tracing {
        let Hook::AbsentFunction(placeholder) = Hook::of_symbol(candidate.symbol.addr) else {
            return self.known.tracing(candidate);
        };
        // Such a function is attached to by name, and the kernel refuses a name that several
        // functions have.
        if candidate.namesakes > 1 {
            return Tracing::Unclear;
        }
        let mut modules = self.absent.iter();
        let module = modules.find(|module| module.contains(placeholder));
        if module.is_some_and(|module| module.is_traceable(placeholder)) {
            Tracing::Possible
        } else {
            Tracing::Impossible
        }
    }
}

impl<'a> TraceableSet<'a> {
    fn new(facts: &'a KernelFacts) -> Self {
        let Some(traceable) = facts.traceable.as_ref() else {
            let kallsyms = &facts.kallsyms;
            let end = kallsyms.any_named("_etext").map(|end| end.addr);
            return match facts.text.as_deref() {
                Some(kcore) => Self::Text {
                    kcore,
                    kallsyms,
                    end,
                },
                None => Self::Unknown,
            };
        };
        if traceable.has_addresses() {
            let mut sites: Vec<Addr> = traceable.iter().filter_map(|f| f.patch_site).collect();
            sites.sort_unstable();
            return Self::Sites(sites);
        }
        let mut names = FxHashMap::default();
        names.reserve(traceable.len());
        for function in traceable.iter() {
            *names.entry((function.name, function.module)).or_default() += 1;
        }
        Self::Names(names)
    }

    fn tracing(&self, candidate: &Candidate<'a>) -> Tracing {
        let symbol = candidate.symbol;
        match self {
            Self::Unknown => Tracing::Possible,
            Self::Text { end: Some(end), .. } if symbol.module.is_none() && symbol.addr >= *end => {
                Tracing::Impossible
            }
            Self::Text {
                kcore, kallsyms, ..
            } => text_tracing(kcore, kallsyms, symbol.addr),
            Self::Sites(sites) => {
                let reach = symbol.size.clamp(1, PatchSite::MAX_OFFSET);
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

fn text_tracing(kcore: &Kcore, kallsyms: &Kallsyms, addr: Addr) -> Tracing {
    let mut bytes = [0; PatchSite::REACH];
    if kcore.read(addr, &mut bytes).is_err() {
        return Tracing::Impossible;
    }
    let is_possible = match PatchSite::find(addr, &bytes) {
        None => false,
        Some(PatchSite::Nop | PatchSite::Changing) => true,
        // A call of the function's own code goes to a kernel function. ftrace's calls go to one of
        // its own functions, or to code that was generated for this function.
        Some(PatchSite::Call(target)) => match kallsyms.resolve(target) {
            Some((callee, _)) => callee.name.starts_with("ftrace_") || callee.module.is_some(),
            None => true,
        },
        // A function that consists of a jump to another function jumps to a symbol, but not to a
        // BPF program or trampoline.
        Some(PatchSite::Jump(target)) => match kallsyms.resolve(target) {
            Some((callee, _)) => callee.module == Some("bpf"),
            None => true,
        },
    };
    if is_possible {
        Tracing::Possible
    } else {
        Tracing::Impossible
    }
}
