// SPDX-License-Identifier: BSD-2-Clause
//! `-V` and `-Vv`: the version, and what this kernel offers.

use super::gather::offered;
use super::layout::full_support;
use crate::bpf::KernelSupport;
use crate::kernel::facts::KernelFiles;
use crate::select::BackendPolicy;
use crate::spec::BackendKind;

/// Returns the line with the version.
pub(crate) fn version() -> String {
    format!("retsnoop-rs {}\n", env!("CARGO_PKG_VERSION"))
}

/// Returns the version and the relevant features of this kernel, one per line.
pub(crate) fn report(files: &KernelFiles) -> String {
    let btf = files.kernel_btf();
    let support = full_support(btf.as_deref().ok(), files);
    let yes = |offered: bool| if offered { "yes" } else { "no" }.to_owned();
    let or_why = |result: anyhow::Result<String>| match result {
        Ok(text) => text,
        Err(error) => format!("no: {error:#}"),
    };
    let facts = [
        ("kernel", or_why(files.release())),
        (
            "BTF",
            or_why(btf.map(|btf| format!("{} types", btf.type_count()))),
        ),
        (
            "symbols",
            or_why(files.kallsyms().map(|symbols| symbols.len().to_string())),
        ),
        (
            "traceable functions",
            or_why(
                files
                    .traceable()
                    .map(|functions| functions.len().to_string()),
            ),
        ),
        ("tracing-multi", yes(support.tracing_multi)),
        ("fentry-multi", yes(support.fentry_multi)),
        ("kprobe-session", yes(support.kprobe_session)),
        ("kprobe-multi", yes(support.kprobe_multi)),
        ("kprobe", yes(support.kprobe)),
        ("uprobe-multi", yes(support.uprobe_multi)),
        ("uprobe", yes(support.uprobe)),
        ("chosen back end", chosen(support)),
    ];
    let mut text = version();
    for (what, fact) in facts {
        text.push_str(&format!("{what:>20}: {fact}\n"));
    }
    text
}

/// Returns the best back end for few functions and for many; one name if they are equal.
pub(crate) fn chosen(support: KernelSupport) -> String {
    let policy = BackendPolicy::Auto(offered(support));
    let best = |n_functions| {
        let first = policy.order(n_functions).first().copied();
        first.unwrap_or(BackendKind::Trampoline)
    };
    match (best(1), best(1000)) {
        (few, many) if few == many => few.to_string(),
        (few, many) => format!("{few}, for many functions {many}"),
    }
}
