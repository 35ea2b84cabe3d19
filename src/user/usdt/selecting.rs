// SPDX-License-Identifier: BSD-2-Clause
//! Selects USDT probes: globs and files to probes with all their sites, every one that is left out
//! with its reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::enclosing::{EnclosingFunctions, enclosing_functions};
use super::notes::{ProbeName, ProbeSite, Probes};
use crate::config::Role;
use crate::select::TracedFunction;
use crate::spec::{
    EntryReason, Hook, HookId, NameGlob, ObjectId, ResultType, TracedProbe, TracedSite, UsdtGlob,
    UsdtSite, nearest,
};
use crate::user::elf::{ElfBytes, UserElf};
use crate::user::files::{OpenFiles, in_each};
use crate::user::symbols::result_types;

/// Maximum number of sites that are attached to in a run.
const MAX_SITES: usize = 4096;

/// A probe of a file.
type ProbeKey = (ObjectId, ProbeName);

/// The probes that are wanted.
#[derive(Debug, Default)]
pub(in crate::user) struct WantedProbes {
    probes: BTreeMap<ProbeKey, WantedProbe>,
    n_sites: usize,
    /// Matching probes and sites that are not traced: name, name of the file, reason.
    pub(in crate::user) left_out: Vec<(String, String, String)>,
}

/// A probe that is wanted.
#[derive(Debug)]
struct WantedProbe {
    is_entry: bool,
    sites: Vec<TracedSite>,
    ends: BTreeSet<ProbeName>,
}

impl WantedProbes {
    /// Adds the probes that a glob matches, and returns their number.
    pub(in crate::user) fn add(
        &mut self,
        glob: &UsdtGlob,
        role: Role,
        files: &mut OpenFiles<'_>,
    ) -> Result<usize, String> {
        if role == Role::Allow && glob.end.is_some() {
            return Err("only sessions have an end: `=>` is for entry probes (-e)".to_owned());
        }
        let objects = files.open(&glob.object)?;
        in_each(&objects, |object| {
            files.read_probes(object);
            self.add_of_file(glob, role, object, files)
        })
    }

    fn add_of_file(
        &mut self,
        glob: &UsdtGlob,
        role: Role,
        object: ObjectId,
        files: &OpenFiles<'_>,
    ) -> Result<usize, String> {
        let probes = files.probes(object)?;
        let file_name = files.name(object);
        let matching = matching(probes, glob, &glob.name);
        if matching.is_empty() {
            return Err(why_none_matches(probes, glob, &glob.name, &file_name));
        }
        let sites = matching.iter().map(|(_, sites)| sites.len());
        if sites.sum::<usize>() > MAX_SITES {
            return Err(too_many());
        }
        let ends = match &glob.end {
            Some(end) => ends(probes, glob, end, &file_name)?,
            None => BTreeSet::new(),
        };
        let is_entry = role == Role::Entry;
        let functions = if is_entry && ends.is_empty() {
            enclosing(files, object, &matching)
        } else {
            EnclosingFunctions::new()
        };
        let mut refused = None;
        let mut n = 0;
        for (name, sites) in matching {
            let mut traced = Vec::new();
            for site in sites {
                let function = functions.get(&site.site.offset).copied().transpose();
                match function {
                    Ok(function) => traced.push(TracedSite {
                        site: site.site.clone(),
                        function,
                    }),
                    Err(why) => {
                        refused = Some(why);
                        let shown = format!("{name} at {:#x}", site.site.offset);
                        self.left_out
                            .push((shown, file_name.clone(), why.to_owned()));
                    }
                }
            }
            if traced.is_empty() {
                continue;
            }
            n += 1;
            self.n_sites += traced.len() + n_sites(probes, &ends);
            if self.n_sites > MAX_SITES {
                return Err(too_many());
            }
            self.want((object, name.clone()), is_entry, traced, &ends);
        }
        match refused {
            Some(why) if n == 0 => Err(format!(
                "{why}, so its sessions have no end: name the probe that ends them, as in \
                 `usdt:PATH:PROVIDER:{}=>NAME`",
                glob.name.text()
            )),
            _ => Ok(n),
        }
    }

