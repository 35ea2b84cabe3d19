// SPDX-License-Identifier: BSD-2-Clause
//! What other libraries need for the work that `benches/symbolize.rs` measures of ours.
//!
//! Not a target of this package: `scripts/bench symbols` makes a project of its own from it, in the
//! cache directory, so that no peer is a dependency. `peers NAME VMLINUX ADDRESSES` prints what
//! `symbolize figures` does.

use std::fs::{self, File};
use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, process};

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{Input, Symbolizer};
use gimli::{EndianSlice, LittleEndian};
use memmap2::Mmap;
use object::{Object, ObjectSection};

/// As many addresses as a deep stack has are asked for at once, where a library can.
const AT_ONCE: usize = 32;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [name, image, addresses] = &args[..] else {
        eprintln!("usage: peers addr2line|blazesym VMLINUX ADDRESSES");
        process::exit(2);
    };
    let text = fs::read_to_string(addresses).expect("the addresses");
    let addresses: Vec<u64> = text
        .split_whitespace()
        .map(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex"))
        .collect();
    match &name[..] {
        "addr2line" => addr2line(image, &addresses),
        "blazesym" => blazesym(image, &addresses),
        _ => panic!("no such peer"),
    }
}

fn addr2line(image: &str, addresses: &[u64]) {
    let file = File::open(image).expect("the image");
    let start = Instant::now();
    let map = unsafe { Mmap::map(&file).expect("mapped") };
    let elf = object::File::parse(&map[..]).expect("an ELF file");
    // What is compressed is inflated before the clock starts, for all.
    let inflated: Vec<_> = elf
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")))
        .map(|section| (section.name().unwrap_or_default(), section.uncompressed_data()))
        .collect();
    let section = |id: gimli::SectionId| {
        let found = inflated.iter().find(|(name, _)| *name == id.name());
        let bytes = found.map_or(&[][..], |(_, data)| data.as_deref().unwrap_or_default());
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(section).expect("DWARF");
    let context = addr2line::Context::from_dwarf(dwarf).expect("a context");
    let ask = |addr: u64| {
        let mut n_rows = 0;
        if let Ok(mut frames) = context.find_frames(addr).skip_all_loads() {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().map(|name| name.raw_name());
                black_box((name, frame.location));
                n_rows += 1;
            }
        }
        n_rows
    };
    black_box(ask(addresses[0]));
    report(start.elapsed(), addresses, |few| {
        few.iter().map(|addr| ask(*addr)).sum()
    });
}

fn blazesym(image: &str, addresses: &[u64]) {
    let start = Instant::now();
    let mut elf = Elf::new(image);
    elf.debug_syms = true;
    let source = Source::Elf(elf);
    let symbolizer = Symbolizer::builder()
        .enable_auto_reload(false)
        .enable_code_info(true)
        .enable_inlined_fns(true)
        .enable_demangling(false)
        .build();
    let ask = |few: &[u64]| -> usize {
        let answers = symbolizer.symbolize(&source, Input::VirtOffset(few));
        answers.expect("answers").iter().map(|answer| usize::from(answer.as_sym().is_some())).sum()
    };
    black_box(ask(&addresses[..1]));
    report(start.elapsed(), addresses, ask);
}

fn report(first: Duration, addresses: &[u64], mut ask: impl FnMut(&[u64]) -> usize) {
    let before = cpu();
    let n_rows: usize = addresses.chunks(AT_ONCE).map(&mut ask).sum();
    let all = cpu() - before;
    println!("first_ms {:.3}", first.as_secs_f64() * 1e3);
    println!("all_cpu_ms {:.1}", all * 1e3);
    println!("anonymous_mb {:.1}", anonymous_kib() / 1024.0);
    println!("rows {n_rows}");
}

/// Seconds of processor time that this process has had.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

fn anonymous_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
