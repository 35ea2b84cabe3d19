// SPDX-License-Identifier: BSD-2-Clause
//! Facts about the running kernel, read side by side, and the selection made from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use super::failure::Failure;
use super::layout::layout;
use super::lines::{self, PendingImage};
use crate::bpf::attach::BackendKind;
use crate::bpf::{KernelSupport, Layout};
use crate::cli::BackendChoice;
use crate::config::{Config, Role};
use crate::diag::Diag;
use crate::kernel::btf::{Btf, StructArgs, TrampolineRules};
use crate::kernel::facts::{KernelFacts, KernelFiles};
use crate::kernel::kallsyms::Kallsyms;
use crate::select::{Capabilities, GlobReport, Selection, matching_modules, select};

/// All that is known before anything is loaded.
pub(super) struct Prepared {
    pub(super) selection: Selection,
    pub(super) backend: BackendKind,
    pub(super) kallsyms: Arc<Kallsyms>,
    pub(super) layout: Layout,
    pub(super) image: PendingImage,
}

/// Reads the facts and selects.
pub(super) fn prepare(config: &Config, files: &KernelFiles, diag: &Diag) -> Result<Prepared> {
    let support = KernelSupport::probe();
    let backend = backend(config.backend, support)?;
    diag.phase("asked the kernel for back ends");
    let (kallsyms, traceable, blacklist, btf) = thread::scope(|scope| {
        let traceable = scope.spawn(|| files.traceable());
        let btf = scope.spawn(|| files.kernel_btf());
        let kallsyms = files.kallsyms();
        let blacklist = files.kprobe_blacklist();
        (kallsyms, join(traceable), blacklist, join(btf))
    });
    let kallsyms = kallsyms.map_err(|error| {
        let hint = "run it as root, and see `sysctl kernel.kptr_restrict`: 2 hides addresses";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    let traceable = traceable.map_err(|error| {
        let hint = "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    let btf = btf.map_err(|error| {
        let hint = "the kernel must be built with `CONFIG_DEBUG_INFO_BTF`";
        Failure::hinted(format!("{error:#}"), hint)
    })?;
    diag.phase("read symbols, traceable functions, types");
    // The image is read while everything else goes on.
    let image = lines::begin(config, files, &kallsyms, diag)?;
    let module_btf = module_btfs(config, files, &kallsyms, &btf);
    let capabilities = capabilities(backend, &btf);
    let layout = layout(&btf, &kallsyms)?;
    let facts = KernelFacts {
        kallsyms,
        traceable: Some(traceable),
        kprobe_blacklist: blacklist,
        kernel_btf: Some(btf),
        module_btf,
    };
    let selection = select(&config.globs, &facts, &capabilities);
    diag.phase("selected functions");
    if selection.entries().next().is_none() {
        return Err(no_entry(&selection));
    }
    Ok(Prepared {
        selection,
        backend,
        kallsyms: Arc::new(facts.kallsyms),
        layout,
        image,
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a reading thread panicked")))
}

fn backend(choice: BackendChoice, support: KernelSupport) -> Result<BackendKind> {
    let kind = match choice {
        BackendChoice::Auto => return Ok(BackendKind::best(support)),
        BackendChoice::Fentry => BackendKind::Trampoline,
        BackendChoice::KprobeMulti => BackendKind::KprobeMulti,
        BackendChoice::KprobeSession => BackendKind::KprobeSession,
    };
    if kind.is_offered(support) {
        Ok(kind)
    } else {
        let best = BackendKind::best(support);
        Err(Failure::hinted(
            format!("this kernel does not offer back end `{kind}`"),
            format!("leave the choice to us, or use `--backend {best}`"),
        ))
    }
}

fn capabilities(backend: BackendKind, btf: &Btf) -> Capabilities {
    let trampolines = backend.needs_prototype();
    // Since 6.1, 720e6a435194 ("bpf: Allow struct argument in trampoline based programs").
    let struct_args = if btf.has_member("btf_func_model", "arg_flags") {
        StructArgs::Taken
    } else {
        StructArgs::Refused
    };
    Capabilities {
        kprobe_like: !trampolines,
        trampolines: trampolines.then_some(TrampolineRules {
            max_slots: 12,
            struct_args,
        }),
        max_functions: None,
    }
}

/// The types of modules that globs may mean; a module without BTF just has none.
fn module_btfs(
    config: &Config,
    files: &KernelFiles,
    kallsyms: &Kallsyms,
    base: &Arc<Btf>,
) -> BTreeMap<String, Btf> {
    matching_modules(&config.globs, kallsyms)
        .into_iter()
        .filter_map(|module| {
            let btf = files.module_btf(&module, base).ok()?;
            Some((module, btf))
        })
        .collect()
}

fn no_entry(selection: &Selection) -> anyhow::Error {
    let reasons: Vec<String> = selection
        .globs
        .iter()
        .filter(|glob| glob.role == Role::Entry)
        .filter_map(GlobReport::why_nothing)
        .collect();
    Failure::hinted(
        format!("no entry function to trace: {}", reasons.join("; ")),
        "`--dry-run -v` lists what matches and why it is left out",
    )
}
