// SPDX-License-Identifier: BSD-2-Clause
//! Reads facts about the running kernel in parallel, and selects the functions to trace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result};

use super::layout::{full_support, layout, support};
use super::notes::{self, NotePlan};
use super::on_load;
use super::selection_cache::{CachedSelection, SelectionCache};
use super::sources;
use super::users::{self, UserFunctions};
use crate::bpf::{KernelLayout, KernelSupport};
use crate::config::BackendChoice;
use crate::config::{Config, Globs, Role};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::absent::AbsentModule;
use crate::kernel::btf::{Btf, TrampolineRules};
use crate::kernel::facts::{KernelFacts, KernelFiles};
use crate::kernel::symbols::SymbolReader;
use crate::kernel::traceable::Traceable;
use crate::kernel::version::KernelVersion;
use crate::live::kernel_symbols::{KernelSymbols, Read, read};
use crate::live::lines::{self, ImageChoice, PendingImage};
use crate::select::{
    BackendCapabilities, BackendPolicy, GlobReport, LeftOut, LeftOutReason, Offered, Selection,
    TracedFunction, matching_modules, select,
};
use crate::spec::{BackendKind, EntryReason};

/// What is known before anything is loaded.
pub(crate) struct Prepared {
    pub(crate) selection: Selection,
    /// Files and reports of user functions, which are the last ones of the selection.
    pub(crate) user: UserFunctions,
    /// What is noted besides calls.
    pub(crate) notes: NotePlan,
    /// The back ends to attach with.
    pub(crate) policy: BackendPolicy,
    pub(crate) layout: KernelLayout,
    pub(crate) image: PendingImage,
    /// Symbols and types; `None` if the selection comes from the cache, which does not need them.
    pub(crate) known: Option<KernelSymbols>,
    /// The cache of selections; `None` if it is not used.
    pub(crate) cache: Option<SelectionCache>,
}

impl Prepared {
    /// Returns true if functions are attached one by one, so that each one takes milliseconds.
    pub(crate) fn attaches_one_by_one(&self) -> bool {
        let order = self.policy.order(self.selection.functions.len());
        order.first().is_some_and(|backend| backend.is_one_by_one())
    }
}

/// Reads the facts and selects functions, or loads the selection of an earlier run from the cache.
pub(crate) fn prepare(config: &Config, files: &KernelFiles, diag: &Diag) -> Result<Prepared> {
    let mut cache = SelectionCache::open(config, files, diag);
    if let Some(cached) = cache.as_mut().and_then(|cache| cache.load(files)) {
        diag.phase("loaded the selection from the cache");
        let CachedSelection {
            selection,
            n_refused,
            layout,
            notes,
        } = cached;
        if n_refused > 0 {
            say_refused(n_refused, diag);
        }
        let support = KernelSupport::probe(
            layout.tracing_multi,
            layout.kprobe_pmu.is_some(),
            files.preempts_programs(),
        );
        return Ok(Prepared {
            selection,
            // With user functions the cache is not used.
            user: UserFunctions::default(),
            notes,
            policy: policy(config, support)?,
            layout,
            image: lines::look_for(config, files, diag)?,
            known: None,
            cache,
        });
    }
    let choice = ImageChoice::of_run(config, files);
    let absent = on_load::find(&config.on_load, files, diag)?;
    let (mut of_kernel, of_user) = config.globs.split_user();
    let of_events = of_kernel.take_events();
    let globs = on_load::with_modules(&of_kernel, &config.on_load, &absent);
    let GatheredFacts {
        mut facts,
        symbols,
        globs,
    } = read_facts(&globs, absent, &choice, files, diag)?;
    let mut image = lines::look_for(config, files, diag)?;
    image.begin(&facts.kallsyms, false)?;
    let btf = facts.kernel_btf.clone().context("no types")?;
    let support = if of_user.is_empty() {
        support(Some(&btf), files)
    } else {
        full_support(Some(&btf), files)
    };
    let policy = policy(config, support)?;
    diag.phase("asked the kernel for back ends");
    let layout = layout(&btf, &facts.kallsyms, files, support)?;
    let capabilities = capabilities(&policy, &btf, files);
    let mut selection = select(&globs, &facts, &capabilities);
    let is_ambiguous = |left_out: &LeftOut| left_out.reason == LeftOutReason::Ambiguous;
    if selection.left_out.iter().any(is_ambiguous)
        && let Ok(traceable) = files.traceable_addresses()
    {
        facts.traceable = Some(traceable);
        selection = select(&globs, &facts, &capabilities);
    }
    diag.phase("selected functions");
    let mut user = if of_user.is_empty() {
        UserFunctions::default()
    } else {
        let places = users::Places::of_run(config, diag);
        users::add(&mut selection, &of_user, &places, diag)
    };
    if selection.entries().next().is_none() {
        return Err(no_entry(&selection, &user));
    }
    let refusals = config
        .refusals
        .then_some(capabilities.trampolines)
        .flatten();
    let mut notes = notes::plan(&of_events, refusals, &btf, files)?;
    let is_of_syscalls = |entry: &TracedFunction| entry.entry == Some(EntryReason::SystemCall);
    if config.sessions.messages
        && let Some(rules) = capabilities.trampolines
        && selection.entries().any(is_of_syscalls)
    {
        notes.add_messages(selection.entries(), &btf, rules, files);
    }
    notes.locate(&facts.kallsyms, selection.entries());
    notes.add_usdt(&mut user.probes, &selection.functions);
    Ok(Prepared {
        selection,
        user,
        notes,
        policy,
        layout,
        image,
        known: Some(KernelSymbols {
            kallsyms: Arc::new(facts.kallsyms),
            btf,
            symbols,
        }),
        cache,
    })
}

