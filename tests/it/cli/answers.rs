// SPDX-License-Identifier: BSD-2-Clause
//! What it answers to command lines that ask for help, make no sense, or cannot be served.

use std::fs;
use std::process::Stdio;

use super::golden::{check, repository};
use super::program::{Stage, output, transcript};

/// Name of the golden file, and the command line.
const ANSWERS: &[(&str, &[&str])] = &[
    // Asked about itself.
    ("help", &["--help"]),
    ("help_short", &["-h"]),
    ("version", &["-V"]),
    ("cases", &["-c", "help"]),
    ("cases_directory", &["--cases-dir", "cases", "-c", "help"]),
    // Options.
    ("nothing", &[]),
    ("unknown_option", &["--entri", "vfs_*"]),
    ("unknown_short_option", &["-Z"]),
    ("argument_without_option", &["vfs_read"]),
    ("missing_value", &["-e"]),
    // Use cases.
    ("unknown_case", &["-c", "bfp"]),
    ("unknown_case_far", &["-c", "quantum"]),
    (
        "missing_cases_directory",
        &["--cases-dir", "missing", "-c", "bpf"],
    ),
    ("broken_case", &["--cases-dir", "cases", "-c", "broken"]),
    (
        "case_without_entry",
        &["--cases-dir", "cases", "-c", "empty"],
    ),
    // Globs.
    ("no_entry", &["-a", "vfs_*"]),
    ("empty_glob", &["-e", ""]),
    ("double_star", &["-e", "**"]),
    ("open_class", &["-e", "vfs_[ab"]),
    ("impossible_glob", &["-e", "main()"]),
    ("source_path_without_colon", &["-e", "fs/open.c"]),
    ("module_without_brackets", &["-e", "xfs_* xfs"]),
    ("source_glob", &["-e", "*_sys_bpf", "-a", ":kernel/bpf/*.c"]),
    ("missing_file", &["-e", "@missing"]),
    ("unnamed_file", &["-e", "@"]),
    ("empty_file", &["-e", "f", "-a", "@empty"]),
    ("bad_file", &["-e", "f", "-d", "@bad"]),
    ("binary_file", &["-e", "@binary"]),
    // Processes and threads.
    ("pid_text", &["-c", "bpf", "-p", "abc"]),
    ("pid_zero", &["-c", "bpf", "-p", "0"]),
    ("pid_too_large", &["-c", "bpf", "-p", "4194305"]),
    ("pid_both", &["-c", "bpf", "-p", "12,34", "-P", "34"]),
    // `PID_MAX_LIMIT` itself is never given out.
    ("pid_dead", &["-c", "bpf", "-p", "4194304"]),
    ("comm_too_long", &["-c", "bpf", "-n", "a-very-long-program"]),
    ("comm_both", &["-c", "bpf", "-n", "cat", "-N", "cat"]),
    // What is shown.
    ("unknown_errno", &["-c", "bpf", "-x", "EINVL"]),
    ("errno_out_of_range", &["-c", "bpf", "-x", "4096"]),
    ("errno_both", &["-c", "bpf", "-x", "EPERM,-22", "-X", "22"]),
    ("longer_text", &["-c", "bpf", "-L", "fast"]),
    ("longer_unit", &["-c", "bpf", "-L", "5h"]),
    ("duration_zero", &["-c", "bpf", "--duration", "0"]),
    ("duration_text", &["-c", "bpf", "--duration", "soon"]),
    ("symbolize_level", &["-c", "bpf", "-sx"]),
    ("max_events_zero", &["-c", "bpf", "--max-events", "0"]),
    ("color", &["-c", "bpf", "--color", "sometimes"]),
    // How to trace.
    ("backends", &["-c", "bpf", "-M", "-F"]),
    ("backend_twice", &["-c", "bpf", "-F", "--backend", "fentry"]),
    ("backend_unknown", &["-c", "bpf", "--backend", "ebpf"]),
    ("kprobes", &["-c", "bpf", "-K", "--backend", "kprobe"]),
    ("ring_buffer", &["-c", "bpf", "--ringbuf-size", "0"]),
    ("max_depth", &["-c", "bpf", "--max-depth", "65"]),
    ("max_rate_text", &["-c", "bpf", "--max-rate", "often"]),
    ("budget_text", &["-c", "bpf", "--budget", "little"]),
    ("budget_zero", &["-c", "bpf", "--budget", "0%"]),
    ("budget_too_large", &["-c", "bpf", "--budget", "101%"]),
    ("force_case", &["-c", "bpf", "--force"]),
    (
        "force_glob",
        &["-e", "*_sys_bpf", "-a", "migrate_*", "--force"],
    ),
    // A command to trace: an error of ours must not be taken for its exit status.
    ("command", &["-c", "bpf", "--", "cat", "/etc/hosts"]),
    ("command_missing", &["-c", "bpf", "--"]),
    ("command_and_pid", &["-c", "bpf", "-p", "1", "--", "ls"]),
    ("command_usage", &["-c", "bfp", "--", "ls"]),
    (
        "command_unknown_user",
        &["-c", "bpf", "--user", "no-such-user", "--", "ls"],
    ),
    (
        "command_no_invoker",
        &["-c", "bpf", "--as-invoker", "--", "ls"],
    ),
    (
        "command_two_users",
        &["-c", "bpf", "--as-invoker", "--user", "x", "--", "ls"],
    ),
    ("timeout_alone", &["-c", "bpf", "--timeout", "5s"]),
    ("timeout_zero", &["-c", "bpf", "--timeout", "0", "--", "ls"]),
    ("user_alone", &["-c", "bpf", "--user", "root"]),
    // Processes by other things.
    ("follow_alone", &["-c", "bpf", "--follow"]),
    ("netns_text", &["-c", "bpf", "--netns", "first"]),
    ("uid_missing", &["-c", "bpf", "--uid", "!"]),
    ("uid_both", &["-c", "bpf", "--uid", "0,!0"]),
    ("containers_glob", &["list", "containers", "web*"]),
    // An output file.
    ("append_alone", &["-c", "bpf", "--append"]),
    ("keep_alone", &["-c", "bpf", "-o", "out", "--keep", "3"]),
    (
        "max_size_unit",
        &["-c", "bpf", "-o", "out", "--max-size", "5T"],
    ),
    (
        "max_size_small",
        &["-c", "bpf", "-o", "out", "--max-size", "100"],
    ),
    // The flight recorder.
    ("flight_size_text", &["-c", "bpf", "--flight=much"]),
    ("flight_size_unit", &["-c", "bpf", "--flight=1T"]),
    ("flight_size_small", &["-c", "bpf", "--flight=4K"]),
    ("flight_size_large", &["-c", "bpf", "--flight=3G"]),
    ("flight_size_apart", &["-c", "bpf", "--flight", "64M"]),
    ("dump_on_alone", &["-c", "bpf", "--dump-on", "error"]),
    ("dump_after_alone", &["-c", "bpf", "--dump-after", "3"]),
    (
        "dump_after_zero",
        &["-c", "bpf", "--flight", "--dump-after", "0"],
    ),
    (
        "dump_on_unknown",
        &["-c", "bpf", "--flight", "--dump-on", "exit"],
    ),
    (
        "dump_on_without_glob",
        &["-c", "bpf", "--flight", "--dump-on", "error:=EPERM"],
    ),
    (
        "dump_on_errno",
        &["-c", "bpf", "--flight", "--dump-on", "error:map_*=EINVL"],
    ),
    (
        "dump_on_errno_number",
        &["-c", "bpf", "--flight", "--dump-on", "error:map_*=5000"],
    ),
    // Verdicts on commands.
    ("only_unknown", &["--only", "opnat", "--", "true"]),
    ("only_without_name", &["--only", "!", "--", "true"]),
    (
        "only_without_arguments",
        &["--only", "openat", "--no-args", "--", "true"],
    ),
    ("all_of_case", &["-c", "bpf", "--all", "--", "true"]),
    ("stream_of_glob", &["-e", "f", "--stream", "--", "true"]),
    ("again_of_case", &["-c", "bpf", "--again", "--", "true"]),
    ("again_alone", &["-p", "1", "--again"]),
    ("again_zero", &["--again=0", "--", "true"]),
    ("again_stream", &["--again", "--stream", "--", "true"]),
    ("oneline_json", &["--oneline", "--json", "--", "true"]),
    // Modules that are not loaded yet.
    ("on_load_empty", &["--on-load", ""]),
    ("on_load_glob", &["--on-load", "xf*"]),
    ("on_load_file_without_path", &["--on-load", "mine.ko"]),
    (
        "on_load_recorded",
        &["--on-load", "xfs", "--record-raw", "run"],
    ),
    // Commands.
    ("doctor_help", &["doctor", "--help"]),
    ("doctor_argument", &["doctor", "bpf"]),
    ("doctor_among_options", &["-c", "bpf", "doctor"]),
    ("unknown_command", &["docter"]),
    ("list_help", &["list", "--help"]),
    ("list_nothing", &["list"]),
    ("list_unknown", &["list", "modules"]),
    ("list_no_glob", &["list", "functions"]),
    ("list_bad_glob", &["list", "functions", "vfs_[ab"]),
    ("list_missing_file", &["list", "functions", "@missing"]),
    ("list_source_glob", &["list", "functions", ":fs/open.c"]),
    ("list_usdt_nothing", &["list", "usdt"]),
    ("list_usdt_source", &["list", "usdt", "-s", "libc"]),
    ("list_usdt_pid", &["list", "usdt", "0"]),
    ("list_usdt_missing", &["list", "usdt", "/nosuch/file"]),
    ("usdt_glob", &["-e", "usdt:app:start"]),
    (
        "list_image_alone",
        &["list", "functions", "vfs_*", "-k", "x"],
    ),
    ("symbolize_help", &["symbolize", "--help"]),
    ("symbolize_bad_address", &["symbolize", "12g"]),
    ("symbolize_bad_place", &["symbolize", "-k", "x", "a+x"]),
    (
        "symbolize_bad_base",
        &["symbolize", "-k", "x", "--base", "text", "0"],
    ),
    ("symbolize_base_alone", &["symbolize", "--base", "0", "0"]),
    (
        "symbolize_missing_image",
        &["symbolize", "-k", "missing", "ffffffff81000000"],
    ),
    (
        "symbolize_no_image",
        &["symbolize", "-k", "binary", "ffffffff81000000"],
    ),
    // As a user without privileges.
    (
        "symbolize_no_privileges",
        &["symbolize", "ffffffff81000000"],
    ),
    ("no_privileges", &["-c", "bpf"]),
    ("no_privileges_dry_run", &["-e", "@globs", "--dry-run"]),
];

