// SPDX-License-Identifier: BSD-2-Clause
//! Reports what was selected and what was left out.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use crate::config::Config;
use crate::diag::Diag;
use crate::prepare::gather::Prepared;
use crate::render::escape;
use crate::select::{LeftOutReason, Selection, TracedFunction, assign, counts};
use crate::spec::NoteSource;

/// Reports globs that match nothing, forced functions, back ends, and the functions that were left
/// out.
pub(super) fn selection(prepared: &Prepared, config: &Config, diag: &Diag) {
    let selection = &prepared.selection;
    for glob in &selection.globs {
        if !glob.is_users() {
            continue;
        }
        if let Some(why) = glob.why_nothing() {
            diag.warning(&why);
        }
    }
    for why in prepared.user.whys() {
        diag.warning(why);
    }
    for (id, reason) in &selection.forced {
        if let Some(function) = selection.functions.get(id.index()) {
            let name = &function.name;
            diag.warning(format!("tracing `{name}` by force, although: {reason}"));
        }
    }
    backends(prepared, diag);
    let n_left_out = selection.left_out.len();
    if n_left_out == 0 || config.run.dry_run {
        return;
    }
    diag.info(1, format_args!("{} left out:", n_functions(n_left_out)));
    for (reason, count) in reasons(selection) {
        diag.info(1, format_args!("  {count} {reason}"));
    }
    for left_out in &selection.left_out {
        diag.info(1, format!("  {left_out}"));
    }
    for (name, file, why) in &prepared.user.left_out {
        diag.info(1, format!("  {name} [{file}]: {why}"));
    }
}

/// Returns the text of `--dry-run`.
pub(super) fn dry_run(prepared: &Prepared, config: &Config) -> String {
    let selection = &prepared.selection;
    let mut text = String::new();
    let n_entries = selection.entries().count();
    let _infallible = writeln!(
        text,
        "{} would be traced with {}, {n_entries} as entry",
        n_functions(selection.armed().count()),
        used(prepared)
    );
    for function in selection.armed() {
        if config.run.verbosity == 0 && function.entry.is_none() {
            continue;
        }
        let role = if function.entry.is_some() {
            "entry"
        } else {
            "allow"
        };
        let module = function
            .module
            .as_deref()
            .map(|module| format!(" [{}]", escape(module.as_bytes())));
        let _infallible = writeln!(
            text,
            "  {role} {}{}",
            escape(function.name.as_bytes()),
            module.unwrap_or_default()
        );
    }
    let of_user = |source: &&NoteSource| source.kind.is_asked_for();
    for source in prepared.notes.sources.iter().filter(of_user) {
        let _infallible = writeln!(text, "  note {}", escape(source.name.as_bytes()));
    }
    let left_out = n_functions(selection.left_out.len());
    let _infallible = writeln!(text, "{left_out} left out");
    for (reason, count) in reasons(selection) {
        let _infallible = writeln!(text, "  {count} {reason}");
    }
    if config.run.verbosity > 0 {
        for left_out in &selection.left_out {
            let _infallible = writeln!(text, "    {left_out}");
        }
    }
    text
}

/// Returns `back end A` or `back ends A and B`.
fn used(prepared: &Prepared) -> String {
    let armed: Vec<TracedFunction> = prepared.selection.armed().cloned().collect();
    let assigned = assign(&armed, &prepared.policy);
    let used: BTreeSet<_> = assigned
        .iter()
        .filter_map(|assigned| assigned.backends.first())
        .collect();
    let names: Vec<String> = used.iter().map(ToString::to_string).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("back end{plural} {}", names.join(" and "))
}

/// Reports how many functions each back end attaches to and why; with `-vv` also each function.
fn backends(prepared: &Prepared, diag: &Diag) {
    let armed: Vec<TracedFunction> = prepared.selection.armed().cloned().collect();
    let assigned = assign(&armed, &prepared.policy);
    for (backend, why, n) in counts(&assigned) {
        diag.info(1, format!("{} by {backend}: {why}", n_functions(n)));
    }
    for (function, assigned) in armed.iter().zip(&assigned) {
        if let Some(backend) = assigned.backends.first() {
            let name = escape(function.name.as_bytes());
            diag.info(2, format!("  {name}: {backend}, {}", assigned.why));
        }
    }
}

/// Counts the functions that were left out by reason. All globs of a use case count as one reason.
fn reasons(selection: &Selection) -> Vec<(String, usize)> {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for (reason, count) in selection.left_out_by_reason() {
        let text = match &reason {
            LeftOutReason::Denied { glob } => match glob.rsplit_once(" of use case ") {
                Some((_, case)) => format!("denied by use case {case}"),
                None => reason.to_string(),
            },
            _ => reason.to_string(),
        };
        match reasons.iter_mut().find(|(known, _)| *known == text) {
            Some((_, sum)) => *sum += count,
            None => reasons.push((text, count)),
        }
    }
    reasons.sort_by_key(|(_, count)| Reverse(*count));
    reasons
}

fn n_functions(n: usize) -> String {
    format!("{n} function{}", if n == 1 { "" } else { "s" })
}
