// SPDX-License-Identifier: BSD-2-Clause
//! Proves that this kernel lets us trace, by attaching to one function for a moment.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::bpf::{ErrorSettings, ObjectStorage, ReadMemory, ScopeSettings, Settings, Tracer};
use crate::config::Optimizations;
use crate::kernel::facts::KernelFiles;
use crate::kernel::symbols::SymbolReader;
use crate::knowledge::arch::SELDOM_CALLED;
use crate::prepare::gather::offered;
use crate::prepare::layout::{layout, support};
use crate::prepare::preflight;
use crate::select::{BackendPolicy, BtfOrigin, Prototype, TracedFunction, assign};
use crate::spec::{EntryReason, Hook, HookId};

/// Attaches to one function and detaches again.
///
/// # Errors
/// Fails if a privilege is missing or the kernel refuses the programs or the function.
pub(crate) fn attach_for_a_moment(files: &KernelFiles) -> Result<()> {
    preflight::check(files)?;
    let kallsyms = SymbolReader::new(files, files.kcore().map(Arc::new)).of_kernel()?;
    let symbol = kallsyms
        .named(SELDOM_CALLED)
        .next()
        .context("no symbol to try with")?;
    let btf = files.kernel_btf()?;
    let by_name = btf.functions_of_names(&[SELDOM_CALLED].into_iter().collect());
    let func = by_name
        .get(SELDOM_CALLED)
        .context("no BTF function to try with")?;
    let function = TracedFunction {
        id: HookId(0),
        name: SELDOM_CALLED.to_owned(),
        module: None,
        hook: Hook::KernelFunction(symbol.addr),
        size: symbol.size,
        entry: Some(EntryReason::KernelFunction),
        result: btf.result_type(SELDOM_CALLED, func.id),
        prototype: Some(Prototype {
            origin: BtfOrigin::Vmlinux,
            btf_id: func.id,
            arg_slots: 1,
            trampoline_ok: true,
        }),
        parameters: Vec::new(),
    };
    let support = support(Some(&btf), files);
    let functions = [function];
    let assigned = assign(&functions, &BackendPolicy::Auto(offered(support)));
    let mut storage = ObjectStorage::new();
    let settings = Settings {
        longer_ns: 0,
        flight: None,
        show_success: false,
        errors: ErrorSettings::default(),
        scope: ScopeSettings::default(),
        ring_bytes: 4096,
        max_sessions: 1,
        max_depth: 64,
        n_functions: 1,
        n_notes: 0,
        read: ReadMemory {
            arguments: true,
            errno: false,
            failing_calls: false,
        },
        n_entry_texts: 0,
        n_usdt_sites: 0,
        layout: layout(&btf, &kallsyms, files, support)?,
        tracefs: None,
        preempts_programs: false,
        optimizations: Optimizations::default(),
    };
    let mut tracer = Tracer::load(&mut storage, &settings)?;
    tracer.attach(&functions, &assigned, &mut |_, _| true)?;
    Ok(())
}
