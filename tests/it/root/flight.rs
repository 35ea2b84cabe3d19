// SPDX-License-Identifier: BSD-2-Clause
//! The flight recorder: what is written out, when, and that recording goes on and wakes nobody.

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cgroup::{Cgroup, ID, docker_names};
use super::harness::{Trace, kernel, run, simfail};
use super::sys;

/// Calls that open files, of one thread of ours. The inner function has another name since 7.0.
const OPENS: &[&str] = &[
    "-e",
    "__x64_sys_openat",
    "-a",
    "do_fil{p,e}_open",
    "-sn",
    "-n",
    "flyer",
];

/// The entry function alone. Of inner functions, the kernel may miss calls.
const ENTRY_ALONE: &[&str] = &["-e", "__x64_sys_openat", "-sn", "-n", "flyer"];

/// The name of the inner function.
fn inner_function() -> &'static str {
    match kernel().as_str() {
        "newest" => "do_file_open",
        _ => "do_filp_open",
    }
}

fn open(path: &str, n_times: usize) {
    for _ in 0..n_times {
        let _ = File::open(path);
    }
}

/// Runs `work` in a thread whose calls are traced, and in which nothing else is called.
fn fly(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            sys::rename_thread(c"flyer");
            work();
        });
    });
}

/// The objects of this kind in JSON output.
fn objects(stdout: &str, kind: &str) -> Vec<Value> {
    let objects = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    objects
        .filter(|object: &Value| object["kind"] == kind)
        .collect()
}

fn calls(flight: &Value) -> Vec<&Value> {
    let threads = flight["threads"].as_array().unwrap();
    let calls = threads
        .iter()
        .map(|thread| thread["calls"].as_array().unwrap());
    calls.flatten().collect()
}

/// How many calls each dump in a text has, and how many were overwritten and torn.
fn counts(stdout: &str) -> Vec<(u64, u64, u64)> {
    let headers = stdout
        .lines()
        .filter(|line| line.starts_with("flight recorder at "));
    let number_before = |line: &str, word: &str| {
        let before = line.split_once(word)?.0;
        before.rsplit(' ').next()?.parse().ok()
    };
    headers
        .map(|line| {
            let number = |word| number_before(line, word).unwrap_or_else(|| panic!("{line}"));
            (number(" call"), number(" overwritten"), number(" torn"))
        })
        .collect()
}

