// SPDX-License-Identifier: BSD-2-Clause
//! Functions of executables and libraries as entry and inner functions. Those of this very test are
//! traced.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::ptr;
use std::thread;
use std::time::Instant;

use retsnoop_rs::app::replay;
use retsnoop_rs::capture::Recording;
use retsnoop_rs::config::OutputFormat;
use serde_json::Value;

use super::harness::{Report, Trace, kernel, program, run, simfail_program};
use super::sys;

const EBADF: i32 = -9;

/// As a program that hides what went wrong below.
#[inline(never)]
fn outer() -> i32 {
    if black_box(middle()) == EBADF { -5 } else { 0 }
}

#[inline(never)]
fn middle() -> i32 {
    let failed = black_box(sys::fail_close()) == -1;
    if failed { EBADF } else { 0 }
}

#[inline(never)]
fn lookup(is_there: bool) -> *const u8 {
    black_box(if is_there { b"x".as_ptr() } else { ptr::null() })
}

#[inline(never)]
fn check(is_right: bool) -> bool {
    black_box(is_right)
}

#[inline(never)]
fn minus_one(fails: bool) -> i64 {
    black_box(if fails { -1 } else { 17 })
}

fn own_pid() -> String {
    process::id().to_string()
}

/// A glob of functions of this file, by its process.
fn ours(names: &str) -> String {
    format!("p:{}:*user_functions::{names}", process::id())
}

fn traced(arguments: &[&str], workload: impl FnOnce()) -> Report {
    let pid = own_pid();
    let trace = Trace::start(&[arguments, &["-sn", "-p", &pid]].concat());
    workload();
    trace.finish()
}

#[test]
fn a_failing_system_call_in_a_failing_user_function_is_one_session() {
    let (outer_glob, middle_glob) = (ours("outer:int"), ours("middle:int"));
    let arguments = ["-e", &outer_glob, "-a", &middle_glob, "-e", "*_sys_close"];
    let report = traced(&arguments, || assert_eq!(outer(), -5));
    assert_eq!(report.sessions.len(), 1, "{:#?}", report.sessions);
    let session = &report.sessions[0];
    let chain: Vec<&str> = session
        .chain()
        .iter()
        .map(|name| name.rsplit("::").next().unwrap())
        .collect();
    assert_eq!(chain, ["outer", "middle", "__x64_sys_close"]);
    assert_eq!(session.result(), "-EIO");
    assert_eq!(session.culprit(), "__x64_sys_close");
    session.assert_orderly();
    // User functions are above everything that the kernel did.
    let stack = session.stack();
    assert_eq!(stack[0]["chain_index"], 0);
    assert_eq!(stack[1]["chain_index"], 1);
    assert!(stack[0]["module"].as_str().unwrap().starts_with("it"));
    assert_eq!(session.loss("missing_stacks"), 0);
}

#[test]
fn results_are_judged_as_the_glob_says() {
    let globs = [
        ours("lookup:ptr"),
        ours("check:bool"),
        ours("minus_one:neg1"),
    ];
    let arguments: Vec<&str> = globs.iter().flat_map(|glob| ["-e", glob]).collect();
    let report = traced(&arguments, || {
        for fails in [false, true] {
            lookup(!fails);
            check(!fails);
            minus_one(fails);
        }
    });
    let results: Vec<&str> = report.sessions.iter().map(|s| s.result()).collect();
    assert_eq!(results, ["NULL", "false", "-1"]);
    assert_eq!(report.summary.count("succeeded"), 3);
}

/// Without a type, `-1` is a failure, and NULL is none.
#[test]
fn without_a_type_minus_one_and_errnos_are_failures() {
    let glob = ours("{lookup,minus_one,middle}");
    let report = traced(&["-e", &glob], || {
        lookup(false);
        minus_one(true);
        middle();
    });
    let results: Vec<&str> = report.sessions.iter().map(|s| s.result()).collect();
    assert_eq!(results, ["-1", "-EBADF"]);
}

#[test]
fn functions_of_a_library_are_traced_in_every_process() {
    let trace = Trace::start(&["-e", "u:libc:{open64,openat64}:neg1", "-sn", "-n", "cat"]);
    let cat = Command::new("cat")
        .arg("/nosuch")
        .stderr(Stdio::null())
        .status();
    assert!(!cat.unwrap().success());
    let report = trace.finish();
    let session = report.only("cat");
    // The errno is that of the thread.
    assert_eq!(session.result(), "-1 ENOENT");
    assert_eq!(session.0["entry"]["errno"], 2);
    assert_eq!(session.0["entry"]["raw"], "0xffffffff");
    assert_eq!(session.stack()[0]["module"], "libc.so.6");
}

