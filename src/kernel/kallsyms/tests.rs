// SPDX-License-Identifier: BSD-2-Clause
//! Errors that a reader of a stack would notice.

use super::Kallsyms;
use crate::spec::Addr;

const SMALL: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000000 T first_function
ffffffff81000040 t __pfx_inner
ffffffff81000050 t inner
ffffffff81000080 t __cfi_outer
ffffffff81000080 T outer
ffffffff81000100 t twin
ffffffff81000140 T last_function
ffffffff81000200 T _etext
ffffffff81400000 D some_data
ffffffffc0201000 t twin\t[mod_a]
ffffffffc0201100 t a_last\t[mod_a]
ffffffffc0105000 t b_only\t[mod_b]
ffffffffc0300000 t bpf_prog_0123456789abcdef_demo\t[bpf]
ffffffffc0301000 t bpf_trampoline_6442464085\t[bpf]
";

fn parse(text: &str) -> Kallsyms {
    Kallsyms::parse(text.as_bytes().to_vec()).unwrap()
}

fn resolve(symbols: &Kallsyms, addr: u64) -> String {
    match symbols.resolve(Addr(addr)) {
        None => "-".to_owned(),
        Some((symbol, offset)) => match symbol.module {
            None => format!("{}+{offset:#x}/{:#x}", symbol.name, symbol.size),
            Some(module) => format!("{}+{offset:#x}/{:#x} [{module}]", symbol.name, symbol.size),
        },
    }
}

#[test]
fn addresses_resolve_to_the_function_that_holds_them() {
    let symbols = parse(SMALL);
    let check = |addr: u64, expected: &str| assert_eq!(resolve(&symbols, addr), expected);
    check(0xffff_ffff_8100_0050, "inner+0x0/0x30");
    check(0xffff_ffff_8100_007f, "inner+0x2f/0x30");
    check(0xffff_ffff_c020_1044, "twin+0x44/0x100 [mod_a]");
    check(
        0xffff_ffff_c030_0044,
        "bpf_prog_0123456789abcdef_demo+0x44/0x1000 [bpf]",
    );
    check(
        0xffff_ffff_c030_1fff,
        "bpf_trampoline_6442464085+0xfff/0x1000 [bpf]",
    );
}

#[test]
fn an_address_with_several_names_shows_the_one_that_people_call_it_by() {
    let symbols = parse(SMALL);
    assert_eq!(
        resolve(&symbols, 0xffff_ffff_8100_0004),
        "first_function+0x4/0x40"
    );
    assert_eq!(resolve(&symbols, 0xffff_ffff_8100_0084), "outer+0x4/0x80");
}

#[test]
fn b24_a_page_of_ftrace_does_not_swallow_a_module_that_was_loaded_since() {
    let symbols = parse(
        "ffffffff81000000 T _stext\n\
         ffffffffc0300000 t ftrace_trampoline\t[__builtin__ftrace]\n\
         ffffffffc0320000 t ftrace_trampoline\t[__builtin__ftrace]\n",
    );
    let check = |addr: u64, expected: &str| assert_eq!(resolve(&symbols, addr), expected);
    let page = "ftrace_trampoline+0xfff/0x1000 [__builtin__ftrace]";
    check(0xffff_ffff_c030_0fff, page);
    // The address is unknown, so that the symbols are read again.
    check(0xffff_ffff_c030_1000, "-");
    check(0xffff_ffff_c032_0fff, page);
}

#[test]
fn b24_the_last_symbol_of_a_text_does_not_swallow_what_lies_behind_it() {
    let symbols = parse(SMALL);
    let check = |addr: u64, expected: &str| assert_eq!(resolve(&symbols, addr), expected);
    check(0xffff_ffff_8100_01ff, "last_function+0xbf/0xc0");
    check(0xffff_ffff_8100_0200, "-");
    check(0xffff_ffff_8140_0010, "-");
    check(0xffff_ffff_c010_5800, "b_only+0x800/0x1000 [mod_b]");
    check(0xffff_ffff_c010_6000, "-");
    check(0xffff_ffff_c020_1200, "a_last+0x100/0x1f00 [mod_a]");
    check(0xffff_ffff_c030_2000, "-");
    check(0x10, "-");
    check(0, "-");
    check(u64::MAX, "-");
}

