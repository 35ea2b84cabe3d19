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
    let read = |name: &str| {
        let path = out.join(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("failed to read `{}`: {error}", path.display()))
    };
    let functions = read("functions")?.lines().map(str::to_owned).collect();
    let results = read("results")?;
    let mut scores = Vec::new();
    for line in results.lines() {
        let outcome: Outcome =
            serde_json::from_str(line).map_err(|error| format!("results: {error}: {line}"))?;
        let case = cases.iter().find(|case| case.id == outcome.id);
        let case = case.ok_or(format!("no case is called `{}`", outcome.id))?;
        // stdout is the command's; the answer is on stderr, between what the command says there.
        let output = fs::read(out.join(format!("{}.err", case.id))).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        scores.push(score(case, &outcome, &output, &functions));
    }
    Ok(scores)
}

/// Scores one case by what was written to stderr.
pub(crate) fn score(
    case: &Case,
    outcome: &Outcome,
    output: &str,
    functions: &BTreeSet<String>,
) -> Score {
    let accepted = case.accepted(functions);
    let mut score = Score {
        id: case.id.clone(),
        area: case.area.clone(),
        skipped: outcome.skipped.clone(),
        trouble: outcome.trouble.clone(),
        milliseconds: outcome.milliseconds,
        truth: case.truth.clone(),
        are_words_right: (!case.words.is_empty()).then_some(false),
        expected: format!(
            "{} {} {}",
            case.syscall.join("|"),
            case.errno,
            accepted.join("|")
        ),
        ..Score::default()
    };
    if !outcome.skipped.is_empty() {
        score.are_words_right = None;
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
        let is_call = match reason["syscall"].as_str() {
            Some(syscall) => case.syscall.iter().any(|name| name == syscall),
            // The session of a netlink request begins below the system call.
            None => case.request,
        };
        is_call && reason["error"] == case.errno.as_str()
    };
    score.place = reasons.iter().position(is_right).map_or(0, |n| n + 1);
    let Some(first) = reasons.first() else {
        add_trouble(&mut score.trouble, "no reasons");
        return score;
    };
    let culprit = first["culprit"].as_str().unwrap_or_default();
    score.is_culprit_right = score.is_first() && accepted.contains(&base(culprit));
    score.is_wrong = first["certain"] == true && !accepted.contains(&base(culprit));
    score.answer = format!(
        "{} {} {culprit}{}",
        first["syscall"].as_str().unwrap_or("?"),
        first["error"].as_str().unwrap_or("?"),
        if first["certain"] == true {
            " (certain)"
        } else {
            ""
        },
    );
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
