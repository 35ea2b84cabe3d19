// SPDX-License-Identifier: BSD-2-Clause
//! The score as a table, and in sum.

use std::fmt::Write as _;

use serde_json::json;

use super::score::Score;

/// Scores in sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    /// Cases that ran on this kernel.
    pub(crate) n_run: usize,
    pub(crate) n_skipped: usize,
    /// Without an answer, or not run as they should have been.
    pub(crate) n_trouble: usize,
    pub(crate) n_first: usize,
    pub(crate) n_culprit: usize,
    pub(crate) n_wrong: usize,
    pub(crate) n_with_words: usize,
    pub(crate) n_words: usize,
    pub(crate) median_milliseconds: u64,
    pub(crate) max_milliseconds: u64,
}

impl Sum {
    pub(crate) fn of(scores: &[Score]) -> Self {
        let run: Vec<&Score> = scores.iter().filter(|s| s.skipped.is_empty()).collect();
        let count = |is: fn(&Score) -> bool| run.iter().filter(|score| is(score)).count();
        let mut times: Vec<u64> = run.iter().map(|score| score.milliseconds).collect();
        times.sort_unstable();
        Self {
            n_run: run.len(),
            n_skipped: scores.len() - run.len(),
            n_trouble: count(|score| !score.trouble.is_empty()),
            n_first: count(Score::is_first),
            n_culprit: count(|score| score.is_culprit_right),
            n_wrong: count(|score| score.is_wrong),
            n_with_words: count(|score| score.are_words_right.is_some()),
            n_words: count(|score| score.are_words_right == Some(true)),
            median_milliseconds: times.get(times.len() / 2).copied().unwrap_or_default(),
            max_milliseconds: times.last().copied().unwrap_or_default(),
        }
    }

    /// A share of the cases that ran, in percent.
    pub(crate) fn percent(&self, n: usize) -> f64 {
        100.0 * n as f64 / self.n_run.max(1) as f64
    }
}

/// One line for each case, with what was expected where it was missed; then the sum, for people, and
/// as JSON in the last line.
pub(crate) fn render(kernel: &str, scores: &[Score]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "{:<24} first culprit words  seconds", "case");
    let mut area = "";
    for score in scores {
        if score.area != area {
            area = &score.area;
            let _ = writeln!(text, "-- {area}");
        }
        line(&mut text, score);
    }
    let sum = Sum::of(scores);
    let _ = writeln!(
        text,
        "{kernel}: {} cases, {} not for this kernel; right session first {} ({:.1} %), culprit {} ({:.1} %), \
         words {} of {}, certain but wrong {} ({:.1} %), in trouble {}; {:.1} s in the median, {:.1} s at most",
        sum.n_run,
        sum.n_skipped,
        sum.n_first,
        sum.percent(sum.n_first),
        sum.n_culprit,
        sum.percent(sum.n_culprit),
        sum.n_words,
        sum.n_with_words,
        sum.n_wrong,
        sum.percent(sum.n_wrong),
        sum.n_trouble,
        sum.median_milliseconds as f64 / 1000.0,
        sum.max_milliseconds as f64 / 1000.0,
    );
    let machine = json!({
        "kernel": kernel, "cases": sum.n_run, "skipped": sum.n_skipped, "trouble": sum.n_trouble,
        "first": sum.n_first, "culprit": sum.n_culprit, "words": sum.n_words,
        "with_words": sum.n_with_words, "wrong": sum.n_wrong,
        "median_ms": sum.median_milliseconds, "max_ms": sum.max_milliseconds,
    });
    let _ = writeln!(text, "{machine}");
    text
}

fn line(text: &mut String, score: &Score) {
    if !score.skipped.is_empty() {
        let _ = writeln!(text, "{:<24} not here: {}", score.id, score.skipped);
        return;
    }
    let mark = |is: bool| if is { "yes" } else { "NO" };
    let first = match score.place {
        0 => "NO".to_owned(),
        1 => "yes".to_owned(),
        place => format!("no. {place}"),
    };
    let words = score.are_words_right.map_or("-", mark);
    let _ = write!(
        text,
        "{:<24} {first:<5} {:<7} {words:<6} {:>6.1}",
        score.id,
        mark(score.is_culprit_right),
        score.milliseconds as f64 / 1000.0,
    );
    if score.is_wrong {
        text.push_str("  WRONG");
    }
    if !score.trouble.is_empty() {
        let _ = write!(text, "  {}", score.trouble.replace('\n', " "));
    }
    if !score.is_culprit_right {
        let _ = write!(
            text,
            "  got: {}; truth: {} ({})",
            score.answer, score.expected, score.truth
        );
    }
    text.push('\n');
}
