// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes: uprobes at all of their sites, at the returns of the functions that they are in, and
//! at the probes that end their sessions.
//!
//! The kernel holds the semaphores of the sites as long as our uprobes are there, so they are
//! released however our process ends. It does so in each process that has the file mapped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Error, Result, bail};

use super::super::body::Body;
use super::super::object::{LoadedObject, Templates};
use super::super::patch::{Copy, Single, for_single};
use super::super::program;
use super::super::rlimit::those_that_fit;
use super::super::settings::ProbePmu;
use super::super::sys::{self, ProgramKind, TRACE_UPROBE_MULTI};
use super::bisect;
use super::uprobe::path_of;
use super::{AttachProgress, Links, Refused, tag};
use crate::select::TracedFunction;
use crate::spec::{HookId, ObjectId, TracedProbe, UsdtSite};

/// `SITE_SHIFT` of `usdt.bpf.h`.
const SITE_SHIFT: u32 = 41;

/// Descriptors for one uprobe: an event, and a link or a program.
const DESCRIPTORS_PER_POINT: u64 = 2;

/// The probes of a run, and where their sites are in the map of sites.
#[derive(Debug, Default)]
pub(in crate::bpf) struct LoadedProbes {
    probes: HashMap<HookId, LoadedProbe>,
    /// The semaphores of all sites, by file and offset.
    semaphores: BTreeMap<(ObjectId, u64), u64>,
}

#[derive(Debug)]
struct LoadedProbe {
    probe: TracedProbe,
    /// Number of its first site in the map.
    first_site: u32,
}

/// What a program does at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Handles the return of a function that a site is in.
    Return,
    /// Ends a session.
    Ending,
    /// Notes a hit.
    Noting,
    /// Opens a session.
    Opening,
}

/// A place to attach to.
#[derive(Clone, Copy, Debug)]
struct Point {
    kind: Kind,
    offset: u64,
    /// 0: none.
    semaphore: u64,
    tag: u64,
}

impl Kind {
    /// In the order of attaching: a session that is opened must have its end seen.
    const ALL: [Self; 4] = [Self::Return, Self::Ending, Self::Noting, Self::Opening];

    fn name(self) -> &'static CStr {
        match self {
            Self::Return => c"retsnoop_uprobe_return",
            Self::Ending => c"retsnoop_usdt_ending",
            Self::Noting => c"retsnoop_usdt_note",
            Self::Opening => c"retsnoop_usdt_opening",
        }
    }

    fn template(self, templates: &Templates) -> &Body {
        match self {
            Self::Return => &templates.uprobe_return,
            Self::Ending => &templates.usdt_ending,
            Self::Noting => &templates.usdt_note,
            Self::Opening => &templates.usdt_opening,
        }
    }

    fn is_return(self) -> bool {
        self == Self::Return
    }
}

impl LoadedProbes {
    /// Numbers the sites of the probes, in order.
    pub(in crate::bpf) fn new(probes: Vec<TracedProbe>) -> Self {
        let mut semaphores = BTreeMap::new();
        let mut first_site = 0;
        let mut numbered = HashMap::new();
        for probe in probes {
            let object = probe.object;
            let sites = probe.sites.iter().map(|site| &site.site);
            for site in sites.chain(&probe.ends) {
                semaphores.insert((object, site.offset), site.semaphore.unwrap_or_default());
            }
            let n_sites = probe.sites.len() as u32;
            numbered.insert(probe.id, LoadedProbe { probe, first_site });
            first_site += n_sites;
        }
        Self {
            probes: numbered,
            semaphores,
        }
    }

    /// Returns the file of a probe and the places to attach to.
    fn points(&self, function: &TracedFunction) -> Result<(ObjectId, Vec<Point>)> {
        let loaded = self.probes.get(&function.id);
        let LoadedProbe { probe, first_site } = loaded.context("no sites for a USDT probe")?;
        let tag = tag(function);
        let at_site = |kind, site: &UsdtSite, tag| Point {
            kind,
            offset: site.offset,
            semaphore: site.semaphore.unwrap_or_default(),
            tag,
        };
        let functions = probe.sites.iter().filter_map(|site| site.function);
        let mut returns: Vec<u64> = functions.map(|function| function.offset).collect();
        returns.sort_unstable();
        returns.dedup();
        let mut points: Vec<Point> = returns
            .into_iter()
            .map(|offset| {
                // The kernel wants all uprobes of an instruction to have the same semaphore.
                let semaphore = self.semaphores.get(&(probe.object, offset));
                Point {
                    kind: Kind::Return,
                    offset,
                    semaphore: semaphore.copied().unwrap_or_default(),
                    tag,
                }
            })
            .collect();
        let ends = probe.ends.iter();
        points.extend(ends.map(|site| at_site(Kind::Ending, site, tag)));
        let kind = match function.entry {
            Some(_) => Kind::Opening,
            None => Kind::Noting,
        };
        let sites = probe.sites.iter().zip(*first_site..);
        points.extend(sites.map(|(site, number)| {
            let tag = tag | u64::from(number) << SITE_SHIFT;
            at_site(kind, &site.site, tag)
        }));
        Ok((probe.object, points))
    }
}

/// Returns the USDT probes among the functions.
pub(super) fn probes_of<'f>(functions: &[&'f TracedFunction]) -> Vec<&'f TracedFunction> {
    let probes = functions.iter().filter(|function| function.hook.is_usdt());
    probes.copied().collect()
}

