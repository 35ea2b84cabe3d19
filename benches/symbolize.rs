// SPDX-License-Identifier: BSD-2-Clause
//! Measures symbolization of a kernel image, for `scripts/bench symbols`. The symbols (`nm -n`)
//! stand for kallsyms.
//!
//! * `sample VMLINUX SYMBOLS NUMBER` prints random addresses in functions, the same each time;
//! * `figures VMLINUX SYMBOLS ADDRESSES [CACHE]` prints what it takes to open the image and answer
//!   the first address, all of them, and all of them again; with a cache directory from the index;
//! * `index VMLINUX SYMBOLS CACHE` makes the index;
//! * `glob VMLINUX SYMBOLS GLOB [CACHE]` looks for the functions of source files.

#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a program of its own, for developers"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use retsnoop_rs::cache::Cache;
use retsnoop_rs::kernel::kallsyms::Kallsyms;
use retsnoop_rs::spec::{Addr, GlobKind, GlobSpec, Ip};
use retsnoop_rs::symbolize::{Level, LineOptions, LineSource, Symbolizer, build_index};

/// As many addresses as a deep stack has are asked for at once.
const AT_ONCE: usize = 32;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [mode, image, symbols, rest @ ..] = &args[..] else {
        println!("usage: see the head of benches/symbolize.rs");
        return Ok(());
    };
    let image = Path::new(image);
    let kallsyms = Arc::new(Kallsyms::parse(fs::read(symbols)?)?);
    match (*mode, rest) {
        ("sample", [number]) => sample(&kallsyms, number.parse()?),
        ("figures", [addresses]) => figures(image, &kallsyms, addresses, LineOptions::default()),
        ("figures", [addresses, cache]) => figures(image, &kallsyms, addresses, with_cache(cache)?),
        ("index", [cache]) => index(image, &kallsyms, with_cache(cache)?),
        ("glob", [glob]) => functions(image, &kallsyms, glob, LineOptions::default()),
        ("glob", [glob, cache]) => functions(image, &kallsyms, glob, with_cache(cache)?),
        _ => bail!("usage: see the head of benches/symbolize.rs"),
    }
}

fn with_cache(directory: &str) -> Result<LineOptions> {
    Ok(LineOptions {
        cache: Some(Cache::open(Path::new(directory))?),
        ..LineOptions::default()
    })
}

fn open(image: &Path, kallsyms: &Kallsyms, options: LineOptions) -> Result<LineSource> {
    Ok(Symbolizer::prepare(PathBuf::from(image), kallsyms, options)?.join()?)
}

fn sample(kallsyms: &Kallsyms, number: usize) -> Result<()> {
    let functions: Vec<_> = (0..kallsyms.len())
        .map(|index| kallsyms.symbol(index))
        .filter(|symbol| symbol.is_function && symbol.size > 1 && symbol.size < 1 << 16)
        .collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..number {
        let function = &functions[random() % functions.len()];
        println!("{:x}", function.addr.0 + random() as u64 % function.size);
    }
    Ok(())
}

fn figures(
    image: &Path,
    kallsyms: &Arc<Kallsyms>,
    addresses: &str,
    options: LineOptions,
) -> Result<()> {
    let text = fs::read_to_string(addresses)?;
    let addresses: Vec<Ip> = text
        .split_whitespace()
        .map(|text| Ok(Ip::exact(Addr(u64::from_str_radix(text, 16)?))))
        .collect::<Result<_>>()?;
    let wants_index = options.cache.is_some();
    let before = anonymous_kib();
    let start = Instant::now();
    let lines = open(image, kallsyms, options)?;
    if wants_index != lines.has_index() {
        bail!("the index was to be used, and was not");
    }
    let _ = lines.answer(addresses[0].location.addr);
    let first = start.elapsed();
    let symbolizer = Symbolizer::new(Arc::clone(kallsyms), Level::Inlines, Some(lines));
    let start = cpu();
    let mut n_rows = 0;
    for few in addresses.chunks(AT_ONCE) {
        let frames = symbolizer.frames(few);
        n_rows += frames
            .iter()
            .map(|frame| frame.inlined.len() + 1)
            .sum::<usize>();
    }
    let all = cpu() - start;
    let anonymous = anonymous_kib() - before;
    println!("first_ms {:.3}", first.as_secs_f64() * 1e3);
    println!("all_cpu_ms {:.1}", all.as_secs_f64() * 1e3);
    println!("anonymous_mb {:.1}", anonymous as f64 / 1024.0);
    println!("rows {n_rows}");
    println!("unresolved {:?}", symbolizer.unresolved());
    println!("again_per_s {:.0}", again(&symbolizer, &addresses));
    Ok(())
}

/// How many addresses a second are answered that were seen before, one by one.
fn again(symbolizer: &Symbolizer, addresses: &[Ip]) -> f64 {
    const ROUNDS: usize = 10;
    // A run shows some thousand places.
    let seen = &addresses[addresses.len().saturating_sub(10_000)..];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for ip in seen {
            black_box(symbolizer.frame(*ip));
        }
    }
    (ROUNDS * seen.len()) as f64 / start.elapsed().as_secs_f64()
}

fn index(image: &Path, kallsyms: &Kallsyms, options: LineOptions) -> Result<()> {
    let cache = options.cache.clone().context("no cache")?;
    let lines = open(image, kallsyms, options)?;
    let (start, wall) = (cpu(), Instant::now());
    let built = build_index(&lines, &cache, &AtomicBool::new(false))?;
    let built = built.context("there is an index already")?;
    println!("index_cpu_ms {:.0}", (cpu() - start).as_secs_f64() * 1e3);
    println!("index_ms {:.0}", wall.elapsed().as_secs_f64() * 1e3);
    println!("index_mb {:.2}", built.n_bytes as f64 / 1e6);
    println!(
        "index_percent {:.2}",
        built.n_bytes as f64 / fs::metadata(image)?.len() as f64 * 100.0
    );
    println!("damaged {}", built.n_damaged);
    println!("anonymous_mb {:.1}", anonymous_kib() as f64 / 1024.0);
    Ok(())
}

fn functions(image: &Path, kallsyms: &Kallsyms, glob: &str, options: LineOptions) -> Result<()> {
    let spec: GlobSpec = glob.parse().map_err(anyhow::Error::msg)?;
    let GlobKind::Source(path) = spec.kind() else {
        bail!("`{glob}` names no source files");
    };
    let start = Instant::now();
    let lines = open(image, kallsyms, options)?;
    let found = lines.functions(path);
    println!("glob_ms {:.1}", start.elapsed().as_secs_f64() * 1e3);
    println!(
        "functions {} inlined {}",
        found.addrs.len(),
        found.n_inlined
    );
    Ok(())
}

/// Processor time that all threads of this process have had.
fn cpu() -> Duration {
    let text = fs::read_dir("/proc/self/task").map(|tasks| {
        let time = |path: PathBuf| -> Option<u64> {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        tasks.flatten().filter_map(|task| time(task.path())).sum()
    });
    Duration::from_nanos(text.unwrap_or(0))
}

fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
