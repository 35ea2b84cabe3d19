// SPDX-License-Identifier: BSD-2-Clause
//! Attaches and detaches, and reports the progress.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bpf::attach::Refused;
use crate::bpf::{Attached, Moved, Tracer};
use crate::diag::Diag;
use crate::output::stop::StopFlag;
use crate::prepare::gather::say_refused;
use crate::prepare::notes::NotePlan;
use crate::select::{Assigned, TracedFunction};

/// If more functions than this are attached one by one, a message says that it takes long.
const MANY_ONE_BY_ONE: usize = 100;

/// How often detaching checks for another Ctrl-C.
const CTRL_C_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long we wait for detaching before we return the command's status. The caller waits for that
/// status, not for the kernel.
const DETACH_GRACE_WITH_COMMAND: Duration = Duration::from_millis(60);

/// Attaches to the functions of a run that is about to start. `is_broad`: the program chose them.
pub(crate) fn attach(
    tracer: &mut Tracer<'_>,
    functions: &[TracedFunction],
    assigned: &[Assigned],
    is_broad: bool,
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
        if !is_broad {
            diag.hint(
                "narrow the selection: -d leaves functions out, -e and -a instead of -c choose",
            );
        }
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
    report(&attached, functions, diag);
    Ok(attached)
}

/// Reports the functions that the kernel refused. `functions` must contain the functions that were
/// to be attached to.
pub(crate) fn report(attached: &Attached, functions: &[TracedFunction], diag: &Diag) {
    for Moved { refused, from, to } in &attached.moved {
        let (name, why) = (name_of(refused, functions), &refused.why);
        diag.info(
            1,
            format!("  {name}: {from} refused it ({why}), {to} is next"),
        );
    }
    if attached.refused.is_empty() {
        return;
    }
    say_refused(attached.refused.len(), diag);
    for refused in &attached.refused {
        let name = name_of(refused, functions);
        diag.info(1, format!("  {name}: {}", refused.why));
    }
}

/// Attaches to what is noted besides calls, and reports what the kernel refused.
pub(crate) fn attach_notes(tracer: &mut Tracer<'_>, plan: &NotePlan, diag: &Diag) -> Result<()> {
    let attached = tracer.attach_notes(&plan.probes)?;
    if let Some(why) = attached.one_by_one {
        diag.info(1, format!("what is noted is attached one by one: {why}"));
    }
    for (source, why) in attached.failed {
        let Some(source) = plan.sources.get(source) else {
            continue;
        };
        let said = format!("`{}` is not noted: {why}", source.name);
        // No kernel has all places that refuse or say something.
        if source.kind.is_asked_for() {
            diag.warning(said);
        } else {
            diag.info(1, said);
        }
    }
    diag.phase("attached to what is noted");
    Ok(())
}

/// Finds the function by id, not by index: ids count all selected functions, and `functions` may
/// contain only some of them.
fn name_of<'f>(refused: &Refused, functions: &'f [TracedFunction]) -> &'f str {
    let mut functions = functions.iter();
    let found = functions.find(|function| function.id == refused.func);
    found.map_or("?", |function| &function.name)
}

/// Detaches from all functions. Detaching takes as long as attaching, so a message announces it if
/// there are many. Detaching continues in the background if the user presses Ctrl-C again, or if a
/// command's status is due and [`DETACH_GRACE_WITH_COMMAND`] is over.
pub(crate) fn detach(tracer: Tracer<'_>, has_command: bool, stop: &StopFlag, diag: &Diag) {
    let n_one_by_one = tracer.n_one_by_one();
    let takes_long = n_one_by_one > MANY_ONE_BY_ONE;
    if takes_long && !has_command {
        diag.note(format!(
            "detaching from {n_one_by_one} functions; Ctrl-C again leaves that to the background"
        ));
    }
    let (asked, began) = (stop.times_asked(), Instant::now());
    let mut detaching = tracer.detach();
    while !detaching.wait(CTRL_C_POLL_INTERVAL) {
        let insists = stop.times_asked() > asked;
        if insists || has_command && began.elapsed() >= DETACH_GRACE_WITH_COMMAND {
            let processes = detaching.leave();
            let processes: Vec<String> = processes.iter().map(u32::to_string).collect();
            let said = format!(
                "detaching goes on in the background, where nothing is traced any more \
                 (process {})",
                processes.join(", ")
            );
            if insists || takes_long {
                diag.note(said);
            } else {
                diag.info(1, said);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;
    use crate::bpf::attach::Refused;
    use crate::select::TracedFunction;
    use crate::spec::{Addr, Hook, HookId, ResultType};

    #[test]
    fn a_refused_function_is_named_by_its_id_where_others_are_left_for_later() {
        let function = |id: u32, name: &str| TracedFunction {
            id: HookId(id),
            name: name.to_owned(),
            module: None,
            hook: Hook::KernelFunction(Addr(0)),
            size: 1,
            entry: None,
            result: ResultType::Unknown,
            prototype: None,
            parameters: Vec::new(),
        };
        let armed = [function(7, "map_create"), function(900, "bpf_map_kzalloc")];
        let refused = |id: u32| Refused {
            func: HookId(id),
            why: "Invalid argument".to_owned(),
            is_final: false,
        };
        assert_eq!(name_of(&refused(7), &armed), "map_create");
        assert_eq!(name_of(&refused(900), &armed), "bpf_map_kzalloc");
        assert_eq!(name_of(&refused(1), &armed), "?");
    }
}