/// Threads have different thread pointers, and one place in the library leads to the errno of each.
#[test]
fn the_errno_of_the_c_library_is_that_of_the_thread() {
    let fail = |number: u32| {
        let fails = move || {
            if number.is_multiple_of(2) {
                sys::fail_close();
            } else {
                assert!(fs::remove_dir("/nosuch").is_err());
            }
        };
        thread::spawn(fails).join().unwrap();
    };
    let globs = [
        "-e",
        "u:libc:{close,__close}:neg1",
        "-e",
        "u:libc:rmdir:neg1",
    ];
    let report = traced(&globs, || (0..4).for_each(fail));
    let results: Vec<&str> = report.sessions.iter().map(|s| s.result()).collect();
    assert_eq!(results, ["-1 EBADF", "-1 ENOENT", "-1 EBADF", "-1 ENOENT"]);
}

/// The same function by two paths and by the process: a failure was to be shown once, not thrice.
#[test]
fn a_file_with_several_names_is_probed_once() {
    let exe = fs::canonicalize("/proc/self/exe").unwrap();
    let link = PathBuf::from(format!("/tmp/link-{}", sys::unique()));
    std::os::unix::fs::symlink(&exe, &link).unwrap();
    let globs = [
        ours("middle:int"),
        format!("u:{}:*user_functions::middle:int", exe.display()),
        format!("u:{}:*user_functions::middle:int", link.display()),
    ];
    let arguments: Vec<&str> = globs.iter().flat_map(|glob| ["-e", glob]).collect();
    let report = traced(&arguments, || {
        middle();
    });
    assert_eq!(report.sessions.len(), 1, "{:#?}", report.sessions);
    fs::remove_file(link).unwrap();
}

/// The test program, and a library that it finds by its RUNPATH only.
fn program_with_library(directory: &Path) -> String {
    let run = |arguments: &[&str]| {
        let mut gcc = Command::new("gcc");
        let ended = gcc.current_dir(directory).args(arguments).status();
        assert!(ended.unwrap().success(), "{arguments:?}");
    };
    fs::create_dir_all(directory.join("lib")).unwrap();
    let library = "#include <unistd.h>\nint lose(void) { return close(-1) ? -9 : 0; }\n";
    fs::write(directory.join("lose.c"), library).unwrap();
    let program = "#include <unistd.h>\nint lose(void);\n\
        int main(int n, char **v) { int lost = lose(); if (n > 1) sleep(100); return lost == 0; }\n";
    fs::write(directory.join("main.c"), program).unwrap();
    run(&[
        "-shared",
        "-fPIC",
        "-Wl,-soname,liblose.so.1",
        "-o",
        "lib/liblose.so.1",
        "lose.c",
    ]);
    let rpath = "-Wl,-rpath,$ORIGIN/lib,--enable-new-dtags";
    run(&["-o", "loses", "main.c", "lib/liblose.so.1", rpath]);
    directory.join("loses").display().to_string()
}

fn assert_lost(report: &Report) {
    assert_eq!(report.sessions.len(), 1, "{:#?}", report.sessions);
    let session = &report.sessions[0];
    assert_eq!(session.chain(), ["lose", "__x64_sys_close"]);
    assert_eq!(session.result(), "-EBADF");
    assert_eq!(session.stack()[0]["module"], "liblose.so.1");
}