/// How many sessions succeeded, by the summary.
fn succeeded(stderr: &str) -> u64 {
    let (before, _) = stderr.split_once(" succeeded").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

fn is_dumped(n_times: usize) -> impl Fn(&str) -> bool {
    move |stdout| counts(stdout).len() >= n_times && stdout.ends_with("\n\n")
}

/// Asks for a dump and waits for the one with this number.
fn dump(trace: &Trace, number: usize) {
    trace.signal(libc::SIGUSR1);
    trace.wait_until_shown(is_dumped(number), || ());
}

#[test]
fn an_error_writes_out_the_successful_calls_before_it() {
    let trace = Trace::start(&[OPENS, &["--flight=1M", "--dump-on", "error"]].concat());
    fly(|| {
        open("/proc/version", 2);
        open("/nonexistent", 1);
    });
    let ended = trace.interrupt();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let sessions = objects(&ended.stdout, "session");
    assert_eq!(sessions.len(), 1, "{}", ended.stdout);
    let flights = objects(&ended.stdout, "flight");
    let [flight] = &flights[..] else {
        panic!("{}", ended.stdout)
    };
    let reason = &flight["reason"];
    assert_eq!(reason["trigger"], "error");
    assert_eq!(reason["function"], inner_function());
    assert_eq!(reason["result"], "-ENOENT");
    assert_eq!(reason["session"], sessions[0]["id"]);
    let shown: Vec<(&str, u64, bool)> = calls(flight)
        .iter()
        .map(|call| {
            let function = call["function"].as_str().unwrap();
            let depth = call["depth"].as_u64().unwrap();
            (function, depth, call["failed"].as_bool().unwrap())
        })
        .collect();
    let (entry, inner) = ("__x64_sys_openat", inner_function());
    let succeeded = [(entry, 0, false), (inner, 1, false)];
    let failed = [(entry, 0, true), (inner, 1, true)];
    assert_eq!(shown, [succeeded, succeeded, failed].concat());
    assert_eq!(
        (&flight["overwritten"], &flight["torn"]),
        (&0.into(), &0.into())
    );
    let thread = &flight["threads"][0];
    assert_eq!(thread["comm"], "flyer");
    assert_eq!(thread["tgid"], std::process::id());
    // The session and its last call are the same.
    let last = calls(flight)[4];
    assert_eq!(last["session_started_ns"], sessions[0]["started_ns"]);
    assert_eq!(last["result"], "-ENOENT");
}

#[test]
fn a_trigger_may_name_the_function_and_the_error() {
    let trigger = format!("error:{}*=ENOTDIR", &inner_function()[..7]);
    let trace = Trace::start(&[OPENS, &["--flight=1M", "--dump-on", &trigger]].concat());
    fly(|| open("/nonexistent", 1));
    fly(|| open("/proc/version/nothing", 1));
    let ended = trace.interrupt();
    let flights = objects(&ended.stdout, "flight");
    assert_eq!(flights.len(), 1, "{}", ended.stdout);
    assert_eq!(flights[0]["reason"]["result"], "-ENOTDIR");
    assert_eq!(calls(&flights[0]).len(), 4);
}

#[test]
fn sigusr1_writes_out_each_call_once_and_recording_goes_on() {
    let trace = Trace::start_text(&[OPENS, &["--flight"]].concat());
    fly(|| open("/proc/version", 3));
    dump(&trace, 1);
    fly(|| open("/proc/version", 5));
    dump(&trace, 2);
    dump(&trace, 3);
    let ended = trace.interrupt();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(counts(&ended.stdout), [(6, 0, 0), (10, 0, 0), (0, 0, 0)]);
    assert!(
        ended.stdout.contains(", on SIGUSR1: 6 calls"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("0 sessions shown, 8 succeeded"),
        "{}",
        ended.stderr
    );
    println!("{}", ended.stdout);
}

#[test]
fn a_command_that_fails_is_a_reason_and_one_that_does_not_is_none() {
    let command = |script: &str| {
        let flight = [
            "-e",
            "__x64_sys_openat",
            "-a",
            "do_fil{p,e}_open",
            "-sn",
            "--flight=4M",
        ];
        run(&[&flight[..], &["-x", "EXDEV", "--", "sh", "-c", script]].concat())
    };
    let ended = command("cat /proc/version >/dev/null; exit 3");
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(", the command ended with status 3: "),
        "{}",
        ended.stderr
    );
    let is_cat = |line: &str| line.starts_with("cat[") && line.contains("] of cat[");
    assert!(ended.stderr.lines().any(is_cat), "{}", ended.stderr);
    let ended = command("cat /proc/version >/dev/null");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("flight recorder"),
        "{}",
        ended.stderr
    );
    // That it ends by a signal is a status, too.
    let ended = command("kill -9 $$");
    assert!(
        ended
            .stderr
            .contains(", the command ended with status 137: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_number_of_sessions_is_a_reason_each_time() {
    let trace = Trace::start(&[OPENS, &["--flight=1M", "--dump-after", "2"]].concat());
    fly(|| open("/nonexistent", 2));
    let shown = |stdout: &str| objects(stdout, "flight").len() == 1;
    trace.wait_until_shown(|stdout| stdout.ends_with('\n') && shown(stdout), || ());
    fly(|| open("/nonexistent", 1));
    let ended = trace.interrupt();
    let flights = objects(&ended.stdout, "flight");
    assert_eq!(flights.len(), 1, "{}", ended.stdout);
    assert_eq!(flights[0]["reason"]["trigger"], "sessions");
    assert_eq!(objects(&ended.stdout, "session").len(), 3);
}

#[test]
fn every_call_is_written_out_or_overwritten_or_torn() {
    // With tracing-multi, preempted programs miss calls and returns, so sessions cannot be compared.
    let backends: &[&str] = match kernel().as_str() {
        "newest" => &["kprobe-session", "fentry", "kprobe"],
        "6.12" => &["kprobe-session", "kprobe-multi", "fentry", "kprobe"],
        _ => &["fentry", "kprobe"],
    };
    for backend in backends {
        let options = ["--flight=256K", "--max-rate", "0", "--backend", backend];
        let trace = Trace::start_text(&[ENTRY_ALONE, &options].concat());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| fly(|| open("/proc/version", 5000)));
            }
        });
        dump(&trace, 1);
        let ended = trace.interrupt();
        let counts = counts(&ended.stdout);
        println!("{backend}: {counts:?}");
        let (calls, overwritten, torn) = counts[0];
        let sum = calls + overwritten + torn;
        assert_eq!(sum, succeeded(&ended.stderr), "{backend}");
        // 88 bytes each; one of the CPUs may have been idle.
        assert!((1_000..2_979).contains(&calls), "{backend}: {counts:?}");
        // Nobody writes while it is read.
        assert!(torn <= 2, "{backend}: {counts:?}");
    }
}

