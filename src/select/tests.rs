// SPDX-License-Identifier: BSD-2-Clause
//! stub
#[test]
fn dump() {
    use crate::config::UseCases;
    use crate::kernel::btf::{StructArgs, TrampolineRules};
    use crate::kernel::facts::{KernelFacts, KernelFiles};
    let files = KernelFiles::below(std::env::var("FACTS").unwrap());
    let t = std::time::Instant::now();
    let kallsyms = files.kallsyms().unwrap();
    println!("kallsyms {:?} {}", t.elapsed(), kallsyms.len());
    let t = std::time::Instant::now();
    let traceable = files.traceable().ok();
    println!(
        "traceable {:?} {:?}",
        t.elapsed(),
        traceable.as_ref().map(|t| t.len())
    );
    let facts = KernelFacts {
        kallsyms,
        traceable,
        kprobe_blacklist: files.kprobe_blacklist(),
        kernel_btf: files.kernel_btf().ok(),
        module_btf: Default::default(),
    };
    for name in [
        "bpf", "cgroup", "fs", "io_uring", "mm", "module", "net", "perf",
    ] {
        let case = UseCases::built_in().find(name).unwrap();
        let t = std::time::Instant::now();
        let rules = TrampolineRules {
            max_slots: 6,
            struct_args: StructArgs::Refused,
        };
        let s = super::select(
            &case.globs,
            &facts,
            &super::Capabilities {
                kprobe_like: true,
                trampolines: Some(rules),
                max_functions: None,
            },
        );
        let tramp = s
            .functions
            .iter()
            .filter(|f| f.prototype.is_some_and(|p| p.trampoline_ok))
            .count();
        println!(
            "== {name}: {} functions, {} entries, {} trampoline, {} left out, {:?}",
            s.functions.len(),
            s.entries().count(),
            tramp,
            s.left_out.len(),
            t.elapsed()
        );
        if std::env::var("V").as_deref() == Ok(name) {
            for (r, n) in s.left_out_by_reason() {
                println!("  {n} {r}");
            }
            for f in &s.functions {
                println!("F {} {:?} {}", f.name, f.result, f.entry.is_some());
            }
            for f in &s.left_out {
                println!("L {} {}", f.name, f.reason);
            }
            for g in &s.globs {
                println!(
                    "G {:?} {} syms {} btf {} att {} sel {}",
                    g.role, g.glob.spec, g.in_kallsyms, g.in_btf, g.attachable, g.selected
                );
            }
        }
    }
}
