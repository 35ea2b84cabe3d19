// SPDX-License-Identifier: BSD-2-Clause
//! The control flow of a function: its instructions from the entry on, by recursive descent, with
//! those of its cold part.
//!
//! Not followed: exceptions (`__ex_table`), and branches of static keys that are off when the text
//! is read.

use std::collections::{HashMap, HashSet};

use super::operations::{Condition, Frame, Onward, Operation};
use crate::code::arch;

/// Maximum number of instructions of a function.
const MAX_INSTRUCTIONS: usize = 20_000;

/// Maximum number of instructions between a load by index and a jump to what it loaded.
const TABLE_WINDOW: u8 = 4;

/// Maximum number of parts of a function. It has one cold part; without symbols each jump there is one.
const MAX_REGIONS: usize = 64;

/// What lies at an address that a branch outside of the function goes to.
pub(super) enum Outside {
    /// Another function, which returns to this one's caller.
    Function,
    /// The function's cold part.
    Part(Region),
    /// Nothing that is known.
    Unknown,
}

/// Bytes of a function.
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

/// What the graph asks about the kernel.
pub(super) trait Surroundings {
    /// Returns what lies at an address that is in none of the regions.
    fn at(&self, addr: u64) -> Outside;

    /// Returns true if the function at this address never returns.
    fn never_returns(&self, addr: u64) -> bool;

    /// Returns true if what is called at this address may keep registers that functions need not
    /// keep.
    fn keeps_registers(&self, addr: u64) -> bool;

    /// Returns true for a thunk of returns, to which functions jump instead of a `ret`.
    fn is_return(&self, addr: u64) -> bool;
}

/// Where control goes after an instruction. Numbers are indexes of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    To(u32),
    Branch {
        condition: Condition,
        then: u32,
        otherwise: u32,
    },
    /// A call of a function, at its target if it is direct, and where it returns to.
    Call {
        target: Option<u64>,
        then: Option<u32>,
    },
    /// Another function's result becomes this one's.
    Leave {
        target: Option<u64>,
    },
    Return,
    End,
}

/// An instruction with its effects.
#[derive(Debug)]
pub(super) struct Node {
    /// Address of what follows in memory; behind a call, the return address.
    pub(super) behind: u64,
    pub(super) operations: Vec<Operation>,
    pub(super) edge: Edge,
    /// Whether a call may keep registers that functions need not keep.
    pub(super) keeps_registers: bool,
    /// Whether several ways lead here, or it is where one of several leads.
    pub(super) is_head: bool,
}

/// The instructions of a function; the first is its entry.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// Offsets of words of the frame whose address is taken, ascending.
    pub(super) taken: Vec<i32>,
}

/// An edge whose targets are still addresses.
struct Found {
    behind: u64,
    operations: Vec<Operation>,
    onward: Onward,
}

struct Builder<'a> {
    surroundings: &'a dyn Surroundings,
    regions: Vec<Region>,
    found: Vec<Found>,
    known: HashMap<u64, u32>,
    taken: Vec<i32>,
    /// Addresses to go on at, with the frame there.
    pending: Vec<(u64, Frame)>,
}

/// Builds the graph of the function whose bytes are `region`. `None` if a jump leads to an unknown
/// place, an instruction is not understood, or there are too many.
pub(super) fn build(region: Region, surroundings: &dyn Surroundings) -> Option<Graph> {
    let entry = region.start;
    let mut builder = Builder {
        surroundings,
        regions: vec![region],
        found: Vec::new(),
        known: HashMap::new(),
        taken: Vec::new(),
        pending: vec![(
            entry,
            Frame {
                stack: Some(0),
                base: None,
            },
        )],
    };
    while let Some((addr, frame)) = builder.pending.pop() {
        builder.descend(addr, frame)?;
    }
    builder.finish(entry)
}