#[test]
fn every_answer_is_the_expected_one() {
    let stage = Stage::new();
    for (name, arguments) in ANSWERS {
        let output = stage.run(arguments);
        let path = format!("tests/golden/cli/{name}.txt");
        check(&path, &transcript(arguments, &output));
    }
}

#[test]
fn a_command_that_reads_a_pipe_does_not_run_again() {
    let stage = Stage::new();
    let mut command = stage.command(&["--again", "--", "cat"]);
    let output = output(command.stdin(Stdio::piped()));
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("stdin is a pipe"), "{stderr}");
    assert!(stderr.contains("hint: give it `</dev/null`"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_error_is_told_once_on_stderr_and_by_the_exit_code() {
    let stage = Stage::new();
    for (name, arguments) in ANSWERS {
        let output = stage.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let errors = stderr.matches("retsnoop-rs: error: ").count();
        match output.status.code() {
            Some(0) => assert_eq!((errors, stderr.as_str()), (0, ""), "{name}"),
            Some(1 | 2 | 125) => {
                assert_eq!(errors, 1, "{name}: {stderr}");
                assert!(output.stdout.is_empty(), "{name} wrote to stdout");
                let lines = stderr.lines().count();
                assert!(lines <= 2, "{name}: an error and a hint, no more: {stderr}");
            }
            other => panic!("{name}: exit {other:?}"),
        }
    }
}

#[test]
fn no_golden_file_is_left_over() {
    let folder = repository("tests/golden/cli");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let known = ANSWERS.iter().any(|(name, _)| *name == stem);
        assert!(known, "no command line has the answer `{}`", path.display());
    }
}
