// SPDX-License-Identifier: BSD-2-Clause
//! The symbols that are read from the kernel's memory are those that the kernel prints.

use std::collections::BTreeSet;
use std::fs;

use retsnoop_rs::kernel::facts::KernelFiles;
use retsnoop_rs::kernel::kallsyms::{Kallsyms, LoadedLayout};

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
    // The pages that the kernel made for its own tracing are not asked for.
    let loaded = |module: &str| !module.starts_with("__builtin__");
    let expected = lines(&text, loaded);
    for module in ["bpf", "overlay"] {
        assert!(expected.iter().any(|line| line.2 == module), "{module}");
    }
    let read = lines(&read, loaded);
    let differing: Vec<_> = read.symmetric_difference(&expected).take(10).collect();
    assert!(differing.is_empty(), "{differing:?}");
}
