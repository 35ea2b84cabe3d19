// SPDX-License-Identifier: BSD-2-Clause
//! Command lines and what is read from them.

use std::iter::once;

use super::{Cli, Parsed, SymbolizeLevel, UsageError, command, parse};
use crate::config::Comm;
use crate::spec::Pid;

fn read(line: &str) -> Result<Box<Cli>, UsageError> {
    let words = once("retsnoop-rs").chain(line.split_whitespace());
    match parse(words)? {
        Parsed::Options(cli) => Ok(cli),
        Parsed::Text(text) => panic!("{text}"),
    }
}

fn message(line: &str) -> String {
    read(line).unwrap_err().message
}

#[test]
fn the_description_of_the_command_line_holds_together() {
    command().debug_assert();
}

#[test]
fn every_option_has_a_help_text_and_a_heading() {
    for argument in command()
        .get_arguments()
        .filter(|argument| !argument.is_positional())
    {
        let id = argument.get_id();
        assert!(argument.get_help().is_some(), "{id} has no help");
        assert!(argument.get_help_heading().is_some(), "{id} has no heading");
    }
}

#[test]
fn texts_that_stand_in_lists_are_short() {
    let root = command();
    let commands = once(&root).chain(root.get_subcommands());
    for command in commands {
        let about = command.get_about().unwrap().to_string();
        assert!(about.len() <= 80, "{}: {about}", command.get_name());
        for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
            let help = argument.get_help().unwrap().to_string();
            assert!(help.len() <= 80, "{}: {help}", argument.get_id());
            // Flags have `true` and `false`, which nobody sees.
            let takes_values = argument.get_action().takes_values();
            let values = argument.get_possible_values();
            for value in values.iter().filter(|_| takes_values) {
                let help = value.get_help().map(ToString::to_string);
                assert!(
                    help.is_some_and(|help| help.len() <= 72),
                    "{}",
                    value.get_name()
                );
            }
        }
    }
}

#[test]
fn s_may_be_repeated_or_carry_its_level() {
    use SymbolizeLevel::{Inlines, Lines, None};
    assert_eq!(read("-c bpf").unwrap().symbolization.levels, []);
    assert_eq!(read("-c bpf -s").unwrap().symbolization.levels, [Lines]);
    assert_eq!(read("-ss -c bpf").unwrap().symbolization.levels, [Inlines]);
    assert_eq!(
        read("-s -s -c bpf").unwrap().symbolization.levels,
        [Lines, Lines]
    );
    assert_eq!(read("-sn -c bpf").unwrap().symbolization.levels, [None]);
    assert_eq!(read("-s -c bpf -v").unwrap().symbolization.levels, [Lines]);
}

#[test]
fn pids_and_names_are_comma_lists_and_repeatable() {
    let targeting = read("-p 1,2 -p 3 -n a,b -N c").unwrap().targeting;
    assert_eq!(targeting.pids, [Pid(1), Pid(2), Pid(3)]);
    let names: Vec<_> = targeting.comms.iter().map(Comm::as_str).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn errnos_may_start_with_a_minus() {
    let filtering = read("-x -EINVAL,-2 -X ENOENT").unwrap().filtering;
    assert_eq!(filtering.errors[0].errnos().count(), 2);
    assert_eq!(filtering.no_errors[0].errnos().count(), 1);
}

#[test]
fn long_options_of_the_reference_are_understood() {
    let cli = read("--success-stacks --allow-errors EIO --deny-errors EPERM -F").unwrap();
    assert!(cli.filtering.success && cli.modes.fentry);
    assert_eq!(
        (cli.filtering.errors.len(), cli.filtering.no_errors.len()),
        (1, 1)
    );
    assert!(read("--kprobes-multi").unwrap().modes.kprobe_multi);
}

#[test]
fn the_ring_buffer_is_a_power_of_two() {
    assert_eq!(read("-c bpf").unwrap().advanced.ringbuf_size.bytes, 8 << 20);
    assert_eq!(
        read("--ringbuf-size 5")
            .unwrap()
            .advanced
            .ringbuf_size
            .bytes,
        8 << 20
    );
    assert_eq!(
        read("--ringbuf-size 1024")
            .unwrap()
            .advanced
            .ringbuf_size
            .bytes,
        1 << 30
    );
}

#[test]
fn a_value_that_makes_no_sense_is_told_with_its_option() {
    assert_eq!(
        message("-p abc"),
        "invalid value 'abc' for '--pid <PID>': a process id is a number"
    );
    assert_eq!(
        message("-p 0"),
        "invalid value '0' for '--pid <PID>': process ids start at 1"
    );
    assert_eq!(
        message("-x EINVL"),
        "invalid value 'EINVL' for '--errors <ERRNO>': no errno of this name; similar: EINVAL"
    );
    assert_eq!(
        message("-n a-very-long-program"),
        "invalid value 'a-very-long-program' for '--comm <COMM>': the kernel keeps 15 bytes of a \
         name: write `a-very-long-pro`"
    );
    assert_eq!(
        message("-e **"),
        "invalid value '**' for '--entry <GLOB>': `**` is no more than `*` here: write one"
    );
    assert_eq!(
        message("-L fast"),
        "invalid value 'fast' for '--longer <TIME>': a time is a number and a unit: \
         500us, 1.5ms, 2s, 5m"
    );
    assert_eq!(
        message("--max-events 0"),
        "invalid value '0' for '--max-events <N>': at least 1"
    );
    assert!(
        message("-M -F").contains("cannot be used with"),
        "{}",
        message("-M -F")
    );
}

#[test]
fn options_of_other_programs_say_what_is_used_here() {
    for option in [
        "-T",
        "-A",
        "-R",
        "--lbr",
        "--trace",
        "--capture-args",
        "-f",
        "-t",
    ] {
        let error = read(&format!("-c fs {option}")).unwrap_err();
        assert!(error.message.contains("is not there"), "{}", error.message);
        assert!(
            error.hint.is_some_and(|hint| hint != "see `--help`"),
            "{option}"
        );
    }
    let hint = read("-c fs cat /etc/shadow").unwrap_err().hint.unwrap();
    assert!(hint.starts_with("a command goes after `--`"), "{hint}");
}

#[test]
fn use_cases_may_be_a_comma_list() {
    let cases = read("-c fs,net -c bpf").unwrap().targeting.cases;
    assert_eq!(cases, ["fs", "net", "bpf"]);
}

#[test]
fn an_unknown_option_is_told_with_a_similar_one() {
    let error = read("--entri x").unwrap_err();
    assert_eq!(error.message, "unexpected argument '--entri' found");
    assert_eq!(
        error.hint.as_deref(),
        Some("a similar option is `--entry`; see `--help`")
    );
    assert_eq!(
        read("--qqq").unwrap_err().hint.as_deref(),
        Some("see `--help`")
    );
}

#[test]
fn an_unknown_value_is_told_with_the_possible_ones() {
    let error = read("--color sometimes").unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some("possible values: auto, always, never")
    );
}

#[test]
fn manual_page_and_completions_can_be_made() {
    for (what, has) in [
        (super::Generated::Man, ".TH retsnoop\\-rs"),
        (super::Generated::Bash, "_retsnoop__rs"),
        (super::Generated::Zsh, "#compdef retsnoop-rs"),
        (super::Generated::Fish, "complete -c retsnoop-rs"),
    ] {
        let mut out = Vec::new();
        super::generate(what, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(has), "{has}: {text}");
    }
}