#[test]
fn a_library_is_found_by_the_runpath_of_the_command() {
    let directory = PathBuf::from(format!("/tmp/runpath-{}", sys::unique()));
    let path = program_with_library(&directory);
    let globs: &[&str] = &["-e", "u:liblose:lose:int", "-e", "*_sys_close", "-sn"];
    let file = directory.join("sessions").display().to_string();
    let arguments = [globs, &["--json", "-o", &file, "--", &path][..]].concat();
    let mut ended = run(&arguments);
    ended.stdout = fs::read_to_string(&file).unwrap();
    assert_lost(&ended.report());
    // Without the command nobody tells where the library is.
    let said = run(&globs[..2]).failed(1);
    assert!(said.contains("no library or program `liblose`"), "{said}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_library_of_a_process_is_found_though_it_is_removed() {
    let directory = PathBuf::from(format!("/tmp/mapped-{}", sys::unique()));
    let path = program_with_library(&directory);
    let mut waiting = Command::new(&path).arg("wait").spawn().unwrap();
    let maps = format!("/proc/{}/maps", waiting.id());
    while !fs::read_to_string(&maps).unwrap().contains("liblose") {}
    fs::remove_file(directory.join("lib/liblose.so.1")).unwrap();
    let listed = run(&[
        "list",
        "functions",
        &format!("p:{}:liblose:lose", waiting.id()),
    ]);
    assert!(listed.stdout.contains("lose"), "{}", listed.stderr);
    let wrong = format!("p:{}:liblost:lose", waiting.id());
    let said = run(&["-e", &wrong]).failed(1);
    assert!(
        said.contains("has mapped no library `liblost`; similar: liblose.so.1"),
        "{said}"
    );
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let said = run(&["-e", &wrong]).failed(1);
    assert!(said.contains("there is no process"), "{said}");
    fs::remove_dir_all(directory).unwrap();
}

/// `execve` does not return when it succeeds: the failures of the new program were its callees, and
/// none was shown.
#[test]
fn a_program_that_replaces_another_has_sessions_of_its_own() {
    let trace = Trace::start(&["-e", "u:libc:execve:neg1", "-e", "*_sys_bpf", "-sn"]);
    let command = format!("exec {} bpf-cmd", simfail_program());
    let ended = Command::new("sh").args(["-c", &command]).status();
    assert!(ended.unwrap().success());
    let report = trace.finish();
    assert_eq!(report.only("simfail").entry(), "__x64_sys_bpf");
}

/// The first bytes of a function in memory: a probe replaces them.
fn code_of(function: fn() -> i32) -> [u8; 8] {
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut bytes = [0; 8];
    memory
        .seek(SeekFrom::Start(function as usize as u64))
        .unwrap();
    memory.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn kill_9_leaves_no_user_probe() {
    let before = code_of(middle);
    let glob = ours("middle:int");
    let trace = Trace::start(&["-e", &glob, "-sn", "-p", &own_pid()]);
    assert_ne!(code_of(middle), before);
    trace.signal(9);
    trace.wait();
    // The kernel closes the descriptors of a killed process after its parent knows of its end.
    let begun = Instant::now();
    while code_of(middle) != before {
        assert!(begun.elapsed().as_secs() < 60, "a probe is left");
    }
    assert_eq!(middle(), EBADF);
}

#[test]
fn a_back_end_for_user_functions_is_chosen_by_the_kernel() {
    let ended = run(&["-e", "u:libc:open64", "--dry-run"]);
    let expected = match kernel().as_str() {
        "5.10" | "6.1" => "back end uprobe,",
        _ => "back end uprobe-multi,",
    };
    assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("entry open64 [libc.so.6]"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_file_or_function_that_cannot_be_traced_is_told_with_the_reason() {
    for (glob, why) in [
        ("u:libc:getadrinfo", "similar: getaddrinfo"),
        ("u:libnosuch:f", "no library or program `libnosuch`"),
        ("u:/etc/passwd:f", "no ELF file"),
        ("u:/proc/self/maps:f", "no ELF file"),
        ("u:/dev/null:f", "failed to open `/dev/null`"),
        ("u:/etc:f", "failed to open `/etc`"),
        ("u:libc:setjmp", "depends on its return address"),
        ("p:2:f", "kernel thread"),
        ("p:4000000:f", "no process 4000000"),
    ] {
        let said = run(&["-e", glob]).failed(1);
        assert!(
            said.contains("no entry function to trace"),
            "{glob}: {said}"
        );
        assert!(said.contains(why), "{glob}: {said}");
    }
    // One that is not there does not keep the others from being traced.
    let arguments = ["-e", "u:libc:open64", "-a", "u:libc:nosuch", "--dry-run"];
    let ended = Trace::spawn(program(&arguments)).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let warning = "warning: `u:libc:nosuch`: libc.so.6 has no such function";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
}

#[test]
fn a_recorded_run_with_user_functions_is_replayed() {
    let file = format!("/tmp/recorded-{}", sys::unique());
    let glob = ours("middle:int");
    let arguments = ["-e", &glob, "-e", "*_sys_close", "--record-raw", &file];
    let report = traced(&arguments, || {
        middle();
    });
    let mut shown = Vec::new();
    let json = fs::read(&file).unwrap();
    let recording = Recording::from_json(&json).unwrap();
    let functions = recording.functions().unwrap();
    let of_user = functions
        .iter()
        .filter(|f| f.hook.user_function().is_some());
    assert_eq!(of_user.count(), 1);
    let replayed = replay(&recording, OutputFormat::Json, &mut shown).unwrap();
    assert_eq!((report.sessions.len(), replayed.shown), (1, 1));
    let again: Value = serde_json::from_slice(&shown).unwrap();
    let session = &report.sessions[0].0;
    for key in ["entry", "chain", "stack", "culprit"] {
        assert_eq!(again[key], session[key], "{key}");
    }
}

/// Where programs may be preempted, those of several tasks must not share a stack, and none may keep
/// another one out. One run in eight showed the latter.
#[test]
fn threads_that_fail_at_the_same_time_are_all_seen() {
    const PROGRAM: &str = r#"
#include <pthread.h>
#include <unistd.h>

__attribute__((noinline)) int lose(int fd)
{
	int result = close(fd);

	asm volatile("");
	return result;
}

static void *run(void *unused)
{
	for (int i = 0; i < 20; i++)
		lose(-1);
	return unused;
}

int main(void)
{
	pthread_t threads[20];

	for (int i = 0; i < 20; i++)
		pthread_create(&threads[i], 0, run, 0);
	for (int i = 0; i < 20; i++)
		pthread_join(threads[i], 0);
	return 0;
}
"#;
    let directory = tempfile::tempdir().unwrap();
    let program = crate::gcc::compile(directory.path(), PROGRAM, &["-O1", "-pthread"]);
    let glob = format!("u:{program}:lose:int");
    let trace = Trace::start(&["-e", &glob, "-sn"]);
    for _ in 0..10 {
        assert!(Command::new(&program).status().unwrap().success());
    }
    let report = trace.finish();
    assert_eq!(report.sessions.len(), 4000, "{:?}", report.summary);
    assert_eq!(report.summary.count("started"), 4000);
}
