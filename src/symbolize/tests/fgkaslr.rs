// SPDX-License-Identifier: BSD-2-Clause
//! A kernel that moved its functions individually has the same lines as one that did not.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{data, kallsyms as kallsyms_of, moved_kallsyms, symbolizer};
use crate::cache::Cache;
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, Ip};
use crate::symbolize::{Level, LineOptions, Symbolizer, build_index};

/// The symbols in another order, as FG-KASLR leaves them. Functions of assembler code keep their
/// place.
fn fgkaslr_kallsyms(by: u64) -> Arc<Kallsyms> {
    let text = "\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 T entry
ffffffff81000140 T plain
ffffffff81000100 T die
ffffffff81000200 T doomed
ffffffff81000080 T behind
ffffffff81000180 T alloc
ffffffff81000040 T outside
ffffffff81000240 T _etext
";
    let moved = text.lines().map(|line| {
        let (addr, rest) = line.split_once(' ').unwrap();
        let addr = u64::from_str_radix(addr, 16).unwrap();
        format!("{:016x} {rest}\n", addr + by)
    });
    Arc::new(Kallsyms::parse(moved.collect::<String>().into_bytes()).unwrap())
}

#[test]
fn functions_that_moved_one_by_one_are_found_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let together = symbolizer(&data("dwarf5"), &kallsyms_of("dwarf5"), Level::Inlines);
    for (by, cache) in [
        (0, None),
        (0x1900_0000, None),
        (0, Some(&cache)),
        (0x20_0000, Some(&cache)),
    ] {
        let kallsyms = fgkaslr_kallsyms(by);
        let options = LineOptions {
            cache: cache.cloned(),
            ..LineOptions::default()
        };
        let lines = Symbolizer::prepare(data("dwarf5"), &kallsyms, options).unwrap();
        let lines = lines.join().unwrap();
        assert!(lines.is_fgkaslr());
        if let Some(cache) = cache {
            build_index(&lines, cache, &AtomicBool::new(false)).unwrap();
        }
        let fgkaslr = Symbolizer::new(Arc::clone(&kallsyms), Level::Inlines, Some(lines));
        let mut compared = 0;
        for symbol in
            (0..).map_while(|index| (index < kallsyms.len()).then(|| kallsyms.symbol(index)))
        {
            let before = kallsyms_of("dwarf5");
            let original = before.any_named(symbol.name).unwrap();
            for offset in 0..original.size.min(symbol.size) {
                for is_return in [false, true] {
                    let kind = if is_return { Ip::return_to } else { Ip::exact };
                    let ip = |start: Addr| kind(Addr(start.0 + offset + u64::from(is_return)));
                    let found = fgkaslr.frame(ip(symbol.addr));
                    let expected = together.frame(ip(original.addr));
                    assert_eq!(found.source, expected.source, "{} {offset:#x}", symbol.name);
                    assert_eq!(
                        found.inlined, expected.inlined,
                        "{} {offset:#x}",
                        symbol.name
                    );
                    compared += 1;
                }
            }
        }
        assert!(compared > 300, "{compared} compared");
    }
    for image in ["dwarf5", "lto"] {
        let lines = Symbolizer::prepare(
            data(image),
            &moved_kallsyms(image, 0x1900_0000),
            LineOptions::default(),
        );
        assert!(!lines.unwrap().join().unwrap().is_fgkaslr());
    }
}
