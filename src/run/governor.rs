// SPDX-License-Identifier: BSD-2-Clause
//! The governor chooses functions to detach from: those that are called too often, or that together
//! cost too much. This file decides from numbers alone; `trace` detaches.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bpf::Hits;
use crate::config::Limits;
use crate::spec::HookId;

/// The interval between two evaluations of the counters.
pub(crate) const EVALUATION_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum number of calls between two evaluations. The counters are sampled, so fewer calls prove
/// nothing.
const MIN_CALLS: u32 = 5 * HIT_PERIOD;

/// Evaluations in a row that the budget of a run must be exceeded in if nobody gave one.
const MIN_OVER: u32 = 3;

/// `HIT_PERIOD` of `hits.bpf.h`: a sampled call counts as this many.
const HIT_PERIOD: u32 = 61;

/// Cost in instructions of a call outside of a session and of a call inside of one: entry, return
/// and the kernel's own part together. Measured with `scripts/bench percall`.
const INSNS_PER_CALL_OUTSIDE: f64 = 450.0;
const INSNS_PER_CALL_INSIDE: f64 = 2500.0;

/// The limit that a function exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cause {
    MaxRate,
    /// All functions together took `share` of a CPU, and this one was among the most expensive.
    Budget {
        share: f64,
    },
}

/// A function to detach from, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DetachVerdict {
    pub(crate) func: HookId,
    /// Calls per second.
    pub(crate) rate: u64,
    pub(crate) cause: Cause,
}

/// The limits and the state between two evaluations.
#[derive(Debug)]
pub(crate) struct Governor {
    limits: Limits,
    ns_per_instruction: f64,
    before: Vec<Hits>,
    /// Number of evaluations in a row that were over the budget.
    n_over: u32,
    gone: BTreeSet<HookId>,
}

impl Governor {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_speed(limits, ns_per_instruction())
    }

    fn with_speed(limits: Limits, ns_per_instruction: f64) -> Self {
        Self {
            limits,
            ns_per_instruction,
            before: Vec::new(),
            n_over: 0,
            gone: BTreeSet::new(),
        }
    }

    /// Sets the counters at the start. Calls before it, such as those of loading our programs, do not
    /// count.
    pub(crate) fn begin(&mut self, now: Vec<Hits>) {
        self.before = now;
    }

    /// Returns true if a limit is set.
    pub(crate) fn is_on(&self) -> bool {
        self.limits.max_rate.is_some() || self.limits.budget.is_some()
    }

    /// Returns true if the governor chose this function for detaching.
    pub(crate) fn has_detached(&self, func: HookId) -> bool {
        self.gone.contains(&func)
    }

    /// Returns the functions to detach from. `now` are the current counters; `elapsed` is the time
    /// since the last evaluation.
    pub(crate) fn look(&mut self, now: Vec<Hits>, elapsed: Duration) -> Vec<DetachVerdict> {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let inside_cost = if self.limits.is_for_others {
            0.0
        } else {
            INSNS_PER_CALL_INSIDE
        };
        let mut costs = Vec::new();
        let mut verdicts = Vec::new();
        for (id, hits) in (0..).map(HookId).zip(&now) {
            let before = self.before.get(id.index()).copied().unwrap_or_default();
            let calls = hits.calls.wrapping_sub(before.calls);
            let inside = hits.inside.wrapping_sub(before.inside).min(calls);
            if calls < MIN_CALLS || self.gone.contains(&id) {
                continue;
            }
            let rate = (f64::from(calls) / seconds) as u64;
            if self.limits.max_rate.is_some_and(|max| rate > max.into()) {
                verdicts.push(DetachVerdict {
                    func: id,
                    rate,
                    cause: Cause::MaxRate,
                });
                continue;
            }
            let instructions = f64::from(calls - inside) * INSNS_PER_CALL_OUTSIDE
                + f64::from(inside) * inside_cost;
            costs.push((
                instructions * self.ns_per_instruction / 1e9 / seconds,
                id,
                rate,
            ));
        }
        if let Some(budget) = self.limits.budget {
            let over = over_budget(costs, budget);
            self.n_over = if over.is_empty() { 0 } else { self.n_over + 1 };
            // Attaching anew takes longer than a burst. Who gave a budget has it held at once.
            if !self.limits.is_for_others || self.n_over >= MIN_OVER {
                verdicts.extend(over);
                self.n_over = 0;
            }
        }
        self.before = now;
        self.gone
            .extend(verdicts.iter().map(|verdict| verdict.func));
        verdicts
    }
}

