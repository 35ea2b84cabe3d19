// SPDX-License-Identifier: BSD-2-Clause
//! The back ends: the same answer from each, and an error for those that a kernel has not.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use retsnoop_rs::capture::Recording;
use retsnoop_rs::events::{self, Event};
use retsnoop_rs::spec::EntryReason;
use serde_json::Value;

use super::harness::{Trace, attaches_slowly, kernel, run};
use super::sys;
use super::view::Session;

const BACKENDS: [&str; 6] = [
    "tracing-multi",
    "fentry-multi",
    "kprobe-session",
    "kprobe-multi",
    "fentry",
    "kprobe",
];

/// Whether a kernel of the matrix has a back end. Debian's 6.1 is built without fprobe.
fn is_offered(backend: &str) -> bool {
    match backend {
        "tracing-multi" | "fentry-multi" => kernel() == "newest",
        "kprobe-session" | "kprobe-multi" => !matches!(kernel().as_str(), "5.10" | "6.1"),
        _ => true,
    }
}

fn traced_with(backend: &str) -> (Vec<String>, String, String) {
    let trace = Trace::start(&[
        "-e",
        "*_sys_bpf",
        "-a",
        "map_create",
        "-a",
        "array_map_alloc*",
        "-sn",
        "-n",
        "simfail",
        "--backend",
        backend,
    ]);
    trace.simfail(&["bpf-map-value-size"]);
    let report = trace.finish();
    let session = report.only("simfail");
    (
        session.chain().iter().map(|&f| f.to_owned()).collect(),
        session.culprit().to_owned(),
        session.result().to_owned(),
    )
}

#[test]
fn every_back_end_shows_the_same_chain_and_culprit() {
    let expected = traced_with("fentry");
    assert_eq!(expected.1, "array_map_alloc_check");
    for backend in BACKENDS.into_iter().filter(|b| is_offered(b)) {
        assert_eq!(traced_with(backend), expected, "{backend}");
    }
}

/// On 5.10 the outermost row was `elfcorehdr_read+0x40`: the function before the trampoline of
/// kretprobes, which stands in the stack for the caller.
#[test]
fn the_outermost_row_is_the_systems_entry_or_the_entry_function() {
    for backend in BACKENDS.into_iter().filter(|b| is_offered(b)) {
        let trace = Trace::start(&[
            "-e",
            "__x64_sys_bpf",
            "-sn",
            "-n",
            "simfail",
            "--backend",
            backend,
        ]);
        trace.simfail(&["bpf-cmd"]);
        let report = trace.finish();
        let rows = report.only("simfail").stack().iter();
        let shown: Vec<&Value> = rows.filter(|row| row["tracer"] == false).collect();
        let first = shown[0]["function"].as_str().unwrap();
        assert!(
            first.starts_with("entry_SYSCALL_64") || first == "__x64_sys_bpf",
            "{backend}: {shown:#?}"
        );
    }
}

/// Programs have their BTF: the kernel lists functions of programs by names, not as `F`.
#[test]
fn the_kernel_names_our_programs_after_their_functions() {
    for backend in BACKENDS.into_iter().filter(|b| is_offered(b)) {
        let options = ["-sn", "-n", "simfail", "--backend", backend];
        let trace = Trace::start(&[&["-e", "__x64_sys_bpf"], &options[..]].concat());
        let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
        let listed: BTreeSet<&str> = symbols
            .lines()
            .filter_map(|line| line.split_once(" bpf_prog_")?.1.split('\t').next())
            .filter_map(|name| Some(name.split_once('_')?.1))
            .collect();
        let own = match backend {
            "tracing-multi" => "retsnoop_tracing_session",
            "fentry-multi" => "retsnoop_tracing_entry",
            "kprobe-session" => "retsnoop_session_opening",
            "kprobe-multi" | "kprobe" => "retsnoop_kprobe_opening",
            _ => "retsnoop_trampoline_entry",
        };
        for name in [own, "finish_session"] {
            assert!(listed.contains(name), "{backend}, {name}: {listed:?}");
        }
        assert!(!listed.contains("F"), "{backend}: {listed:?}");
        trace.simfail(&["bpf-cmd"]);
        let report = trace.finish();
        for row in report.only("simfail").stack() {
            let of_program = row["function"]
                .as_str()
                .is_some_and(|name| name.starts_with("bpf_prog_"));
            assert!(!of_program || row["tracer"] == true, "{backend}: {row}");
        }
    }
}

