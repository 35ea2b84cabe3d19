// SPDX-License-Identifier: BSD-2-Clause
//! Sources of trails: the machine code of the running kernel, which is read for the first culprit,
//! or a recording. Also stores which functions are traced, and since when.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use rustc_hash::FxHashMap;

use crate::capture::{RecordedFate, Recording};
use crate::code::{
    FlowQuestion, Flows, KernelText, Repetition, ResultFate, Returned, TrailFacts, Trails,
};
use crate::kernel::btf::{Btf, BtfFunction};
use crate::kernel::facts::KernelFiles;
use crate::kernel::kcore::Kcore;
use crate::select::TracedFunction;
use crate::session::{CodeLevel, CulpritCode, ResultFates, only_callee};
use crate::spec::{Addr, Outcome, ResultType, base_name};

/// The text of the running kernel; `/proc/kcore` is opened at the first read.
#[derive(Debug)]
pub(crate) struct LiveText<'a> {
    files: &'a KernelFiles,
    kcore: OnceCell<Option<Kcore>>,
}

impl<'a> LiveText<'a> {
    pub(crate) fn new(files: &'a KernelFiles) -> Self {
        Self {
            files,
            kcore: OnceCell::new(),
        }
    }
}

impl KernelText for LiveText<'_> {
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        let open = || self.files.kcore().ok();
        let kcore = self.kcore.get_or_init(open).as_ref();
        kcore.is_some_and(|kcore| kcore.read(addr, bytes).is_ok())
    }
}

/// Result types of functions, by name.
pub(crate) struct ResultTypes<'a> {
    btf: &'a Arc<Btf>,
    files: &'a KernelFiles,
    kernel: OnceCell<FxHashMap<&'a str, BtfFunction<'a>>>,
    /// Result types of the functions of each module; empty if the module has no BTF.
    modules: RefCell<BTreeMap<String, HashMap<String, ResultType>>>,
}

impl<'a> ResultTypes<'a> {
    pub(crate) fn new(btf: &'a Arc<Btf>, files: &'a KernelFiles) -> Self {
        Self {
            btf,
            files,
            kernel: OnceCell::new(),
            modules: RefCell::default(),
        }
    }

    /// Indexes the kernel's functions by name, so that the first culprit need not wait for it.
    pub(crate) fn prepare(&self) {
        let _ = self.kernel_functions();
    }

    fn kernel_functions(&self) -> &FxHashMap<&'a str, BtfFunction<'a>> {
        self.kernel.get_or_init(|| self.btf.functions_by_name())
    }

    pub(crate) fn of(&self, name: &str, module: Option<&str>) -> Option<ResultType> {
        let Some(module) = module else {
            let functions = self.kernel_functions();
            let function = functions
                .get(name)
                .or_else(|| functions.get(base_name(name)))?;
            return Some(self.btf.result_type(function.name, function.id));
        };
        let mut modules = self.modules.borrow_mut();
        let functions = modules
            .entry(module.to_owned())
            .or_insert_with(|| self.module(module));
        let known = functions
            .get(name)
            .or_else(|| functions.get(base_name(name)));
        known.copied()
    }

    fn module(&self, module: &str) -> HashMap<String, ResultType> {
        let Ok(btf) = self.files.module_btf(module, self.btf) else {
            return HashMap::new();
        };
        let functions = btf.functions();
        functions
            .map(|(id, name)| (name.to_owned(), btf.result_type(name, id)))
            .collect()
    }
}

/// Since when functions are traced, as a number of records.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    since: RefCell<HashMap<Addr, u64>>,
    n_records: Cell<u64>,
}

impl Traced {
    pub(crate) fn add(&self, addr: Addr) {
        self.since.borrow_mut().insert(addr, self.n_records.get());
    }

    pub(crate) fn remove(&self, addr: Addr) {
        self.since.borrow_mut().remove(&addr);
    }

    fn add_since(&self, addr: Addr, n_records: u64) {
        self.since.borrow_mut().insert(addr, n_records);
    }

    /// Counts one more record.
    pub(crate) fn count(&self) {
        self.n_records.set(self.n_records.get() + 1);
    }

    pub(crate) fn since(&self, addr: Addr) -> Option<u64> {
        self.since.borrow().get(&addr).copied()
    }

    fn is_traced(&self, addr: Addr) -> bool {
        self.since(addr)
            .is_some_and(|since| since < self.n_records.get().max(1))
    }
}

/// Maximum number of functions below a culprit that are looked at, each a callee of the one before.
const MAX_LEVELS: usize = 8;

/// Maximum number of callees of a function that its data flow is asked about.
const MAX_QUESTIONS: usize = 16;