/// Chooses the most expensive functions until the cost of the others is within the budget.
fn over_budget(mut costs: Vec<(f64, HookId, u64)>, budget: f64) -> Vec<DetachVerdict> {
    costs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut share: f64 = costs.iter().map(|(cost, ..)| cost).sum();
    let mut verdicts = Vec::new();
    for (cost, func, rate) in costs {
        if share <= budget {
            break;
        }
        verdicts.push(DetachVerdict {
            func,
            rate,
            cause: Cause::Budget { share },
        });
        share -= cost;
    }
    verdicts
}

/// Measures the speed of this machine with a loop of known length, in nanoseconds per instruction.
/// Emulators are ten times slower.
fn ns_per_instruction() -> f64 {
    const ROUNDS: u32 = 100_000;
    /// Multiply, add, shift, exclusive or, compare, branch.
    const EACH: f64 = 6.0;
    let start = Instant::now();
    let mut number = 1_u64;
    for _ in 0..ROUNDS {
        number = black_box(
            number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1)
                ^ 7,
        );
    }
    black_box(number);
    start.elapsed().as_secs_f64() * 1e9 / (f64::from(ROUNDS) * EACH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cause, Governor, HIT_PERIOD, Limits};
    use crate::bpf::{Hits, headers};
    use crate::spec::HookId;

    #[test]
    fn a_sample_stands_for_as_many_calls_as_the_programs_count() {
        assert_eq!(headers::value_of("HIT_PERIOD"), u64::from(HIT_PERIOD));
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn calls(of_each: &[u32]) -> Vec<Hits> {
        let hits = |&calls: &u32| Hits { calls, inside: 0 };
        of_each.iter().map(hits).collect()
    }

    fn governor(max_rate: Option<u32>, budget: Option<f64>) -> Governor {
        Governor::with_speed(
            Limits {
                max_rate,
                budget,
                is_for_others: false,
            },
            1.0,
        )
    }

    #[test]
    fn who_is_called_too_often_goes_once() {
        let mut governor = governor(Some(1000), None);
        assert!(governor.look(calls(&[900, 500, 0]), SECOND).is_empty());
        let verdicts = governor.look(calls(&[1800, 3500, 0]), SECOND);
        assert_eq!(verdicts.len(), 1);
        assert_eq!((verdicts[0].func, verdicts[0].rate), (HookId(1), 3000));
        assert_eq!(verdicts[0].cause, Cause::MaxRate);
        assert!(governor.has_detached(HookId(1)));
        // Calls that were still in progress do not cause a second verdict.
        assert!(governor.look(calls(&[2000, 9500, 0]), SECOND).is_empty());
    }

    #[test]
    fn a_rate_is_by_time_and_counters_wrap() {
        let mut governor = governor(Some(1000), None);
        governor.before = calls(&[u32::MAX - 99]);
        assert!(governor.look(calls(&[1900]), 2 * SECOND).is_empty());
        assert_eq!(governor.look(calls(&[3900]), SECOND)[0].rate, 2000);
    }

    #[test]
    fn a_handful_of_samples_proves_nothing() {
        let mut governor = governor(Some(1), None);
        assert!(governor.look(calls(&[61]), SECOND).is_empty());
    }

    #[test]
    fn the_dearest_go_until_the_rest_fits_the_budget() {
        // At one nanosecond per instruction, 100,000 calls take 45 ms.
        let mut governor = governor(None, Some(0.05));
        assert!(
            governor
                .look(calls(&[10_000, 80_000, 20_000]), SECOND)
                .is_empty()
        );
        let verdicts = governor.look(calls(&[20_000, 280_000, 140_000]), SECOND);
        let gone: Vec<_> = verdicts.iter().map(|verdict| verdict.func).collect();
        assert_eq!(gone, [HookId(1), HookId(2)]);
        assert!(matches!(verdicts[0].cause, Cause::Budget { share } if share > 0.14));
    }

    #[test]
    fn a_budget_that_nobody_gave_bears_a_burst() {
        let mut governor = governor(None, Some(0.05));
        governor.limits.is_for_others = true;
        governor.begin(calls(&[1_000_000]));
        assert!(governor.look(calls(&[1_000_100]), SECOND).is_empty());
        let mut look = |n: u32| {
            governor
                .look(calls(&[1_000_100 + n * 300_000]), SECOND)
                .len()
        };
        assert_eq!(
            [look(1), look(2), look(2), look(3), look(4), look(5)],
            [0, 0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn calls_inside_of_sessions_cost_more() {
        let hits = vec![Hits {
            calls: 30_000,
            inside: 30_000,
        }];
        assert_eq!(governor(None, Some(0.05)).look(hits, SECOND).len(), 1);
        let hits = vec![Hits {
            calls: 30_000,
            inside: 0,
        }];
        assert!(governor(None, Some(0.05)).look(hits, SECOND).is_empty());
    }
}