#[test]
fn all_symbols_of_a_name_are_found_in_order_of_address() {
    let symbols = parse(SMALL);
    let found: Vec<_> = symbols
        .named("twin")
        .map(|twin| (twin.addr.0, twin.module))
        .collect();
    assert_eq!(
        found,
        [
            (0xffff_ffff_8100_0100, None),
            (0xffff_ffff_c020_1000, Some("mod_a"))
        ]
    );
    assert_eq!(symbols.named("nobody").count(), 0);
}

#[test]
fn symbols_come_in_ascending_order_and_say_whether_they_are_code() {
    let symbols = parse(SMALL);
    let all: Vec<_> = (0..symbols.len())
        .map(|index| symbols.symbol(index))
        .collect();
    assert!(all.is_sorted_by_key(|symbol| symbol.addr));
    let data = all
        .iter()
        .find(|symbol| symbol.name == "some_data")
        .unwrap();
    assert!(!data.is_function);
    assert_eq!(data.size, 0);
}

#[test]
fn functions_are_found_by_parts_of_their_names() {
    let symbols = parse(SMALL);
    let found = |parts: &[&str], only_modules| -> Vec<(&str, u16)> {
        let found = symbols.functions_with(parts, only_modules);
        found
            .inspect(|found| assert_eq!(symbols.symbol(found.index).name, found.name))
            .map(|found| (found.name, found.part))
            .collect()
    };
    // Data and names of modules do not match.
    assert_eq!(found(&["mod_a", "some"], false), []);
    assert_eq!(
        found(&["last", "twin", "_"], true),
        [
            ("b_only", 2),
            ("twin", 1),
            ("a_last", 0),
            ("a_last", 2),
            ("bpf_prog_0123456789abcdef_demo", 2),
            ("bpf_trampoline_6442464085", 2)
        ]
    );
    assert_eq!(
        found(&["last_function"], false),
        [("last_function", 0)],
        "whole names are parts, too"
    );
}

#[test]
fn hostile_lines_are_passed_over() {
    let long = "x".repeat(70_000);
    let fits = "y".repeat(600);
    let text = format!(
        "\n \nnonsense\nffffffff81000000\nffffffff81000000 \nffffffff81000000 T\n\
         ffffffff81000000 T \nfffffffff81000000 T too_wide\nffffffff81000000 Tt odd\n\
         ffffffff81000010 T {long}\nffffffff81000020 T {fits}\t[unclosed\n\
         ffffffff81000030 T plain\t[m]"
    );
    let symbols = parse(&text);
    assert_eq!(symbols.len(), 2);
    assert_eq!(symbols.symbol(0).name, fits);
    assert_eq!(symbols.symbol(0).module, None);
    assert_eq!(symbols.symbol(1).module, Some("m"));
}

#[test]
fn invalid_utf8_in_a_name_costs_that_name_its_spelling_only() {
    let symbols = Kallsyms::parse(b"ffffffff81000000 T a\xffb\nffffffff81000010 T c\n".to_vec());
    let symbols = symbols.unwrap();
    assert_eq!(symbols.symbol(0).name, "a\u{fffd}b");
    assert_eq!(symbols.symbol(1).name, "c");
}

#[test]
fn hidden_addresses_and_empty_files_are_errors_that_say_why() {
    let error = |text: &str| {
        Kallsyms::parse(text.as_bytes().to_vec())
            .unwrap_err()
            .to_string()
    };
    assert!(
        error("0000000000000000 T _text\n0000000000000000 T _stext\n").contains("kptr_restrict")
    );
    assert!(error("").contains("no line"));
    assert!(error("garbage").contains("no line"));
}
