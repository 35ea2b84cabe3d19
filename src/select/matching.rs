// SPDX-License-Identifier: BSD-2-Clause
//! Many globs against many names: which globs of a run does each name match?
//!
//! A run has up to some hundred globs and a kernel 70,000 functions. So the literals of all globs
//! are looked for together, once in each name, and only globs whose literal is there are tried.
//! For the others, and for names that are asked one by one, most globs are passed over without a
//! look: they are kept by the byte that a matching name begins or ends with.

use std::collections::BTreeSet;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

use crate::config::GlobUse;
use crate::kernel::kallsyms::{Kallsyms, Symbol};
use crate::spec::{FunctionName, GlobKind, GlobSpec};

/// Shorter literals stand in so many names that looking for them saves nothing.
const SHORTEST_LITERAL: usize = 2;

/// The functions that each glob matches: place in [`Kallsyms`] and number of the glob, ascending.
pub(super) fn matching(globs: &[GlobUse], kallsyms: &Kallsyms) -> Vec<(usize, u16)> {
    let mut with_literal = Vec::new();
    let mut others = GlobIndex::new(&[]);
    for (number, glob) in (0..).zip(globs) {
        match required_literal(&glob.spec) {
            Some(literal) => with_literal.push((number, &glob.spec, literal)),
            None => others.add(number, &glob.spec),
        }
    }
    let literals = Literals::new(with_literal.iter().map(|&(_, _, literal)| literal));
    if literals.is_none() {
        for &(number, spec, _) in &with_literal {
            others.add(number, spec);
        }
    }
    let mut found = Vec::new();
    let mut possible = BTreeSet::new();
    for (index, name) in kallsyms.function_names() {
        if let Some(literals) = &literals {
            literals.find(name, &mut possible);
        }
        if possible.is_empty() && others.is_empty() {
            continue;
        }
        let symbol = kallsyms.symbol(index);
        let function = FunctionName::new(symbol.name, symbol.module);
        let first = found.len();
        while let Some(place) = possible.pop_first() {
            let (number, spec, _) = with_literal[place];
            if spec.matches_function(&function) {
                found.push((index, number));
            }
        }
        found.extend(others.matches(function).map(|number| (index, number)));
        if !is_function(&symbol) {
            found.truncate(first);
        }
        found[first..].sort_unstable();
    }
    found
}

fn required_literal(glob: &GlobSpec) -> Option<&str> {
    let GlobKind::Function { name, .. } = glob.kind() else {
        return None;
    };
    let literal = name.required_literal();
    (literal.len() >= SHORTEST_LITERAL).then_some(literal)
}

/// Many literals that are looked for at once.
struct Literals(DFA);

impl Literals {
    /// `None` where there are none, or too many for one automaton.
    fn new<'a>(literals: impl ExactSizeIterator<Item = &'a str>) -> Option<Self> {
        if literals.len() == 0 {
            return None;
        }
        let dfa = DFA::builder()
            .match_kind(MatchKind::Standard)
            .build(literals);
        dfa.ok().map(Self)
    }

    /// Adds the places of the literals that `name` contains.
    fn find(&self, name: &str, places: &mut BTreeSet<usize>) {
        let Self(dfa) = self;
        let Ok(mut state) = dfa.start_state(Anchored::No) else {
            return;
        };
        for &byte in name.as_bytes() {
            state = dfa.next_state(Anchored::No, state, byte);
            if dfa.is_special(state) && dfa.is_match(state) {
                let matches = 0..dfa.match_len(state);
                places.extend(matches.map(|index| dfa.match_pattern(state, index).as_usize()));
            }
        }
    }
}

/// Whether a symbol is a function of the kernel or of a module. Not what no one calls so: padding
/// before functions, static call trampolines, BPF programs, ftrace's and kprobes' own code pages.
pub(super) fn is_function(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name;
    let module = symbol.module.unwrap_or_default();
    symbol.is_function
        && !["__pfx_", "__cfi_", "__SCT__", "__SCK__"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        && module != "bpf"
        && !module.starts_with("__builtin__")
}

/// The globs of one role, ready to match.
pub(super) struct GlobIndex<'a> {
    /// In the order they were added, with the number that each is known by.
    globs: Vec<(u16, &'a GlobSpec)>,
    by_first: Vec<Vec<u16>>,
    by_last: Vec<Vec<u16>>,
    rest: Vec<u16>,
}

impl<'a> GlobIndex<'a> {
    pub(super) fn new(uses: &'a [GlobUse]) -> Self {
        let mut index = Self {
            by_first: vec![Vec::new(); 256],
            by_last: vec![Vec::new(); 256],
            rest: Vec::new(),
            globs: Vec::new(),
        };
        for (number, glob) in (0..).zip(uses) {
            index.add(number, &glob.spec);
        }
        index
    }

    fn add(&mut self, number: u16, glob: &'a GlobSpec) {
        let GlobKind::Function { name, .. } = glob.kind() else {
            return;
        };
        let place = self.globs.len() as u16;
        match (name.first_byte(), name.last_byte()) {
            (Some(first), _) => self.by_first[usize::from(first)].push(place),
            (None, Some(last)) => self.by_last[usize::from(last)].push(place),
            (None, None) => self.rest.push(place),
        }
        self.globs.push((number, glob));
    }

    fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The numbers of the globs that match, in no particular order.
    pub(super) fn matches<'b>(
        &'b self,
        function: FunctionName<'b>,
    ) -> impl Iterator<Item = u16> + 'b {
        let (last, base_last) = function.last_bytes();
        let bucket = |buckets: &'b [Vec<u16>], byte: Option<u8>| {
            let bucket = byte.and_then(|byte| buckets.get(usize::from(byte)));
            bucket.map_or(&[][..], Vec::as_slice)
        };
        let possible = bucket(&self.by_first, function.first_byte())
            .iter()
            .chain(bucket(&self.by_last, last))
            .chain(bucket(&self.by_last, base_last))
            .chain(&self.rest)
            .copied();
        possible.filter_map(move |place| {
            let (number, glob) = self.globs[usize::from(place)];
            glob.matches_function(&function).then_some(number)
        })
    }
}
