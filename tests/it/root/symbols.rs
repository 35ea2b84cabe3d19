// SPDX-License-Identifier: BSD-2-Clause
//! The symbols that are read from the kernel's memory are those that the kernel prints.

use std::collections::BTreeSet;
use std::fs;

use retsnoop_rs::kernel::facts::KernelFiles;
use retsnoop_rs::kernel::kallsyms::{Kallsyms, LoadedLayout};
use retsnoop_rs::kernel::traceable::PatchSite;

use super::harness::kernel;

/// Address, name, module, whether it is code.
type Line = (u64, String, String, bool);

fn lines(symbols: &Kallsyms, wanted: impl Fn(&str) -> bool) -> BTreeSet<Line> {
    let all = (0..symbols.len()).map(|index| symbols.symbol(index));
    all.map(|symbol| {
        let module = symbol.module.unwrap_or_default().to_owned();
        (
            symbol.addr.0,
            symbol.name.to_owned(),
            module,
            symbol.is_function,
        )
    })
    .filter(|(_, _, module, _)| wanted(module))
    .collect()
}

fn printed() -> Kallsyms {
    Kallsyms::parse(fs::read("/proc/kallsyms").unwrap()).unwrap()
}

#[test]
fn the_tables_in_memory_are_what_kallsyms_prints() {
    let kcore = KernelFiles::default().kcore().unwrap();
    let read = Kallsyms::of_memory(&kcore);
    if kernel() == "5.10" {
        let error = read.unwrap_err().to_string();
        assert!(error.contains("does not say where"), "{error}");
        return;
    }
    let of_kernel = |module: &str| module.is_empty();
    let expected = lines(&printed(), of_kernel);
    assert!(expected.len() > 50_000);
    let read = lines(&read.unwrap(), of_kernel);
    let differing: Vec<_> = read.symmetric_difference(&expected).take(10).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn modules_and_programs_in_memory_are_what_kallsyms_prints() {
    let files = KernelFiles::default();
    let kcore = files.kcore().unwrap();
    let layout = LoadedLayout::of(&files.kernel_btf().unwrap()).unwrap();
    let _trace =
        super::harness::Trace::start(&["-e", "__x64_sys_bpf", "-sn", "--backend", "fentry"]);
    let text = printed();
    let read = text.with_loaded(&kcore, &layout).unwrap();
    let text_after = printed();
    // The pages that the kernel made for its own tracing are not asked for.
    let loaded = |module: &str| !module.starts_with("__builtin__");
    // Trampolines of an earlier test may go meanwhile: what both texts tell must have been read,
    // and what was read one of them must tell.
    let before = lines(&text, loaded);
    let after = lines(&text_after, loaded);
    let expected: BTreeSet<Line> = before.intersection(&after).cloned().collect();
    for module in ["bpf", "overlay"] {
        assert!(expected.iter().any(|line| line.2 == module), "{module}");
    }
    let read = lines(&read, loaded);
    // ftrace prints a module's start-up functions that it traced when they are gone already.
    let is_gone = |line: &&Line| line.1.ends_with("_init") || line.1 == "init_module";
    let not_read = expected.difference(&read).filter(|line| !is_gone(line));
    let not_printed = read
        .difference(&before)
        .filter(|line| !after.contains(*line));
    let differing: Vec<_> = not_read.chain(not_printed).take(10).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn the_text_tells_what_ftrace_can_trace() {
    let files = KernelFiles::default();
    let kcore = files.kcore().unwrap();
    let symbols = printed();
    let listed = files.traceable().unwrap();
    let listed: BTreeSet<(&str, Option<&str>)> = listed
        .iter()
        .map(|function| (function.name, function.module))
        .collect();
    let (mut n_traceable, mut differing) = (0, Vec::new());
    for (index, name) in symbols.function_names() {
        let symbol = symbols.symbol(index);
        let mut start = [0; PatchSite::REACH];
        if name.starts_with("__pfx_") || kcore.read(symbol.addr, &mut start).is_err() {
            continue;
        }
        let has_site = matches!(PatchSite::find(symbol.addr, &start), Some(PatchSite::Nop));
        let mut names = symbols
            .namesakes_of_address(index)
            .map(|index| symbols.symbol(index));
        let is_listed = names.any(|symbol| listed.contains(&(symbol.name, symbol.module)));
        if has_site && is_listed {
            n_traceable += 1;
        } else if has_site {
            differing.push(format!("{name} is not listed"));
        } else if is_listed && symbols.named(name).count() == 1 {
            // (The list has names only: of several functions of one name any may be meant.)
            differing.push(format!("{name} is listed: {start:x?}"));
        }
    }
    assert!(n_traceable > 20_000, "{n_traceable}");
    assert!(
        differing.len() <= n_traceable / 1000,
        "{}: {differing:?}",
        differing.len()
    );
}
