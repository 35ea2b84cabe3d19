// SPDX-License-Identifier: BSD-2-Clause
//! Looks up candidates in BTF: how their results are judged, and what trampolines need.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::candidates::Candidate;
use super::types::{BtfOrigin, Prototype};
use crate::kernel::btf::{Btf, BtfFunction, NameSet, TrampolineObstacle, TrampolineRules};
use crate::kernel::facts::KernelFacts;
use crate::knowledge::syscalls::is_syscall_entry;
use crate::spec::{Parameter, ResultType, base_name};

/// What BTF says about a candidate.
pub(super) struct Typed {
    pub(super) result: ResultType,
    pub(super) prototype: Option<Prototype>,
    /// The parameters of an entry function that is no system call; of others there are none.
    pub(super) parameters: Vec<Parameter>,
    pub(super) in_btf: bool,
    /// Why trampolines cannot take it; `None` if they can.
    pub(super) obstacle: Option<TrampolineObstacle>,
}

/// The functions in BTF, by module and name.
pub(super) struct CandidateTypes<'a> {
    kernel: Option<TypeIndex<'a>>,
    modules: HashMap<&'a str, TypeIndex<'a>>,
}

struct TypeIndex<'a> {
    btf: &'a Btf,
    functions: FxHashMap<&'a str, BtfFunction<'a>>,
    origin: BtfOrigin,
}

impl<'a> TypeIndex<'a> {
    fn new(btf: &'a Btf, origin: BtfOrigin, names: &NameSet<'_>) -> Self {
        Self {
            btf,
            functions: btf.functions_of_names(names),
            origin,
        }
    }
}

impl<'a> CandidateTypes<'a> {
    /// Indexes the names of the candidates in BTF.
    pub(super) fn new(facts: &'a KernelFacts, candidates: &[Candidate<'a>]) -> Self {
        let modules = facts.module_btf.iter();
        let names: NameSet<'_> = candidates
            .iter()
            .flat_map(|candidate| {
                let name = candidate.symbol.name;
                [name, base_name(name)]
                    .into_iter()
                    .chain(candidate.aliases.iter().copied())
            })
            .collect();
        Self {
            kernel: facts
                .kernel_btf
                .as_deref()
                .map(|btf| TypeIndex::new(btf, BtfOrigin::Vmlinux, &names)),
            modules: modules
                .map(|(name, btf)| {
                    let index = TypeIndex::new(btf, BtfOrigin::Module, &names);
                    (name.as_str(), index)
                })
                .collect(),
        }
    }

    fn index(&self, module: Option<&str>) -> Option<&TypeIndex<'a>> {
        match module {
            Some(module) => self.modules.get(module),
            None => self.kernel.as_ref(),
        }
    }

    pub(super) fn of(&self, candidate: &Candidate<'a>, rules: Option<TrampolineRules>) -> Typed {
        let unknown = Typed {
            result: ResultType::Unknown,
            prototype: None,
            parameters: Vec::new(),
            in_btf: false,
            obstacle: Some(TrampolineObstacle::NoPrototype),
        };
        let symbol = &candidate.symbol;
        let Some(index) = self.index(symbol.module) else {
            return unknown;
        };
        let names = [symbol.name]
            .into_iter()
            .chain(candidate.aliases.iter().copied());
        let exact = names.filter_map(|name| index.functions.get(name)).next();
        let Some(function) = exact.or_else(|| index.functions.get(base_name(symbol.name))) else {
            return unknown;
        };
        let result = index.btf.result_type(function.name, function.id);
        // A prototype is used only if the id denotes this very function. It is not used for a
        // clone, whose arguments the compiler may have changed, nor if several functions share the
        // name.
        let certain = exact.is_some() && function.unique && candidate.namesakes == 1;
        let shape = index.btf.shape(function.id).filter(|_| certain);
        let obstacle = match (shape, rules) {
            (Some(shape), Some(rules)) => shape.obstacle(rules),
            _ => Some(TrampolineObstacle::NoPrototype),
        };
        // The arguments of a system call are in the registers that the entry code has saved.
        let has_arguments = !candidate.entry.is_empty() && !is_syscall_entry(symbol.name);
        let parameters = (certain && has_arguments).then(|| index.btf.parameters(function.id));
        let prototype = shape.map(|shape| Prototype {
            origin: index.origin,
            btf_id: function.id,
            arg_slots: u8::try_from(shape.arg_slots).unwrap_or(u8::MAX),
            trampoline_ok: obstacle.is_none(),
        });
        Typed {
            result,
            prototype,
            parameters: parameters.flatten().unwrap_or_default(),
            in_btf: true,
            obstacle,
        }
    }

    /// Returns the names of all functions in BTF, with their modules.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + '_ {
        let names = |index: &TypeIndex<'a>| index.btf.functions().map(|(_, name)| name);
        let kernel = self
            .kernel
            .iter()
            .flat_map(move |index| names(index).map(|name| (name, None)));
        let modules = self
            .modules
            .iter()
            .flat_map(move |(&module, index)| names(index).map(move |name| (name, Some(module))));
        kernel.chain(modules)
    }
}
