// SPDX-License-Identifier: BSD-2-Clause
//! Measures the data flow of the functions of a kernel image, and asks about single calls. The text
//! is that of the file, before the kernel has patched it.
//!
//! * `figures VMLINUX NUMBER` follows as many functions, evenly spread, and asks about each of their
//!   calls; prints how many were understood and what they took;
//! * `ask VMLINUX CALLER CALLEE VALUE RESULT` asks about direct calls. A value with a leading `p` is
//!   a pointer's: `p0` is `NULL`.

#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a program of its own, for developers"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use retsnoop_rs::code::{Code, Flow, FlowQuestion, Flows, FromFn, Repetition, Returned};
use retsnoop_rs::kernel::kallsyms::Kallsyms;
use retsnoop_rs::spec::{Addr, ResultType};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [mode, image, rest @ ..] = &args[..] else {
        println!("usage: see the head of benches/flow.rs");
        return Ok(());
    };
    let bytes = fs::read(Path::new(image))?;
    let file = object::File::parse(&*bytes)?;
    let mut sections: Vec<(u64, &[u8])> = Vec::new();
    for section in file.sections().filter(|section| section.address() != 0) {
        sections.push((section.address(), section.data()?));
    }
    let mut symbols: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.is_definition() && symbol.address() != 0)
        .filter(|symbol| matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown))
        .filter_map(|symbol| Some((symbol.address(), b't', symbol.name().ok()?)))
        .filter(|(_, _, name)| !name.is_empty())
        .collect();
    symbols.sort_unstable();
    let kallsyms = Kallsyms::of_image(symbols.into_iter())?;
    let text = FromFn(|addr: Addr, bytes: &mut [u8]| {
        let found = sections.iter().find_map(|(start, data)| {
            let offset = usize::try_from(addr.0.checked_sub(*start)?).ok()?;
            data.get(offset..offset.checked_add(bytes.len())?)
        });
        found.is_some_and(|found| {
            bytes.copy_from_slice(found);
            true
        })
    });
    let code = Code::new(&kallsyms, &text);
    match (*mode, rest) {
        ("figures", [number]) => figures(&code, number.parse()?),
        ("ask", [caller, callee, value, result]) => {
            let addr = |name| {
                let found = kallsyms.named(name).next();
                found
                    .map(|symbol| symbol.addr)
                    .with_context(|| format!("no `{name}`"))
            };
            let question = FlowQuestion {
                caller: addr(caller)?,
                callee: addr(callee)?,
                call_site: None,
                value: returned(value)?,
                result: returned(result)?,
                repetition: Repetition::Last,
            };
            println!("{:?}", Flows::default().answer(&code, &question));
            Ok(())
        }
        _ => bail!("usage: see the head of benches/flow.rs"),
    }
}

fn returned(text: &str) -> Result<Returned> {
    let (number, kind) = match text.strip_prefix('p') {
        Some(number) => (number, ResultType::Pointer),
        None => (text, ResultType::Signed(4)),
    };
    Ok(Returned {
        register: number.parse::<i64>()? as u64,
        kind,
    })
}

fn figures(code: &Code<'_>, number: usize) -> Result<()> {
    let kallsyms = code.kallsyms();
    let functions: Vec<_> = (0..kallsyms.len())
        .map(|index| kallsyms.symbol(index))
        .filter(|symbol| symbol.is_function && symbol.size > 64 && symbol.size < 1 << 16)
        .collect();
    let step = (functions.len() / number.max(1)).max(1);
    let (mut reads, mut answers) = (Vec::new(), Vec::new());
    let (mut n_instructions, mut n_unknown) = (Vec::new(), 0);
    let mut fates = BTreeMap::new();
    for symbol in functions.iter().step_by(step) {
        let began = Instant::now();
        let flow = Flow::of(code, symbol.addr);
        reads.push(began.elapsed());
        let Some(flow) = flow else {
            n_unknown += 1;
            continue;
        };
        n_instructions.push(flow.len());
        for site in flow.call_sites().take(8) {
            let question = FlowQuestion {
                caller: symbol.addr,
                callee: Addr(0),
                call_site: Some(site),
                value: returned("-22")?,
                result: returned("-22")?,
                repetition: Repetition::Last,
            };
            let began = Instant::now();
            let fate = flow.answer(&question, |_| false);
            answers.push(began.elapsed());
            *fates.entry(format!("{fate:?}")).or_insert(0_u32) += 1;
        }
    }
    n_instructions.sort_unstable();
    let median = n_instructions.get(n_instructions.len() / 2);
    println!(
        "{} functions, {n_unknown} not understood; instructions: median {median:?}, most {:?}",
        reads.len(),
        n_instructions.last()
    );
    print("read", reads);
    print("answer", answers);
    println!("-EINVAL to -EINVAL: {fates:?}");
    Ok(())
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |part: usize| times.get((times.len() * part / 1000).min(times.len().saturating_sub(1)));
    println!(
        "{what}: {} times, median {:?}, 99 % {:?}, most {:?}",
        times.len(),
        at(500).unwrap_or(&Duration::ZERO),
        at(990).unwrap_or(&Duration::ZERO),
        times.last().unwrap_or(&Duration::ZERO),
    );
}
