// SPDX-License-Identifier: BSD-2-Clause
//! The verdict: failures of one kind become one, and all are ranked by the evidence for them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::complaint::{Complaint, Line};
use super::story::{Failure, Story};
use crate::session::{MonotonicNs, Session, Told};

/// Shortest message of the kernel that is looked for in what programs write, in bytes.
const MIN_MESSAGE: usize = 8;

/// Why a failure has its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A program wrote this line about it.
    Said,
    /// It was the last one of a process that ended with a status other than 0.
    LastBeforeExit,
    /// Programs that work seldom have it.
    Unusual,
    /// Programs that work have it, too.
    Harmless,
}

/// Equal failures, and the evidence for them.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'s> {
    /// The failure that the evidence is about; without any, the last one.
    pub session: &'s Session,
    /// Number of its kind in this run; `None` if there were too many kinds.
    pub kind: Option<usize>,
    /// Name of the system call; `None` if it is another function's failure, or not known.
    pub call: Option<&'static str>,
    /// The evidence.
    pub cause: Cause,
    /// What the program wrote about it.
    pub line: Option<&'s Line>,
    /// Why it is harmless.
    pub harmless: Option<&'static str>,
    /// How many there were.
    pub count: u64,
    /// When the first one began.
    pub first: MonotonicNs,
    /// When the last one began.
    pub last: MonotonicNs,
}

/// The failures of a run by rank.
#[derive(Clone, Debug, Default)]
pub struct Verdict<'s> {
    /// The most probable reason first.
    pub reasons: Vec<Reason<'s>>,
}

/// Rank of a failure: lower is better.
type Rank = (Cause, Reverse<u32>, Reverse<MonotonicNs>);

struct Ranked<'s> {
    failure: &'s Failure,
    rank: Rank,
    line: Option<&'s Line>,
}

pub(super) fn rank<'s>(
    story: &'s Story,
    told: &Told,
    lines: &'s [Line],
    said: &dyn Fn(&Session) -> Vec<Vec<u8>>,
) -> Verdict<'s> {
    let failures: Vec<&Failure> = story.failures.iter().collect();
    let complained = complained(&failures, lines, said);
    let last = last_before_exits(told, &failures, &complained);
    let mut ranked: Vec<Ranked<'_>> = Vec::with_capacity(failures.len());
    for (index, failure) in failures.into_iter().enumerate() {
        let line = complained.get(&index);
        let weight = last.get(&index);
        let cause = match (line, weight, failure.facts.harmless) {
            (Some(_), ..) => Cause::Said,
            (None, Some(_), _) => Cause::LastBeforeExit,
            (None, None, None) => Cause::Unusual,
            (None, None, Some(_)) => Cause::Harmless,
        };
        let weight = line.map(|line| line.weight).or(weight.copied());
        let rank = (
            cause,
            Reverse(weight.unwrap_or_default()),
            Reverse(failure.session.header.ended),
        );
        ranked.push(Ranked {
            failure,
            rank,
            line: line.map(|line| line.line),
        });
    }
    ranked.sort_by_key(|ranked| ranked.rank);
    Verdict {
        reasons: folded(story, ranked),
    }
}

/// A line that is about a failure.
struct About<'s> {
    line: &'s Line,
    /// The more, the better it fits.
    weight: u32,
}

/// Finds the failure that each line is about.
fn complained<'s>(
    failures: &[&Failure],
    lines: &'s [Line],
    said: &dyn Fn(&Session) -> Vec<Vec<u8>>,
) -> HashMap<usize, About<'s>> {
    let messages: Vec<Vec<Vec<u8>>> = failures
        .iter()
        .map(|failure| said(&failure.session))
        .collect();
    let errnos = failures
        .iter()
        .filter_map(|failure| failure.facts.errno)
        .collect();
    let mut all: HashMap<usize, About<'s>> = HashMap::new();
    for (number, line) in lines.iter().enumerate() {
        let complaint = Complaint::new(line, &errnos);
        let fitting = failures.iter().enumerate().filter_map(|(index, failure)| {
            let fit = fit(failure, &complaint, &messages[index])?;
            Some((fit, failure.session.header.ended, index))
        });
        if let Some((fit, _, index)) = fitting.max() {
            // Of several lines that fit as well, the last one tells the end of the story.
            let weight = fit << 16 | number.min(0xffff) as u32;
            let about = all.entry(index).or_insert(About { line, weight });
            if about.weight < weight {
                *about = About { line, weight };
            }
        }
    }
    all
}

