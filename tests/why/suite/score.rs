// SPDX-License-Identifier: BSD-2-Clause
//! Compares what the program answered with the truth. Reads JSON lines; nothing is guessed where the
//! verdict is missing: that is a failure of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::case::Case;
use super::run::{Outcome, base};

/// What a case is worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    pub(crate) id: String,
    pub(crate) area: String,
    pub(crate) skipped: String,
    /// Why there is no answer; empty: there is one.
    pub(crate) trouble: String,
    /// At which place of the reasons the right session is, from 1; 0: nowhere.
    pub(crate) place: usize,
    pub(crate) is_culprit_right: bool,
    /// `None` where the kernel says nothing.
    pub(crate) are_words_right: Option<bool>,
    /// The culprit was called certain, and is wrong.
    pub(crate) is_wrong: bool,
    pub(crate) milliseconds: u64,
    /// The answer in short, and what was expected.
    pub(crate) answer: String,
    pub(crate) expected: String,
    /// How the truth is known.
    pub(crate) truth: String,
}

impl Score {
    /// Whether the right session stands first.
    pub(crate) fn is_first(&self) -> bool {
        self.place == 1
    }
}

/// Reads what a run of the cases left in a folder, and scores it.
pub(crate) fn score_all(cases: &[Case], out: &Path) -> Result<Vec<Score>, String> {
    let (functions, outcomes) = outcomes(out)?;
    let mut scores = Vec::new();
    for outcome in &outcomes {
        let case = case_of(cases, outcome)?;
        // stdout is the command's; the answer is on stderr, between what the command says there.
        let output = fs::read(out.join(format!("{}.err", case.id))).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        scores.push(score(case, outcome, &output, &functions));
    }
    Ok(scores)
}

/// Scores cases that one run of the program traced together: `answers` is the file with its JSON
/// lines. There is no verdict about each, so the right session counts as the first; is it there, and is
/// its culprit right?
pub(crate) fn score_played(cases: &[Case], out: &Path) -> Result<Vec<Score>, String> {
    let (functions, outcomes) = outcomes(out)?;
    let answers = out.join("answers");
    let answers = fs::read(&answers)
        .map_err(|error| format!("failed to read `{}`: {error}", answers.display()))?;
    let answers = String::from_utf8_lossy(&answers);
    let objects = answers
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let sessions: Vec<Value> = objects
        .filter(|object: &Value| object["kind"] == "session")
        .collect();
    let score = |outcome: &Outcome| {
        let case = case_of(cases, outcome)?;
        Ok(score_session(case, outcome, &sessions, &functions))
    };
    outcomes.iter().map(score).collect()
}

/// What a run of the cases left in a folder: the functions of the kernel, and how each case went.
fn outcomes(out: &Path) -> Result<(BTreeSet<String>, Vec<Outcome>), String> {
    let read = |name: &str| {
        let path = out.join(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("failed to read `{}`: {error}", path.display()))
    };
    let functions = read("functions")?.lines().map(str::to_owned).collect();
    let results = read("results")?;
    let parse = |line: &str| {
        serde_json::from_str(line).map_err(|error| format!("results: {error}: {line}"))
    };
    let outcomes: Result<Vec<Outcome>, String> = results.lines().map(parse).collect();
    Ok((functions, outcomes?))
}

fn case_of<'c>(cases: &'c [Case], outcome: &Outcome) -> Result<&'c Case, String> {
    let case = cases.iter().find(|case| case.id == outcome.id);
    case.ok_or(format!("no case is called `{}`", outcome.id))
}

fn unscored(case: &Case, outcome: &Outcome, accepted: &[&str]) -> Score {
    Score {
        id: case.id.clone(),
        area: case.area.clone(),
        skipped: outcome.skipped.clone(),
        trouble: outcome.trouble.clone(),
        milliseconds: outcome.milliseconds,
        truth: case.truth.clone(),
        are_words_right: (!case.words.is_empty() && outcome.skipped.is_empty()).then_some(false),
        expected: format!(
            "{} {} {}",
            case.syscall.join("|"),
            case.errno,
            accepted.join("|")
        ),
        ..Score::default()
    }
}