/// What is called next has its tag from a cache: the reason is there, too.
#[test]
fn every_back_end_sends_why_a_session_was_opened() {
    const TIMES: usize = 3;
    for backend in BACKENDS.into_iter().filter(|b| is_offered(b)) {
        let path = format!("/tmp/reasons-{}", sys::unique());
        let options = ["-n", "simfail", "--backend", backend, "--record-raw", &path];
        let trace = Trace::start(&[&["-e", "__x64_sys_bpf", "-sn"], &options[..]].concat());
        for _ in 0..TIMES {
            trace.simfail(&["bpf-cmd"]);
        }
        assert_eq!(trace.finish().of("simfail").len(), TIMES, "{backend}");
        let recording = Recording::from_json(&fs::read(&path).unwrap()).unwrap();
        let reasons: Vec<u16> = recording
            .records()
            .unwrap()
            .iter()
            .filter_map(|record| match events::decode(record) {
                Ok(Event::Session(session)) => Some(session.reason),
                _ => None,
            })
            .collect();
        let syscall = u16::from(EntryReason::SystemCall.to_wire());
        assert_eq!(reasons, [syscall; TIMES], "{backend}");
    }
}

/// On a new kernel an optimization may be the reason of a fault: what is shown is the same without.
#[test]
fn without_an_optimization_the_same_is_shown() {
    let option = match kernel().as_str() {
        "5.10" => "--no-shared",
        "6.1" | "newest" => "--no-kcore",
        _ => "--no-specialize",
    };
    let functions = if attaches_slowly() {
        // So many that sharing pays.
        "{bpf_map_*,map_*,array_map_*}"
    } else {
        "{bpf_*,map_*,array_map_*,htab_*}"
    };
    let shown = |options: &[&str]| {
        let arguments: &[&str] = &[
            "-e",
            "*_sys_bpf",
            "-a",
            functions,
            "--all-matching",
            "--no-cache",
            "-sn",
            "-n",
            "simfail",
        ];
        let trace = Trace::start(&[arguments, options].concat());
        trace.simfail(&["bpf-cmd", "bpf-map-type"]);
        let report = trace.finish();
        let sessions = report.of("simfail");
        let said = |session: &&Session| (session.chain().join(" "), session.culprit().to_owned());
        (
            report.summary.count("functions"),
            sessions.iter().map(said).collect::<Vec<_>>(),
        )
    };
    let expected = shown(&[]);
    assert_eq!(expected.1.len(), 2);
    assert_eq!(shown(&[option]), expected, "{option}");
}

/// The line of a call whose failure was handled: from the return address, which each back end
/// finds in another place.
#[test]
fn every_back_end_knows_where_a_handled_failure_was_called() {
    let called_at = |backend: &str| {
        let functions = [
            "-e",
            "do_fil*_open",
            "-a",
            "d_lookup",
            "-a",
            "d_alloc_parallel",
        ];
        let trace =
            Trace::start(&[&functions[..], &["-n", "simfail", "--backend", backend]].concat());
        trace.simfail(&["open-missing"]);
        let report = trace.finish();
        let sessions = report.of("simfail");
        let failed = sessions.iter().find(|s| s.result() == "-ENOENT").unwrap();
        failed.handled_places()
    };
    let expected = called_at("fentry");
    assert!(
        expected.iter().any(|place| place.contains("fs/")),
        "{expected:?}"
    );
    for backend in BACKENDS.into_iter().filter(|b| is_offered(b)) {
        // Before 5.16 the trampoline of kretprobes hides the address.
        if (backend, kernel().as_str()) != ("kprobe", "5.10") {
            assert_eq!(called_at(backend), expected, "{backend}");
        }
    }
}

#[test]
fn a_back_end_that_the_kernel_lacks_is_an_error_with_a_hint() {
    for backend in BACKENDS {
        let ended = run(&["-e", "*_sys_bpf", "--backend", backend, "--dry-run"]);
        if is_offered(backend) {
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            let said = format!("with back end {backend}");
            assert!(ended.stdout.contains(&said), "{}", ended.stdout);
        } else {
            let stderr = ended.failed(1);
            assert!(stderr.contains(&format!("`{backend}`")), "{stderr}");
            assert!(stderr.contains("hint: "), "{stderr}");
        }
    }
}

