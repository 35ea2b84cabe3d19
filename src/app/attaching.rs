// SPDX-License-Identifier: BSD-2-Clause
//! Attaching and detaching, and what is said meanwhile.

use anyhow::{Result, bail};

use super::stop::StopFlag;
use crate::bpf::{Attached, Moved, Tracer};
use crate::diag::Diag;
use crate::select::{Assigned, TracedFunction};

/// Attaching this many functions one by one takes long enough to say so.
const MANY_ONE_BY_ONE: usize = 100;

/// Attaches to the functions of a run that is about to start.
pub(super) fn attach(
    tracer: &mut Tracer<'_>,
    functions: &[TracedFunction],
    assigned: &[Assigned],
    stop: &StopFlag,
    diag: &Diag,
) -> Result<Attached> {
    let n_one_by_one = assigned
        .iter()
        .filter_map(|assigned| assigned.backends.first())
        .filter(|backend| backend.is_one_by_one())
        .count();
    if n_one_by_one > MANY_ONE_BY_ONE {
        diag.note(format!(
            "this kernel attaches functions one by one, and {n_one_by_one} match: this takes long"
        ));
        diag.hint("narrow the selection: -d leaves functions out, -e and -a instead of -c choose");
    }
    let attached = tracer.attach(functions, assigned, &mut |done, all| {
        diag.progress(format!("attached to {done} of {all} functions"));
        !stop.is_raised()
    });
    diag.end_progress();
    if stop.is_raised() {
        bail!("interrupted while attaching");
    }
    let attached = attached?;
    for moved in &attached.moved {
        let Moved { refused, from, to } = moved;
        let name = &functions[refused.func.index()].name;
        diag.info(
            1,
            format!(
                "  {name}: {from} refused it ({}), {to} is next",
                refused.why
            ),
        );
    }
    if !attached.refused.is_empty() {
        let n_refused = attached.refused.len();
        let plural = if n_refused == 1 { "" } else { "s" };
        diag.warning(format!(
            "the kernel refused {n_refused} function{plural} (-v lists them)"
        ));
        for refused in &attached.refused {
            let of = functions
                .iter()
                .find(|function| function.id == refused.func);
            let name = of.map_or("?", |function| &function.name);
            diag.info(1, format!("  {name}: {}", refused.why));
        }
    }
    Ok(attached)
}

/// Detaching is slow where attaching is: say that we are at it.
pub(super) fn detach(tracer: Tracer<'_>, diag: &Diag) {
    let n_one_by_one = tracer.n_one_by_one();
    if n_one_by_one > MANY_ONE_BY_ONE {
        diag.note(format!("detaching from {n_one_by_one} functions"));
    }
    drop(tracer);
}