/// Attaches by uprobe.multi: for the probes of a file, a link for each kind of place.
pub(super) fn attach_multi(
    loaded: &LoadedObject<'_>,
    probes: &[&TracedFunction],
    links: &mut Links,
    progress: AttachProgress<'_>,
) -> Result<()> {
    if probes.is_empty() {
        return Ok(());
    }
    let all_points = |probes: &[&TracedFunction]| -> Vec<Point> {
        let points = probes
            .iter()
            .filter_map(|probe| loaded.probes.points(probe).ok());
        points.flat_map(|(_, points)| points).collect()
    };
    let kinds: BTreeSet<Kind> = all_points(probes).iter().map(|point| point.kind).collect();
    let mut programs = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        let insns = loaded
            .copier
            .copy(kind.template(&loaded.templates), Copy::default());
        let how = ProgramKind::Kprobe(TRACE_UPROBE_MULTI);
        programs.push((kind, program::load(kind.name(), &insns, how)?));
    }
    let mut files: BTreeMap<ObjectId, Vec<&TracedFunction>> = BTreeMap::new();
    for probe in probes {
        let (object, _) = loaded.probes.points(probe)?;
        files.entry(object).or_default().push(probe);
    }
    for (object, probes) in files {
        let path = path_of(loaded, object)?;
        let attach = |batch: &[&TracedFunction]| {
            let points = all_points(batch);
            let mut new = Vec::new();
            for (kind, program) in &programs {
                let of_kind: Vec<&Point> = points.iter().filter(|it| it.kind == *kind).collect();
                if of_kind.is_empty() {
                    continue;
                }
                let column = |value: fn(&Point) -> u64| -> Vec<u64> {
                    of_kind.iter().map(|point| value(point)).collect()
                };
                new.push(sys::attach_uprobe_multi(
                    program.as_fd(),
                    kind.is_return(),
                    &path,
                    &column(|point| point.offset),
                    &column(|point| point.tag),
                    &column(|point| point.semaphore),
                )?);
            }
            Ok(new)
        };
        bisect::attach_all(&attach, &probes, links)?;
        if !progress(links.n_attached + links.refused.len(), probes.len()) {
            bail!("interrupted");
        }
    }
    links
        .programs
        .extend(programs.into_iter().map(|(_, program)| program));
    Ok(())
}

/// Attaches by single uprobes, a perf event for each place.
pub(super) fn attach_single(
    loaded: &LoadedObject<'_>,
    pmu: ProbePmu,
    probes: &[&TracedFunction],
    links: &mut Links,
    progress: AttachProgress<'_>,
) -> Result<()> {
    let n_points = |probe: &&TracedFunction| {
        let points = loaded.probes.points(probe);
        points.map_or(0, |(_, points)| points.len() as u64)
    };
    let most = probes.iter().map(n_points).max().unwrap_or_default();
    if most == 0 {
        return Ok(());
    }
    let each = most.saturating_mul(DESCRIPTORS_PER_POINT);
    let probes = those_that_fit(probes, each, &mut links.refused)?;
    let mut shared = HashMap::new();
    for (n_done, probe) in probes.iter().enumerate() {
        match attach_one(loaded, pmu, probe, &mut shared) {
            Ok((new, programs)) => {
                links.hold(new, &[probe]);
                links.programs.extend(programs);
            }
            Err(error) => links.refused.push(Refused {
                func: probe.id,
                why: format!("{error:#}"),
                is_final: false,
            }),
        }
        if !progress(n_done + 1, probes.len()) {
            break; // all links are dropped together later
        }
    }
    links.programs.extend(shared.into_values());
    Ok(())
}

/// Programs that are loaded once, if they can ask which place they run at.
type SharedPrograms = HashMap<&'static CStr, OwnedFd>;

/// Attaches to all places of a probe. Returns the links, and the programs that are for this probe
/// only: see `KprobePrograms`.
fn attach_one(
    loaded: &LoadedObject<'_>,
    pmu: ProbePmu,
    probe: &TracedFunction,
    shared: &mut SharedPrograms,
) -> Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let (object, points) = loaded.probes.points(probe)?;
    let path = path_of(loaded, object)?;
    let (mut new, mut programs) = (Vec::new(), Vec::new());
    for point in points {
        let name = point.kind.name();
        let copy = || {
            let template = point.kind.template(&loaded.templates);
            loaded.copier.copy(template, Copy::default())
        };
        let how = ProgramKind::Kprobe(0);
        if loaded.copier.layout.has_cookies {
            if !shared.contains_key(name) {
                shared.insert(name, program::load(name, &copy(), how)?);
            }
            let program = shared[name].as_fd();
            new.extend(attach_point(pmu, &path, point, program, Some(point.tag))?);
        } else {
            let single = Single {
                tag: point.tag,
                arg_slots: 0,
            };
            let program = program::load(name, &for_single(&copy(), single), how)?;
            new.extend(attach_point(pmu, &path, point, program.as_fd(), None)?);
            programs.push(program);
        }
    }
    Ok((new, programs))
}

fn attach_point(
    pmu: ProbePmu,
    path: &CString,
    point: Point,
    program: BorrowedFd<'_>,
    cookie: Option<u64>,
) -> Result<Vec<OwnedFd>> {
    let Point {
        kind,
        offset,
        semaphore,
        ..
    } = point;
    let Ok(semaphore) = u32::try_from(semaphore) else {
        bail!("its semaphore is beyond the first 4 GiB of its file");
    };
    let event = sys::open_uprobe(pmu, kind.is_return(), path, offset, semaphore);
    let event = event
        .map_err(Error::from)
        .context("failed to open a uprobe")?;
    let link = sys::run_at_event(program, event.as_fd(), cookie);
    let link = link.context("failed to attach to a uprobe")?;
    // The link must be dropped before the event: it holds the event.
    Ok(link.into_iter().chain([event]).collect())
}
