// SPDX-License-Identifier: BSD-2-Clause
//! Runs the governor once a second, and reports the functions that it detached from.

use std::collections::BTreeSet;
use std::mem;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::attaching;
use super::governor::{Cause, DetachVerdict, EVALUATION_INTERVAL, Governor};
use crate::bpf::{Attached, Hits, Tracer};
use crate::config::Limits;
use crate::diag::Diag;
use crate::live::trails::Traced;
use crate::render::Detached;
use crate::select::TracedFunction;
use crate::spec::HookId;

/// How long the programs run on without a sign of life while we attach or detach, which takes long
/// on old kernels.
pub(crate) const BUSY_LIFETIME: Duration = Duration::from_secs(600);

/// The governor of a run, and the time of its last evaluation.
pub(crate) struct Watch<'a> {
    governor: Governor,
    limits: Limits,
    functions: &'a [TracedFunction],
    looked: Instant,
    /// The result of the last evaluation, until the functions are detached.
    verdicts: Vec<DetachVerdict>,
    /// The functions that were detached. A run may end between a verdict and its detaching.
    done: Vec<DetachVerdict>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(limits: Limits, functions: &'a [TracedFunction]) -> Self {
        Self {
            governor: Governor::new(limits),
            limits,
            functions,
            looked: Instant::now(),
            verdicts: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Has the calls counted from now on.
    pub(crate) fn begin(mut self, tracer: &Tracer<'_>) -> Self {
        if self.governor.is_on() {
            self.governor.begin(tracer.hits());
        }
        self.looked = Instant::now();
        self
    }

    /// Evaluates the call counters once per [`EVALUATION_INTERVAL`]. Returns true if there are
    /// functions to detach from.
    ///
    /// # Errors
    /// Fails if the counters cannot be read.
    pub(crate) fn has_to_act(&mut self, tracer: &Tracer<'_>) -> Result<bool> {
        let elapsed = self.looked.elapsed();
        if self.governor.is_on() && elapsed >= EVALUATION_INTERVAL {
            self.looked = Instant::now();
            self.look(tracer.hits(), elapsed);
        }
        Ok(!self.verdicts.is_empty())
    }

    fn look(&mut self, hits: Vec<Hits>, elapsed: Duration) {
        self.verdicts = self.governor.look(hits, elapsed);
    }

    /// Returns the functions to detach from now.
    pub(crate) fn to_detach(&self) -> BTreeSet<HookId> {
        self.verdicts.iter().map(|verdict| verdict.func).collect()
    }

    /// Records that the chosen functions are detached, and reports it. `attached` is what became of
    /// the functions that had to be attached again.
    ///
    /// # Errors
    /// Fails if no entry function is left.
    pub(crate) fn have_gone(
        &mut self,
        attached: &Attached,
        traced: &Traced,
        diag: &Diag,
    ) -> Result<()> {
        let verdicts = mem::take(&mut self.verdicts);
        let gone: BTreeSet<_> = verdicts.iter().map(|verdict| verdict.func).collect();
        for verdict in &verdicts {
            self.report(verdict, diag);
        }
        self.done.extend(verdicts);
        attaching::report(attached, self.functions, diag);
        let refused = attached.refused.iter().map(|refused| &refused.func);
        for id in gone.iter().chain(refused) {
            if let Some(function) = self.functions.get(id.index()) {
                traced.remove(function.addr());
            }
        }
        if attached.n_functions > 0 {
            diag.info(
                1,
                format!(
                    "attached anew to {} other functions: of their calls that were under way the \
                     returns are not seen",
                    attached.n_functions
                ),
            );
        }
        let mut entries = self
            .functions
            .iter()
            .filter(|function| function.entry.is_some());
        if entries.all(|function| self.governor.has_detached(function.id)) {
            bail!("no entry function is left: each was called too often");
        }
        Ok(())
    }

    fn report(&self, verdict: &DetachVerdict, diag: &Diag) {
        let Some(function) = self.functions.get(verdict.func.index()) else {
            return;
        };
        let (name, rate) = (&function.name, verdict.rate);
        let why = match verdict.cause {
            Cause::MaxRate => {
                let max = self.limits.max_rate.unwrap_or_default();
                format!("{rate} calls a second exceed --max-rate {max}")
            }
            Cause::Budget { share } => format!(
                "all functions together take about {:.0} % of a CPU, more than --budget {}, and \
                 its {rate} calls a second most of that",
                share * 100.0,
                percent(self.limits.budget.unwrap_or_default())
            ),
        };
        diag.warning(format!("detached from {name}: {why}"));
        if function.entry.is_some() {
            diag.note(format!("no session opens at {name} any more"));
        }
    }

    /// Returns the functions that were detached, for the summary.
    pub(crate) fn detached(&self) -> Vec<Detached> {
        let detached = self.done.iter().filter_map(|verdict| {
            let function = self.functions.get(verdict.func.index())?;
            Some(Detached {
                function: function.name.clone(),
                module: function.module.clone(),
                rate: verdict.rate,
                option: match verdict.cause {
                    Cause::MaxRate => "max-rate",
                    Cause::Budget { .. } => "budget",
                },
            })
        });
        detached.collect()
    }
}

/// Returns a share in percent, to two places.
fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 1e2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limits, Watch};
    use crate::bpf::{Attached, Hits};
    use crate::diag::{Diag, Paint};
    use crate::select::TracedFunction;
    use crate::spec::{Addr, EntryReason, Hook, HookId, ResultType};

    const LIMITS: Limits = Limits {
        max_rate: Some(1000),
        budget: None,
        is_for_others: false,
    };

    fn function(id: u32, name: &str, entry: Option<EntryReason>) -> TracedFunction {
        TracedFunction {
            id: HookId(id),
            name: name.to_owned(),
            module: None,
            hook: Hook::KernelFunction(Addr(0)),
            size: 1,
            entry,
            result: ResultType::Unknown,
            prototype: None,
            parameters: Vec::new(),
        }
    }

    #[test]
    fn a_budget_is_told_as_it_was_given() {
        // A tenth of three processors is no round number.
        let told = [0.005, 0.1 * 3.0, 0.0025, 12.0].map(|share| super::percent(share).to_string());
        assert_eq!(told, ["0.5", "30", "0.25", "1200"]);
    }

    #[test]
    fn a_function_that_was_about_to_go_when_the_run_ended_is_not_said_to_have_gone() {
        let functions = [
            function(0, "__sys_bpf", Some(EntryReason::KernelFunction)),
            function(1, "bpf_map_kzalloc", None),
        ];
        let mut watch = Watch::new(LIMITS, &functions);
        let hits = |calls: u32| vec![Hits::default(), Hits { calls, inside: 0 }];
        watch.look(hits(5000), Duration::from_secs(1));
        assert_eq!(
            watch.to_detach().into_iter().collect::<Vec<_>>(),
            [HookId(1)]
        );
        assert_eq!(watch.detached(), []);
        let attached = Attached {
            n_functions: 0,
            refused: Vec::new(),
            moved: Vec::new(),
        };
        let diag = Diag::stderr(Paint::Never, 0);
        watch
            .have_gone(&attached, &Default::default(), &diag)
            .unwrap();
        assert!(watch.to_detach().is_empty());
        let detached = watch.detached();
        assert_eq!(detached.len(), 1);
        assert_eq!(
            (detached[0].function.as_str(), detached[0].rate),
            ("bpf_map_kzalloc", 5000)
        );
    }
}
