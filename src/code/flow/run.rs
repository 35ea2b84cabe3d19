// SPDX-License-Identifier: BSD-2-Clause
//! Follows values along all ways through a function, until nothing new is found.

use std::collections::BTreeSet;

use super::graph::{Edge, Graph};
use super::state::{State, Uses};
use super::value::{Constant, Value};

/// Maximum number of instructions to go through in one run, each visit counted.
const MAX_STEPS: usize = 50_000;

/// What a function may return, and what becomes of the result that was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) constants: BTreeSet<Constant>,
    /// Whether it may return something else, and whether that may stem from the result.
    pub(super) has_other: bool,
    pub(super) has_other_followed: bool,
    /// Whether that may be one of too many constants.
    pub(super) has_lost_constants: bool,
    pub(super) uses: Uses,
}

/// The states at the starts of blocks, by the index of the instruction.
pub(super) type States = Vec<Option<Box<State>>>;

/// Follows values from the instruction `start` on, where `state` is known. Calls by the instruction
/// `ended_by` are taken not to return. `None` if that takes too long.
pub(super) fn run(
    graph: &Graph,
    start: u32,
    state: State,
    ended_by: Option<u32>,
) -> Option<(Ends, States)> {
    let mut run = Run {
        graph,
        states: (0..graph.nodes.len()).map(|_| None).collect(),
        queue: BTreeSet::new(),
        ends: Ends::default(),
        n_steps: 0,
        ended_by,
    };
    run.reach(start, state);
    while let Some(head) = run.queue.pop_first() {
        run.block(head)?;
    }
    Some((run.ends, run.states))
}

struct Run<'a> {
    graph: &'a Graph,
    states: States,
    queue: BTreeSet<u32>,
    ends: Ends,
    n_steps: usize,
    ended_by: Option<u32>,
}

impl Run<'_> {
    fn reach(&mut self, head: u32, state: State) {
        let changed = match &mut self.states[head as usize] {
            Some(known) => known.join(&state),
            unknown => {
                *unknown = Some(Box::new(state));
                true
            }
        };
        if changed {
            self.queue.insert(head);
        }
    }

    /// Goes through the instructions from `head` to the next one that starts a block.
    fn block(&mut self, head: u32) -> Option<()> {
        let graph = self.graph;
        let mut state = State::clone(self.states[head as usize].as_ref()?);
        let mut at = head;
        loop {
            self.n_steps += 1;
            if self.n_steps > MAX_STEPS {
                return None;
            }
            let node = &graph.nodes[at as usize];
            for operation in &node.operations {
                state.apply(operation, &graph.taken, &mut self.ends.uses);
            }
            match node.edge {
                Edge::To(to) if graph.nodes[to as usize].is_head => {
                    self.reach(to, state);
                    return Some(());
                }
                Edge::To(to) => at = to,
                Edge::Branch {
                    condition,
                    then,
                    otherwise,
                } => {
                    let (yes, no) = state.can_be(condition, &mut self.ends.uses);
                    for (to, holds, condition) in
                        [(then, yes, condition), (otherwise, no, condition.inverse())]
                    {
                        if holds && let Some(state) = state.assuming(condition) {
                            self.reach(to, state);
                        }
                    }
                    return Some(());
                }
                Edge::Call { then, .. } => {
                    state.call(node.keeps_registers, &graph.taken, &mut self.ends.uses);
                    if let Some(then) = then.filter(|_| self.ended_by != Some(at)) {
                        self.reach(then, state);
                    }
                    return Some(());
                }
                Edge::Leave { .. } => {
                    state.leave(&mut self.ends.uses);
                    self.end(&Value::other());
                    return Some(());
                }
                Edge::Return => {
                    self.end(&state.result());
                    return Some(());
                }
                Edge::End => return Some(()),
            }
        }
    }

    fn end(&mut self, result: &Value) {
        self.ends.constants.extend(result.constants());
        self.ends.has_other |= result.has_other();
        self.ends.has_other_followed |= result.has_other_followed();
        self.ends.has_lost_constants |= result.has_lost_constants();
    }
}