    fn want(
        &mut self,
        key: ProbeKey,
        is_entry: bool,
        sites: Vec<TracedSite>,
        ends: &BTreeSet<ProbeName>,
    ) {
        match self.probes.get_mut(&key) {
            // The sites of an entry probe have their functions.
            Some(known) => {
                if is_entry && (!known.is_entry || known.ends.is_empty()) {
                    known.sites = sites;
                }
                known.is_entry |= is_entry;
                known.ends.extend(ends.iter().cloned());
            }
            None => {
                let ends = ends.clone();
                let wanted = WantedProbe {
                    is_entry,
                    sites,
                    ends,
                };
                self.probes.insert(key, wanted);
            }
        }
    }

    /// Takes away the probes that a deny glob matches, and returns their number.
    pub(in crate::user) fn deny(
        &mut self,
        glob: &UsdtGlob,
        files: &mut OpenFiles<'_>,
        why: &str,
    ) -> Result<usize, String> {
        let objects = files.open(&glob.object)?;
        let is_denied = |(of, name): &ProbeKey| {
            objects.contains(of)
                && glob.provider.matches(&name.provider)
                && glob.name.matches(&name.name)
        };
        let denied = self.probes.keys().filter(|key| is_denied(key));
        let denied: Vec<ProbeKey> = denied.cloned().collect();
        for key in &denied {
            self.probes.remove(key);
            let (object, name) = key;
            self.left_out
                .push((name.to_string(), files.name(*object), why.to_owned()));
        }
        if denied.is_empty() {
            return Err("it denies nothing that the other globs ask for".to_owned());
        }
        Ok(denied.len())
    }

    /// Returns the hooks of the probes, with ids from `first_id` on, and what is attached to.
    pub(in crate::user) fn into_traced(
        self,
        files: &OpenFiles<'_>,
        first_id: HookId,
    ) -> (Vec<TracedFunction>, Vec<TracedProbe>) {
        let types = self.result_types(files);
        let named = self.probes.into_iter().zip(first_id.0..);
        let traced = named.map(|(((object, name), mut wanted), id)| {
            let id = HookId(id);
            let mut sites = wanted.sites;
            if !wanted.ends.is_empty() {
                // Another probe ends the sessions, whatever returns before.
                sites.iter_mut().for_each(|site| site.function = None);
            }
            // The next hit of a probe ends its sessions in any case.
            wanted.ends.remove(&name);
            let ends = end_sites(files, object, &wanted.ends);
            let function = TracedFunction {
                id,
                name: name.to_string(),
                module: Some(files.name(object)),
                hook: Hook::UsdtProbe {
                    object,
                    offset: sites.first().map_or(0, |site| site.site.offset),
                },
                size: 0,
                entry: wanted.is_entry.then_some(EntryReason::Usdt),
                result: result(&types, object, &sites),
                prototype: None,
                parameters: Vec::new(),
            };
            let probe = TracedProbe {
                id,
                object,
                // It is known when all sources are.
                source: 0,
                sites,
                ends,
            };
            (function, probe)
        });
        traced.unzip()
    }

    /// Returns the result types of the functions that the sites of entry probes are in.
    fn result_types(&self, files: &OpenFiles<'_>) -> ResultTypes {
        let mut offsets: BTreeMap<ObjectId, BTreeSet<u64>> = BTreeMap::new();
        for ((object, _), wanted) in &self.probes {
            let functions = wanted.sites.iter().filter_map(|site| site.function);
            offsets
                .entry(*object)
                .or_default()
                .extend(functions.map(|function| function.offset));
        }
        let of_file = |(object, offsets): (ObjectId, BTreeSet<u64>)| {
            let types = if offsets.is_empty() {
                HashMap::new()
            } else {
                result_types(&files.file(object).file, &offsets)
            };
            (object, types)
        };
        offsets.into_iter().map(of_file).collect()
    }
}

/// The result types of functions by their offsets, for each file.
type ResultTypes = BTreeMap<ObjectId, HashMap<u64, ResultType>>;

fn too_many() -> String {
    format!("too many places have such probes: at most {MAX_SITES} are traced")
}