/// The facts of a running kernel, and the reader for its symbols.
pub(crate) struct GatheredFacts {
    pub(crate) facts: KernelFacts,
    pub(crate) symbols: SymbolReader,
    /// The globs; source globs contain the addresses of their functions.
    pub(crate) globs: Globs,
}

/// Reads the facts that a selection by these globs needs.
pub(crate) fn read_facts(
    globs: &Globs,
    absent: Arc<[AbsentModule]>,
    image: &ImageChoice,
    files: &KernelFiles,
    diag: &Diag,
) -> Result<GatheredFacts> {
    // The text also seems to have a patch site where a function begins with a branch that can be
    // switched on. Among tens of thousands of functions there are some, and one of them makes the
    // kernel refuse a link for all. So these kernels' list is read for them, which has addresses
    // since 6.5 (83f74441bcb1).
    let is_broad = globs.is_broad();
    let (read, sites) = thread::scope(|scope| {
        let sites = is_broad.then(|| scope.spawn(|| files.traceable_addresses().ok()));
        let read = read(files, diag);
        let joined = |sites: ScopedJoinHandle<'_, _>| sites.join().ok().flatten();
        (read, sites.and_then(joined))
    });
    let Read {
        kallsyms,
        btf,
        mut symbols,
        text,
    } = read?;
    let kallsyms = symbols.add_absent_modules(&absent, kallsyms)?;
    let traceable = match sites {
        None if text.is_none() => Some(listed(files)?),
        sites => sites,
    };
    let globs = sources::resolve(globs, image, files, &kallsyms, diag)?;
    let modules = matching_modules(&globs, &kallsyms);
    let mut facts = KernelFacts {
        kallsyms,
        traceable,
        text,
        // Only single kprobes use it.
        kernel_btf: Some(btf),
        module_btf: BTreeMap::new(),
        absent,
    };
    // If a module has no BTF, the result types of its functions are unknown.
    facts.add_modules(files, modules);
    Ok(GatheredFacts {
        facts,
        symbols,
        globs,
    })
}

/// Reads ftrace's list. Needed only if the kernel's text cannot be read.
fn listed(files: &KernelFiles) -> Result<Traceable> {
    files.traceable().map_err(|error| {
        let hint = "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`";
        Failure::hinted(format!("{error:#}"), hint)
    })
}

/// Returns the back ends that the kernel offers.
pub(crate) fn offered(support: KernelSupport) -> Offered {
    Offered {
        backends: BackendKind::ALL
            .into_iter()
            .chain(BackendKind::OF_USER_FUNCTIONS)
            .filter(|backend| support.offers(*backend))
            .collect(),
        shared_kprobes: support.cookies,
        preempts_programs: support.preempts_programs,
        at_system_calls: false,
    }
}

fn policy(config: &Config, support: KernelSupport) -> Result<BackendPolicy> {
    let auto = BackendPolicy::Auto(Offered {
        // A run with a command has a program at each system call in any case.
        at_system_calls: config.command.is_some() || config.globs.is_broad(),
        ..offered(support)
    });
    let kind = match config.backend {
        BackendChoice::Auto => return Ok(auto),
        BackendChoice::TracingMulti => BackendKind::TracingMulti,
        BackendChoice::FentryMulti => BackendKind::FentryMulti,
        BackendChoice::KprobeSession => BackendKind::KprobeSession,
        BackendChoice::KprobeMulti => BackendKind::KprobeMulti,
        BackendChoice::Fentry => BackendKind::Trampoline,
        BackendChoice::Kprobe => BackendKind::Kprobe,
    };
    if support.offers(kind) {
        return Ok(BackendPolicy::Only(kind));
    }
    let offered: Vec<String> = offered(support)
        .backends
        .iter()
        .map(|backend| format!("`{backend}`"))
        .collect();
    Err(Failure::hinted(
        format!("this kernel does not offer back end `{kind}`"),
        format!(
            "leave the choice to us, or use --backend with one of {}",
            offered.join(", ")
        ),
    ))
}

pub(crate) fn capabilities(
    policy: &BackendPolicy,
    btf: &Btf,
    files: &KernelFiles,
) -> BackendCapabilities {
    let version = files
        .release()
        .ok()
        .and_then(|release| KernelVersion::of_release(&release));
    BackendCapabilities {
        kprobe_like: policy.takes_any_symbol(),
        trampolines: Some(TrampolineRules::of(
            btf,
            version.unwrap_or(KernelVersion::OLDEST),
        )),
    }
}

fn no_entry(selection: &Selection, user: &UserFunctions) -> anyhow::Error {
    let reasons: Vec<String> = selection
        .globs
        .iter()
        .filter(|glob| glob.role == Role::Entry)
        .filter_map(GlobReport::why_nothing)
        .chain(user.whys().map(str::to_owned))
        .collect();
    Failure::hinted(
        format!("no entry function to trace: {}", reasons.join("; ")),
        "`--dry-run -v` lists what matches and why it is left out",
    )
}

/// Warns that the kernel refused functions, in this run or in the run that filled the cache.
pub(crate) fn say_refused(n_refused: usize, diag: &Diag) {
    let plural = if n_refused == 1 { "" } else { "s" };
    diag.warning(format!(
        "the kernel refused {n_refused} function{plural} (-v lists them)"
    ));
}