#[test]
fn nothing_wakes_the_reader_while_nothing_is_written_out() {
    let options = ["--flight=1M", "--max-rate", "0"];
    let trace = Trace::start_text(&[OPENS, &options].concat());
    // What is read at the start is read.
    thread::sleep(Duration::from_secs(2));
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", trace.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let (before, begun) = (switches(), Instant::now());
    fly(|| open("/proc/version", 10_000));
    let (woken, took) = (switches() - before, begun.elapsed());
    println!("20,000 calls in {took:?}, {woken} times woken");
    // It looks at the clock ten times a second.
    assert!(
        woken <= 10 + took.as_millis() as u64 / 50,
        "{woken} in {took:?}"
    );
    drop(trace);
}

#[test]
fn calls_go_on_being_recorded_while_they_are_written_out() {
    let options = ["--flight=1M", "--max-rate", "0"];
    let trace = Trace::start_text(&[ENTRY_ALONE, &options].concat());
    thread::scope(|scope| {
        let calls = scope.spawn(|| fly(|| open("/proc/version", 40_000)));
        let mut number = 1;
        while !calls.is_finished() {
            dump(&trace, number);
            number += 1;
        }
        dump(&trace, number);
    });
    let ended = trace.interrupt();
    let counts = counts(&ended.stdout);
    let sum: u64 = counts
        .iter()
        .map(|(calls, overwritten, torn)| calls + overwritten + torn)
        .sum();
    println!("{} dumps: {counts:?}", counts.len());
    assert_eq!(sum, succeeded(&ended.stderr));
    let torn: u64 = counts.iter().map(|(.., torn)| torn).sum();
    assert!(torn <= counts.len() as u64, "{counts:?}");
}

#[test]
fn a_full_disk_ends_the_run_with_an_error() {
    let options = ["--flight=1M", "-o", "/dev/full"];
    let trace = Trace::start_text(&[OPENS, &options].concat());
    fly(|| open("/proc/version", 3));
    trace.signal(libc::SIGUSR1);
    let said = trace.wait().failed(1);
    assert!(
        said.contains("failed to write to `/dev/full`: No space left"),
        "{said}"
    );
    // With a command: its status is ours, and what could not be written is said.
    let flight = [
        "-e",
        "__x64_sys_openat",
        "-sn",
        "-n",
        "sh",
        "--flight=1M",
        "-o",
        "/dev/full",
    ];
    let ended = run(&[&flight[..], &["--", "sh", "-c", ": </proc/version; exit 3"]].concat());
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
}

#[test]
fn a_glob_that_matches_no_traced_function_is_refused() {
    for dry_run in [&["--dry-run"][..], &[]] {
        let mistyped = format!("error:{}xopen", &inner_function()[..8]);
        let options = ["--flight", "--dump-on", &mistyped];
        let said = run(&[OPENS, &options, dry_run].concat()).failed(1);
        let expected = format!(
            "of --dump-on matches no traced function; similar: {}",
            inner_function()
        );
        assert!(said.contains(&expected), "{said}");
        assert!(!said.contains("Receiving"), "{said}");
    }
}

#[test]
fn an_error_in_a_container_writes_out_its_calls_only() {
    let root = "/tmp/containers";
    docker_names(root, ID, "web");
    let container = Cgroup::new(&format!("docker/{ID}"));
    let bpf = [
        "-e",
        "*_sys_bpf",
        "-sn",
        "-n",
        "inside,simfail",
        "--host-root",
        root,
    ];
    // Failures of other errors are not shown.
    let options = ["--flight=1M", "--dump-on", "error", "-x", "EINVAL"];
    let trace = Trace::start_text(&[&bpf[..], &options].concat());
    // The container's files are read when its name is needed for the first time.
    container.fails("inside");
    trace.wait_until_shown(is_dumped(1), || ());
    simfail(&["bpf-map-fd"]);
    container.fails("inside");
    trace.wait_until_shown(is_dumped(2), || ());
    dump(&trace, 3);
    let ended = trace.interrupt();
    let mut dumps = ended.stdout.split("flight recorder at ").skip(2);
    let (first, second) = (dumps.next().unwrap(), dumps.next().unwrap());
    assert!(
        first.contains("; only this container is shown\n"),
        "{first}"
    );
    assert!(first.contains("\ninside["), "{first}");
    assert!(
        first.contains("], in container web (docker 7be92808767a"),
        "{first}"
    );
    assert!(!first.contains("simfail["), "{first}");
    assert!(second.contains("\nsimfail["), "{second}");
    assert!(!second.contains("inside["), "{second}");
}