impl Builder<'_> {
    /// Decodes from `addr` on until control goes elsewhere.
    fn descend(&mut self, mut addr: u64, mut frame: Frame) -> Option<()> {
        let mut since_indexed = u8::MAX;
        while !self.known.contains_key(&addr) {
            if self.found.len() >= MAX_INSTRUCTIONS {
                return None;
            }
            let Some(bytes) = self.bytes(addr) else {
                // Behind the end, such as after a call that does not return.
                return Some(());
            };
            let translated = arch::translate(addr, bytes, &mut frame)?;
            let behind = addr.checked_add(u64::from(translated.length))?;
            self.taken.extend(translated.taken);
            since_indexed = match translated.is_indexed {
                true => 0,
                false => since_indexed.saturating_add(1),
            };
            let onward = self.resolve(translated.onward, since_indexed)?;
            self.known.insert(addr, self.found.len() as u32);
            self.found.push(Found {
                behind,
                operations: translated.operations,
                onward,
            });
            match onward {
                Onward::Next | Onward::CallThroughGlobal => addr = behind,
                Onward::Call(target) => {
                    let returns =
                        target.is_none_or(|target| !self.surroundings.never_returns(target));
                    if !returns {
                        return Some(());
                    }
                    addr = behind;
                }
                Onward::Branch(_, target) => {
                    self.pending.push((target, frame));
                    addr = behind;
                }
                Onward::Jump(target) => addr = target,
                Onward::LeaveThroughPointer
                | Onward::LeaveTo(_)
                | Onward::Return
                | Onward::End
                | Onward::Lost => return Some(()),
            }
        }
        Some(())
    }

    /// Replaces jumps out of the function by what they mean.
    fn resolve(&mut self, onward: Onward, since_indexed: u8) -> Option<Onward> {
        match onward {
            Onward::Lost => None,
            Onward::LeaveThroughPointer if since_indexed <= TABLE_WINDOW => None,
            Onward::Jump(target) if self.surroundings.is_return(target) => Some(Onward::Return),
            Onward::Jump(target) => Some(if self.is_inside(target)? {
                onward
            } else {
                Onward::LeaveTo(target)
            }),
            // A conditional jump to another function has no node of its own: its target gets one.
            Onward::Branch(_, target) => {
                if !self.is_inside(target)? && !self.known.contains_key(&target) {
                    self.known.insert(target, self.found.len() as u32);
                    let onward = if self.surroundings.is_return(target) {
                        Onward::Return
                    } else {
                        Onward::LeaveTo(target)
                    };
                    self.found.push(Found {
                        behind: target,
                        operations: Vec::new(),
                        onward,
                    });
                }
                Some(onward)
            }
            _ => Some(onward),
        }
    }

    /// Returns true if an address belongs to the function; `None` if nothing is known of it.
    fn is_inside(&mut self, addr: u64) -> Option<bool> {
        if self.bytes(addr).is_some() {
            return Some(true);
        }
        match self.surroundings.at(addr) {
            Outside::Function => Some(false),
            Outside::Part(_) if self.regions.len() >= MAX_REGIONS => None,
            Outside::Part(region) => {
                self.regions.push(region);
                self.bytes(addr).map(|_| true)
            }
            Outside::Unknown => None,
        }
    }

    fn bytes(&self, addr: u64) -> Option<&[u8]> {
        self.regions.iter().find_map(|region| {
            let offset = usize::try_from(addr.checked_sub(region.start)?).ok()?;
            region.bytes.get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    fn finish(self, entry: u64) -> Option<Graph> {
        let Self {
            found,
            known,
            mut taken,
            surroundings,
            ..
        } = self;
        if known.get(&entry) != Some(&0) {
            return None;
        }
        let mut heads = HashSet::from([0]);
        let mut counts = vec![0_u32; found.len()];
        let at = |addr: u64| known.get(&addr).copied();
        let mut edges = Vec::with_capacity(found.len());
        for one in &found {
            let edge = match one.onward {
                // Behind the last byte nothing follows.
                Onward::Next => at(one.behind).map_or(Edge::End, Edge::To),
                Onward::Jump(target) => at(target).map_or(Edge::End, Edge::To),
                Onward::Branch(condition, target) => match (at(target), at(one.behind)) {
                    (Some(then), Some(otherwise)) => Edge::Branch {
                        condition,
                        then,
                        otherwise,
                    },
                    (one, other) => one.or(other).map_or(Edge::End, Edge::To),
                },
                Onward::Call(target) => {
                    let returns = target.is_none_or(|target| !surroundings.never_returns(target));
                    let then = at(one.behind).filter(|_| returns);
                    Edge::Call { target, then }
                }
                Onward::CallThroughGlobal => Edge::Call {
                    target: None,
                    then: at(one.behind),
                },
                Onward::LeaveThroughPointer => Edge::Leave { target: None },
                Onward::LeaveTo(target) => Edge::Leave {
                    target: Some(target),
                },
                Onward::Return => Edge::Return,
                Onward::End | Onward::Lost => Edge::End,
            };
            for to in edge.targets() {
                counts[to as usize] += 1;
                if !matches!(edge, Edge::To(_)) {
                    heads.insert(to);
                }
            }
            edges.push(edge);
        }
        let nodes = found.into_iter().zip(edges).enumerate();
        let keeps = |onward| match onward {
            Onward::CallThroughGlobal => true,
            Onward::Call(Some(target)) => surroundings.keeps_registers(target),
            _ => false,
        };
        let nodes = nodes.map(|(index, (one, edge))| Node {
            behind: one.behind,
            operations: one.operations,
            edge,
            keeps_registers: keeps(one.onward),
            is_head: counts[index] > 1 || heads.contains(&(index as u32)),
        });
        taken.sort_unstable();
        taken.dedup();
        Some(Graph {
            nodes: nodes.collect(),
            taken,
        })
    }
}

impl Edge {
    /// Returns where it leads inside of the function.
    pub(super) fn targets(self) -> impl Iterator<Item = u32> {
        let (one, other) = match self {
            Self::To(to) => (Some(to), None),
            Self::Branch {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Self::Call { then, .. } => (then, None),
            Self::Leave { .. } | Self::Return | Self::End => (None, None),
        };
        one.into_iter().chain(other)
    }
}