/// Returns the probes of the providers of a glob with such names.
fn matching<'p>(
    probes: &'p Probes,
    glob: &UsdtGlob,
    names: &NameGlob,
) -> Vec<(&'p ProbeName, &'p [ProbeSite])> {
    let matches =
        |name: &ProbeName| glob.provider.matches(&name.provider) && names.matches(&name.name);
    let all = probes.by_name.iter().filter(|(name, _)| matches(name));
    all.map(|(name, sites)| (name, sites.as_slice())).collect()
}

/// Returns the probes that end the sessions of a glob's probes.
fn ends(
    probes: &Probes,
    glob: &UsdtGlob,
    end: &NameGlob,
    file_name: &str,
) -> Result<BTreeSet<ProbeName>, String> {
    let ends = matching(probes, glob, end);
    if ends.is_empty() {
        return Err(why_none_matches(probes, glob, end, file_name));
    }
    Ok(ends.into_iter().map(|(name, _)| name.clone()).collect())
}

fn enclosing(
    files: &OpenFiles<'_>,
    object: ObjectId,
    probes: &[(&ProbeName, &[ProbeSite])],
) -> EnclosingFunctions {
    let sites = probes.iter().flat_map(|(_, sites)| sites.iter());
    let of_file = files.functions(object);
    let all_refused = |why| sites.clone().map(move |site| (site.site.offset, Err(why)));
    if of_file.is_go {
        return all_refused("it is in a Go program, whose returns the kernel cannot trace")
            .collect();
    }
    match UserElf::read(ElfBytes::File(&files.file(object).file)) {
        Ok(elf) => enclosing_functions(&elf, of_file, sites),
        Err(_) => all_refused("its file cannot be read any more").collect(),
    }
}

fn n_sites(probes: &Probes, names: &BTreeSet<ProbeName>) -> usize {
    let sites = names.iter().filter_map(|name| probes.by_name.get(name));
    sites.map(Vec::len).sum()
}

fn end_sites(files: &OpenFiles<'_>, object: ObjectId, ends: &BTreeSet<ProbeName>) -> Vec<UsdtSite> {
    let Ok(probes) = files.probes(object) else {
        return Vec::new();
    };
    let sites = ends.iter().filter_map(|name| probes.by_name.get(name));
    sites.flatten().map(|site| site.site.clone()).collect()
}

/// Returns how the results of the functions that the sites are in are judged. A probe has no result
/// if they differ, if the debug information does not tell, or if another probe ends the sessions.
fn result(types: &ResultTypes, object: ObjectId, sites: &[TracedSite]) -> ResultType {
    let functions = sites.iter().filter_map(|site| site.function);
    let type_of = |offset: u64| types.get(&object)?.get(&offset).copied();
    let mut all = functions.map(|function| type_of(function.offset));
    let first = all.next().flatten();
    match first {
        Some(first) if all.all(|other| other == Some(first)) => first,
        _ => ResultType::Void,
    }
}

/// Returns why no probe of the file matches, with similar names.
fn why_none_matches(probes: &Probes, glob: &UsdtGlob, names: &NameGlob, file_name: &str) -> String {
    let mut text;
    let (wanted, known): (&NameGlob, BTreeSet<&str>) = if probes
        .by_name
        .keys()
        .any(|name| glob.provider.matches(&name.provider))
    {
        text = format!("{file_name} has no probe `{}`", names.text());
        let of_provider = probes
            .by_name
            .keys()
            .filter(|name| glob.provider.matches(&name.provider));
        (names, of_provider.map(|name| name.name.as_str()).collect())
    } else if probes.by_name.is_empty() {
        let mut text = format!("{file_name} has no USDT probes");
        if probes.n_damaged > 0 {
            text += ", but notes of such that are damaged";
        }
        return text;
    } else {
        text = format!("{file_name} has no provider `{}`", glob.provider.text());
        let providers = probes.by_name.keys().map(|name| name.provider.as_str());
        (&glob.provider, providers.collect())
    };
    let similar = nearest(wanted.longest_literal(), known.iter().copied(), 3);
    if !similar.is_empty() {
        text += &format!("; similar: {}", similar.join(", "));
    } else if known.len() <= 8 {
        let known: Vec<&str> = known.into_iter().collect();
        text += &format!("; it has {}", known.join(", "));
    }
    text
}