/// Scores one case by the sessions that began while it ran.
fn score_session(
    case: &Case,
    outcome: &Outcome,
    sessions: &[Value],
    functions: &BTreeSet<String>,
) -> Score {
    let accepted = case.accepted(functions);
    let mut score = unscored(case, outcome, &accepted);
    if !outcome.skipped.is_empty() {
        return score;
    }
    let (begun, ended) = outcome.ran;
    let failed = |call: &Value| {
        let result = call["result"].as_str().unwrap_or_default();
        result.strip_prefix('-') == Some(case.errno.as_str())
    };
    let is_right = |session: &&Value| {
        let started = session["started_ns"].as_u64().unwrap_or_default();
        // The system call that sends a request succeeds.
        let chain = session["chain"].as_array();
        let is_answer = case.request && chain.is_some_and(|chain| chain.iter().any(failed));
        (begun..=ended).contains(&started)
            && is_call(case, session["syscall"]["name"].as_str())
            && (failed(&session["entry"]) || is_answer)
    };
    let Some(session) = sessions.iter().rfind(is_right) else {
        return score;
    };
    score.place = 1;
    let culprit = &session["culprit"];
    let answer = Answer {
        call: session["syscall"]["name"].as_str(),
        error: session["entry"]["result"].as_str(),
        culprit: only_maker(culprit)
            .or(culprit["function"].as_str())
            .unwrap_or_default(),
        is_certain: culprit["certain"] == true,
    };
    answer.judge(&accepted, &mut score);
    score.are_words_right = score.are_words_right.map(|_| says(session, &case.words));
    score
}

/// The untraced callee that alone can have made the error, which a verdict names.
fn only_maker(culprit: &Value) -> Option<&str> {
    let untraced = &culprit["untraced"];
    let is_below = untraced["made_here"] == false && untraced["through_pointers"] == false;
    match untraced["callees"].as_array()?.as_slice() {
        [callee] if is_below => callee["function"].as_str(),
        _ => None,
    }
}

/// What the program says about one failure.
struct Answer<'a> {
    call: Option<&'a str>,
    error: Option<&'a str>,
    culprit: &'a str,
    is_certain: bool,
}

impl Answer<'_> {
    fn judge(&self, accepted: &[&str], score: &mut Score) {
        let is_right = accepted.contains(&base(self.culprit));
        score.is_culprit_right = score.is_first() && is_right;
        score.is_wrong = self.is_certain && !is_right;
        score.answer = format!(
            "{} {} {}{}",
            self.call.unwrap_or("?"),
            self.error.unwrap_or("?"),
            self.culprit,
            if self.is_certain { " (certain)" } else { "" },
        );
    }
}

/// Whether a failure is of the call that the case is about. The session of a netlink request begins
/// below the system call.
fn is_call(case: &Case, call: Option<&str>) -> bool {
    match call {
        Some(call) => {
            let mut calls = case.syscall.iter().chain(&case.also_syscall);
            calls.any(|name| name == call)
        }
        None => case.request,
    }
}

/// Scores one case by what was written to stderr.
pub(crate) fn score(
    case: &Case,
    outcome: &Outcome,
    output: &str,
    functions: &BTreeSet<String>,
) -> Score {
    let accepted = case.accepted(functions);
    let mut score = unscored(case, outcome, &accepted);
    if !outcome.skipped.is_empty() {
        return score;
    }
    let objects: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let is_verdict = |object: &&Value| object["kind"] == "verdict";
    let Some(verdict) = objects.iter().rfind(is_verdict) else {
        add_trouble(&mut score.trouble, "no verdict");
        return score;
    };
    let reasons = verdict["reasons"].as_array().cloned().unwrap_or_default();
    let is_right = |reason: &Value| {
        is_call(case, reason["syscall"].as_str()) && reason["error"] == case.errno.as_str()
    };
    score.place = reasons.iter().position(is_right).map_or(0, |n| n + 1);
    let Some(first) = reasons.first() else {
        add_trouble(&mut score.trouble, "no reasons");
        return score;
    };
    let answer = Answer {
        call: first["syscall"].as_str(),
        error: first["error"].as_str(),
        culprit: first["culprit"].as_str().unwrap_or_default(),
        is_certain: first["certain"] == true,
    };
    answer.judge(&accepted, &mut score);
    let session = objects
        .iter()
        .find(|object| object["id"] == first["session"]);
    score.are_words_right = score
        .are_words_right
        .map(|_| session.is_some_and(|session| says(session, &case.words)));
    score
}

/// Whether the messages of the session have these words. A line that the kernel prints in pieces
/// (`pr_cont()`) is several messages.
fn says(session: &Value, words: &str) -> bool {
    let messages = session["messages"].as_array();
    messages.is_some_and(|messages| {
        let texts = messages
            .iter()
            .filter_map(|message| message["text"].as_str());
        texts.collect::<Vec<_>>().join(" ").contains(words)
    })
}

fn add_trouble(trouble: &mut String, text: &str) {
    if !trouble.is_empty() {
        trouble.push_str(", ");
    }
    trouble.push_str(text);
}