/// Source of facts about the machine code of culprits.
pub(crate) trait TrailSource: ResultFates {
    /// Returns what the machine code of the function that starts at `addr` says about the trail;
    /// `None` if the code is unknown.
    fn below(&self, addr: Addr) -> Option<Rc<TrailFacts>>;

    /// Returns true if the function at this address is traced, so that its failure would have been
    /// recorded.
    fn is_traced(&self, addr: Addr) -> bool;

    /// Returns the machine code of a culprit that failed like this, and of the functions below it that
    /// alone can have made its error.
    fn code_of(&self, function: &TracedFunction, outcome: Outcome) -> CulpritCode {
        let level = |addr, result| {
            let facts = self.below(addr)?;
            let excluded = self.excluded(addr, result, &facts, outcome);
            Some(CodeLevel { facts, excluded })
        };
        let Some(culprit) = level(function.addr(), function.result) else {
            return CulpritCode::Unknown;
        };
        let mut below: Vec<CodeLevel> = Vec::new();
        while below.len() < MAX_LEVELS
            && let Some(callee) = only_callee(outcome, below.last().unwrap_or(&culprit))
            && let Some(next) = level(callee.addr, callee.result)
        {
            below.push(next);
        }
        CulpritCode::Known { culprit, below }
    }

    /// Returns for each callee of a function whether the function's error cannot be its own.
    fn excluded(
        &self,
        caller: Addr,
        result: ResultType,
        facts: &TrailFacts,
        outcome: Outcome,
    ) -> Vec<bool> {
        let mut n_left = MAX_QUESTIONS;
        let callees = facts.callees.iter();
        callees
            .map(|callee| {
                if self.is_traced(callee.addr) {
                    return true;
                }
                let Outcome::Errno(errno) = outcome else {
                    return false;
                };
                let may_fail_so =
                    callee.makes.contains(errno) || callee.below.contains(errno) || callee.is_open;
                if !may_fail_so || n_left == 0 {
                    return false;
                }
                n_left -= 1;
                let register = i64::from(errno).wrapping_neg() as u64;
                let returned = |kind| Returned { register, kind };
                let fate = self.fate(&FlowQuestion {
                    caller,
                    callee: callee.addr,
                    call_site: None,
                    value: returned(callee.result),
                    result: returned(result),
                    repetition: Repetition::Again,
                });
                matches!(fate, Some(ResultFate::Ignored | ResultFate::Never))
            })
            .collect()
    }
}

/// Trails from the machine code of the running kernel.
pub(crate) struct LiveTrails<'a> {
    pub(crate) trails: Trails<'a>,
    pub(crate) flows: Flows,
    pub(crate) traced: &'a Traced,
}

impl<'a> LiveTrails<'a> {
    pub(crate) fn new(trails: Trails<'a>, traced: &'a Traced) -> Self {
        Self {
            trails,
            flows: Flows::default(),
            traced,
        }
    }
}

impl ResultFates for LiveTrails<'_> {
    fn fate(&self, question: &FlowQuestion) -> Option<ResultFate> {
        self.flows.answer(self.trails.code(), question)
    }
}

impl TrailSource for LiveTrails<'_> {
    fn below(&self, addr: Addr) -> Option<Rc<TrailFacts>> {
        self.trails.below(addr)
    }

    fn is_traced(&self, addr: Addr) -> bool {
        self.traced.is_traced(addr)
    }
}

/// Trails from a recording.
pub(crate) struct RecordedTrails {
    trails: HashMap<Addr, Rc<TrailFacts>>,
    fates: HashMap<FlowQuestion, ResultFate>,
    pub(crate) traced: Traced,
}

impl RecordedTrails {
    pub(crate) fn of(recording: &Recording) -> Result<Self> {
        let traced = Traced::default();
        let mut trails = HashMap::new();
        for trail in &recording.trails {
            trails.insert(Addr(trail.addr), Rc::new(trail.facts()?));
            for callee in &trail.callees {
                if let Some(since) = callee.traced_since {
                    traced.add_since(Addr(callee.addr), since);
                }
            }
        }
        let fates = recording.fates.iter().map(RecordedFate::answer);
        Ok(Self {
            trails,
            fates: fates.collect::<Result<_>>()?,
            traced,
        })
    }
}

impl ResultFates for RecordedTrails {
    fn fate(&self, question: &FlowQuestion) -> Option<ResultFate> {
        self.fates.get(question).copied()
    }
}

impl TrailSource for RecordedTrails {
    fn below(&self, addr: Addr) -> Option<Rc<TrailFacts>> {
        self.trails.get(&addr).cloned()
    }

    fn is_traced(&self, addr: Addr) -> bool {
        self.traced.is_traced(addr)
    }
}
