// SPDX-License-Identifier: BSD-2-Clause
//! `-V` and `-Vv`: the version, and what this kernel offers.

use crate::bpf::KernelSupport;
use crate::bpf::attach::BackendKind;
use crate::kernel::facts::KernelFiles;

/// The version line.
pub(super) fn version() -> String {
    format!("retsnoop-rs {}\n", env!("CARGO_PKG_VERSION"))
}

/// The version and what matters of this kernel, each with yes, no or a word.
pub(super) fn report(files: &KernelFiles) -> String {
    let support = KernelSupport::probe();
    let yes = |offered: bool| if offered { "yes" } else { "no" }.to_owned();
    let or_why = |result: anyhow::Result<String>| match result {
        Ok(text) => text,
        Err(error) => format!("no: {error:#}"),
    };
    let facts = [
        ("kernel", or_why(files.release())),
        (
            "BTF",
            or_why(
                files
                    .kernel_btf()
                    .map(|btf| format!("{} types", btf.type_count())),
            ),
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
        ("kprobe-session", yes(support.kprobe_session)),
        ("kprobe-multi", yes(support.kprobe_multi)),
        ("chosen back end", BackendKind::best(support).to_string()),
    ];
    let mut text = version();
    for (what, fact) in facts {
        text.push_str(&format!("{what:>20}: {fact}\n"));
    }
    text
}
