// SPDX-License-Identifier: BSD-2-Clause
//! Measures symbolization of a kernel image, and prints answers to compare with other tools.
//!
//! `cargo bench --bench symbolize -- VMLINUX NM-OUTPUT [ADDRESS-FILE]`: the symbols (`nm -n`) stand
//! for kallsyms. With a file of hexadecimal addresses each one's inline chain is printed as
//! `llvm-addr2line -i -f` would; without, times and memory of 100 stacks of 12 random functions.

#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a program of its own, for developers"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use retsnoop_rs::kernel::kallsyms::Kallsyms;
use retsnoop_rs::spec::Addr;
use retsnoop_rs::symbolize::{Level, SourceLine, Symbolizer};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [image, symbols, rest @ ..] = &args[..] else {
        println!("usage: symbolize VMLINUX NM-OUTPUT [ADDRESS-FILE]");
        return Ok(());
    };
    let text = fs::read(symbols)?;
    let start = Instant::now();
    let kallsyms = Arc::new(Kallsyms::parse(text)?);
    println!(
        "# kallsyms: {} symbols in {:.1?}",
        kallsyms.len(),
        start.elapsed()
    );
    let before = anonymous_kib();
    let start = Instant::now();
    let lines = Symbolizer::prepare(PathBuf::from(image), &kallsyms)?.join()?;
    let opened = start.elapsed();
    let symbolizer = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, Some(lines));
    match rest {
        [] => measure(&kallsyms, &symbolizer, start, before),
        [addresses, ..] => print_chains(&symbolizer, &fs::read_to_string(addresses)?)?,
    }
    println!("# open: {opened:.1?}");
    Ok(())
}

fn measure(kallsyms: &Kallsyms, symbolizer: &Symbolizer, start: Instant, before: u64) {
    let functions: Vec<_> = (0..kallsyms.len())
        .map(|index| kallsyms.symbol(index))
        .filter(|symbol| symbol.is_function && symbol.size > 16)
        .collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut peak = 0;
    for stack in 0..100 {
        for _ in 0..12 {
            let function = &functions[random() % functions.len()];
            let addr = function.addr.0 + 1 + random() as u64 % (function.size - 1);
            let _ = symbolizer.frame(Addr(addr), true);
        }
        peak = anonymous_kib().max(peak);
        if stack == 0 || stack == 99 {
            println!(
                "# after stack {}: {:.1?} since open began",
                stack + 1,
                start.elapsed()
            );
        }
    }
    println!(
        "# anonymous memory: {} KiB more at most",
        peak.saturating_sub(before)
    );
    println!("# unresolved: {:?}", symbolizer.unresolved());
}

fn print_chains(symbolizer: &Symbolizer, addresses: &str) -> anyhow::Result<()> {
    for text in addresses.split_whitespace() {
        let addr = u64::from_str_radix(text.trim_start_matches("0x"), 16)?;
        let frame = symbolizer.frame(Addr(addr), false);
        println!("{addr:#x}");
        let line = |source: &Option<SourceLine>| match source {
            None => "??:0".to_owned(),
            Some(source) => format!("{}:{}", source.path, source.line),
        };
        for inlined in frame.inlined.iter().rev() {
            println!("{}\n{}", inlined.function, line(&inlined.source));
        }
        let symbol = frame.symbol.as_ref().map_or("??", |symbol| &symbol.name);
        println!("{symbol}\n{}", line(&frame.source));
    }
    println!("# unresolved: {:?}", symbolizer.unresolved());
    Ok(())
}

fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