/// Returns how well a line fits a failure; `None` if it does not.
fn fit(failure: &Failure, complaint: &Complaint<'_>, messages: &[Vec<u8>]) -> Option<u32> {
    let Failure { session, facts, .. } = failure;
    if session.header.ended > complaint.line.at {
        return None;
    }
    let repeats_kernel = messages
        .iter()
        .any(|message| message.len() >= MIN_MESSAGE && complaint.repeats(message));
    let is_named = facts.errno.is_some_and(|errno| complaint.names(errno));
    let is_meant = facts.errno.is_some_and(|errno| complaint.means(errno));
    if !repeats_kernel && !is_named && !is_meant {
        return None;
    }
    let mentions_argument = facts.texts.iter().any(|text| complaint.mentions(text));
    let mentions_call = facts.call.is_some_and(|call| complaint.mentions_call(call));
    let is_own = session.header.tgid == complaint.line.tgid;
    // Before an exec(2) the process had another name.
    let comm = complaint.line.comm.as_slice();
    let has_name = [&session.header.comm, &session.header.leader_comm];
    let is_same_program = is_own && has_name.iter().any(|name| name.as_slice() == comm);
    let is_unusual = facts.harmless.is_none();
    // Words of the kernel are seldom repeated by chance. A path that is mentioned tells one of many
    // failures of the same kind. What a process says of another one is less likely.
    let points = [
        (repeats_kernel, 64),
        (mentions_argument, 16),
        (mentions_call, 8),
        (is_own, 8),
        (is_named, 4),
        (is_unusual, 6),
        (is_same_program, 2),
        (is_meant, 2),
    ];
    let earned = points.into_iter().filter(|(is_so, _)| *is_so);
    Some(earned.map(|(_, points)| points).sum())
}

/// Finds the last failure of each process that ended badly, without those that programs that work
/// have, too. The value is the more, the more likely the end of the process is that of the command.
fn last_before_exits(
    told: &Told,
    failures: &[&Failure],
    complained: &HashMap<usize, About<'_>>,
) -> BTreeMap<usize, u32> {
    let status = told.exits().back().map(|exit| exit.code);
    let mut all = BTreeMap::new();
    for exit in told.exits().iter().filter(|exit| exit.code != 0) {
        let of_process = failures.iter().enumerate().filter(|(_, failure)| {
            let header = &failure.session.header;
            header.tgid == exit.tgid && header.ended <= exit.at && failure.facts.harmless.is_none()
        });
        let last = of_process.max_by_key(|(_, failure)| failure.session.header.ended);
        if let Some((index, _)) = last
            && !complained.contains_key(&index)
        {
            let is_same = Some(exit.code) == status;
            all.insert(index, u32::from(is_same));
        }
    }
    all
}

/// Makes one reason of the failures of a kind and a cause. The first one of each represents it.
fn folded<'s>(story: &'s Story, ranked: Vec<Ranked<'s>>) -> Vec<Reason<'s>> {
    let mut reasons: Vec<Reason<'s>> = Vec::new();
    let mut places: HashMap<(usize, Cause), usize> = HashMap::new();
    let mut kept: HashMap<usize, u64> = HashMap::new();
    for Ranked {
        failure,
        rank: (cause, ..),
        line,
    } in ranked
    {
        let started = failure.session.header.started;
        if let Some(kind) = failure.kind {
            *kept.entry(kind).or_default() += 1;
        }
        let place = failure.kind.and_then(|kind| places.get(&(kind, cause)));
        if let Some(reason) = place.and_then(|place| reasons.get_mut(*place)) {
            reason.count += 1;
            reason.first = reason.first.min(started);
            reason.last = reason.last.max(started);
            continue;
        }
        if let Some(kind) = failure.kind {
            places.insert((kind, cause), reasons.len());
        }
        reasons.push(Reason {
            session: &failure.session,
            kind: failure.kind,
            call: failure.facts.call,
            cause,
            line,
            harmless: failure.facts.harmless,
            count: 1,
            first: started,
            last: started,
        });
    }
    // Those that were not kept are counted with the last reason of their kind.
    for ((kind, _), place) in &places {
        let known = kept.get_mut(kind);
        let (Some(known), Some(kind)) = (known, story.kinds.get(*kind)) else {
            continue;
        };
        let reason = &mut reasons[*place];
        reason.count += kind.count.saturating_sub(*known);
        reason.first = reason.first.min(kind.first);
        reason.last = reason.last.max(kind.last);
        *known = kind.count;
    }
    reasons
}