#[test]
fn the_feature_report_names_the_back_end_that_is_chosen() {
    // Newest kernels preempt programs of trampolines, and miss calls of others meanwhile.
    let by_merit = ["kprobe-session", "fentry"];
    let best = by_merit.into_iter().find(|b| is_offered(b)).unwrap();
    let ended = run(&["-Vv"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let said = format!("chosen back end: {best}");
    assert!(ended.stdout.contains(&said), "{}", ended.stdout);
}

/// Calls one system call all the time, until there is a file, and then makes another one fail.
const BUSY_THEN_FAILS: &str = r#"
import os, sys
while not os.path.exists(sys.argv[1]):
    for _ in range(10000): os.getppid()
os.mkdir("/proc/no-such")
"#;

#[test]
fn tracepoints_stand_for_system_calls_where_functions_are_attached_one_by_one() {
    let told = "by sys_enter: all system calls at once";
    let failed = "mkdir(\"/proc/no-such\"";
    let ended = run(&[
        "-v",
        "-e",
        "*_sys_mkdir",
        "-sn",
        "--",
        "mkdir",
        "/proc/no-such",
    ]);
    assert_eq!(
        ended.stderr.contains(told),
        attaches_slowly(),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains(failed), "{}", ended.stderr);
    // A call that is made too often is not traced any more, and the others are.
    let file = format!("/tmp/busy-{}", sys::unique());
    let entries = ["-e", "*_sys_mkdir", "-e", "*64_sys_getppid", "-sn"];
    let limit = ["--max-rate", "500", "--"];
    let command = ["python3", "-c", BUSY_THEN_FAILS, &file];
    let trace = Trace::start_text(&[&entries[..], &limit, &command].concat());
    trace.wait_until_said("detached from __x64_sys_getppid");
    fs::write(&file, "").unwrap();
    let ended = trace.wait();
    assert!(ended.stderr.contains(failed), "{}", ended.stderr);
    // A back end that was asked for is the only one.
    let asked = [
        "-v",
        "--backend",
        "fentry",
        "-e",
        "*64_sys_mkdir",
        "-sn",
        "--",
    ];
    let ended = run(&[&asked[..], &["mkdir", "/proc/no-such"]].concat());
    assert!(!ended.stderr.contains(told), "{}", ended.stderr);
    assert!(ended.stderr.contains(failed), "{}", ended.stderr);
}

/// Writes a program of 32 bits that exits at once: `mov eax, 1; xor ebx, ebx; int 0x80`.
const MAKE_32_BITS: &str = r#"
import os, struct, sys
code = bytes.fromhex("b80100000031dbcd80")
base, size = 0x8048000, 52 + 32
header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack(
    "<HHIIIIIHHHHHH", 2, 3, 1, base + size, 52, 0, 0, 52, 32, 1, 0, 0, 0)
segment = struct.pack("<IIIIIIII", 1, 0, base, base, size + len(code), size + len(code), 5, 4096)
with open(sys.argv[1], "wb") as file: file.write(header + segment + code)
os.chmod(sys.argv[1], 0o755)
"#;

#[test]
fn a_call_that_executes_a_program_of_32_bits_ends_its_session() {
    let [file, out] = ["bits", "report"].map(|name| format!("/tmp/{name}-{}", sys::unique()));
    let made = Command::new("python3")
        .args(["-c", MAKE_32_BITS, &file])
        .status();
    assert!(made.unwrap().success());
    let script = format!("{file} && {file} && echo both");
    let ended = run(&[
        "--json",
        "-o",
        &out,
        "-e",
        "*64_sys_execve",
        "-sn",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    assert_eq!(ended.stdout, "both\n", "{}", ended.stderr);
    let said = fs::read_to_string(&out).unwrap();
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(summary["succeeded"].as_u64() >= Some(2), "{summary}");
    let dropped = summary["dropped"].as_object().unwrap();
    assert!(dropped.values().all(|n| *n == 0), "{summary}");
    assert_eq!(summary["open_at_end"], 0, "{summary}");
}
