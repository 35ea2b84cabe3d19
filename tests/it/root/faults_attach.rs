// SPDX-License-Identifier: BSD-2-Clause
//! Faults of the surroundings while functions are attached to: limits, other tracers, load,
//! modules and processors that go away, being killed half-way.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Report, Trace, attaches_slowly, kernel, program, run};
use super::sys;

const ONE: &[&str] = &["-e", "*_sys_bpf", "-sn", "-n", "simfail"];

/// Enough that attaching takes a while everywhere.
fn many() -> &'static [&'static str] {
    if attaches_slowly() {
        &["-a", "vfs_*", "--all-matching"]
    } else {
        &[
            "-a",
            "{vfs,tcp,ip,sk,skb,mem,page,blk,ext4,dev,net,task,do}_*",
        ]
    }
}

/// A command in which the program under test runs: `prlimit`, `unshare`.
fn within(wrapper: &[&str], arguments: &[&str]) -> Trace {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(program(&[]).get_program());
    command.args(arguments).env("NO_COLOR", "1");
    command.stdout(Stdio::piped());
    Trace::spawn(command)
}

/// What the kernel holds on behalf of tracers: programs, patched functions, probe events.
fn held() -> (usize, usize, String) {
    let tracing = Path::new("/sys/kernel/tracing");
    let functions = fs::read_to_string(tracing.join("enabled_functions")).unwrap();
    let events = fs::read_to_string(tracing.join("kprobe_events")).unwrap();
    (sys::count_bpf_programs(), functions.lines().count(), events)
}

fn assert_left_as(before: &(usize, usize, String)) {
    // What an earlier test had may have been on its way out still.
    let is_as_before = || {
        let (programs, functions, events) = held();
        programs <= before.0 && functions <= before.1 && events == before.2
    };
    let start = Instant::now();
    while !is_as_before() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "left: {:?}, before: {before:?}",
            held()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn no_function_after_exclusions_is_an_error_that_names_the_glob() {
    let stderr = run(&["-e", "*_sys_bpf", "-d", "*_sys_bpf"]).failed(1);
    assert!(stderr.contains("denied by `*_sys_bpf`"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_low_limit_of_descriptors_is_raised_where_that_is_allowed() {
    let arguments = [
        ONE,
        &[
            "--backend",
            "fentry",
            "-a",
            "vfs_{read,write,open}",
            "--json",
        ],
    ]
    .concat();
    let trace = within(&["prlimit", "--nofile=24:24"], &arguments).ready();
    trace.simfail(&["bpf-cmd"]);
    assert_eq!(trace.finish().of("simfail").len(), 1);
}

#[test]
fn a_low_limit_of_descriptors_that_stands_is_an_error_that_names_it() {
    let drop = "--bounding-set=-sys_resource";
    let arguments = [ONE, &["--backend", "fentry", "-a", "vfs_{read,write,open}"]].concat();
    let trace = within(
        &[
            "prlimit",
            "--nofile=64:64",
            "--memlock=unlimited",
            "setpriv",
            drop,
        ],
        &arguments,
    );
    let stderr = trace.wait().failed(1);
    assert!(stderr.contains("64 descriptors"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_low_limit_of_locked_memory_is_raised_where_it_counts() {
    let arguments = [ONE, &["--json"]].concat();
    let trace = within(&["prlimit", "--memlock=65536:65536"], &arguments).ready();
    trace.simfail(&["bpf-cmd"]);
    assert_eq!(trace.finish().of("simfail").len(), 1);
}

#[test]
fn a_low_limit_of_locked_memory_that_stands_is_an_error_where_it_counts() {
    let wrapper = [
        "prlimit",
        "--memlock=65536:65536",
        "setpriv",
        "--bounding-set=-sys_resource",
    ];
    let trace = within(&wrapper, &[ONE, &["--json"]].concat());
    if kernel() == "5.10" {
        let stderr = trace.wait().failed(1);
        assert!(stderr.contains("failed to make the BPF maps"), "{stderr}");
        assert!(stderr.contains("`ulimit -l`"), "{stderr}");
        return;
    }
    let trace = trace.ready();
    trace.simfail(&["bpf-cmd"]);
    assert_eq!(trace.finish().of("simfail").len(), 1);
}

#[test]
fn missing_types_are_an_error_that_names_the_option_of_the_kernel() {
    let without = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let stderr = within(&["unshare", "-m", "sh", "-c", without, "sh"], ONE)
        .wait()
        .failed(1);
    assert!(stderr.contains("sys/kernel/btf/vmlinux"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
    assert!(stderr.contains("CONFIG_DEBUG_INFO_BTF"), "{stderr}");
}

#[test]
fn a_module_that_goes_while_it_is_traced_ends_nothing_but_its_functions() {
    let modprobe = |arguments: &[&str]| {
        let output = Command::new("modprobe").args(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (loaded, said) = modprobe(&["dummy"]);
    assert!(loaded, "{said}");
    let trace = Trace::start(&[ONE, &["-a", "* [dummy]"]].concat());
    // Back ends that hold the module make this fail; then it stays, and that is as well.
    let (removed, _) = modprobe(&["-r", "dummy"]);
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 1, "{}", report.stderr);
    // 5.10 has no types of modules, without which trampolines take no function.
    let least = if kernel() == "5.10" { 1 } else { 3 };
    assert!(
        report.summary.count("functions") >= least,
        "{}",
        report.stderr
    );
    if !removed {
        let (removed, said) = modprobe(&["-r", "dummy"]);
        assert!(removed, "the module is held after the end: {said}");
    }
}

#[test]
fn two_instances_trace_the_same_many_functions() {
    let before = held();
    let (functions, at_least): (&[&str], u64) = if attaches_slowly() {
        (many(), 30)
    } else {
        (&["-a", "{a,b,c}*"], 5000)
    };
    let arguments = [ONE, functions].concat();
    let first = Trace::start(&arguments);
    let second = Trace::start(&arguments);
    first.simfail(&["bpf-cmd"]);
    let first = first.finish();
    second.simfail(&["bpf-cmd"]);
    let second = second.finish();
    assert_eq!(first.of("simfail").len(), 1, "{}", first.stderr);
    assert_eq!(second.of("simfail").len(), 2, "{}", second.stderr);
    // The governor of either may have taken out what is called too often.
    let n_functions =
        |report: &Report| report.summary.count("functions") + report.summary.n_detached();
    assert_eq!(n_functions(&first), n_functions(&second));
    assert!(n_functions(&first) > at_least, "{:?}", first.summary);
    assert_left_as(&before);
}

#[test]
fn kill_9_while_attaching_leaves_nothing_behind() {
    let before = held();
    // All programs are loaded first, which takes a while for each.
    let some = ["-a", "vfs_[g-l]*", "--all-matching", "--backend", "fentry"];
    let trace = Trace::spawn(program(&[ONE, &some].concat()));
    let start = Instant::now();
    // Some are attached, and more are to come.
    while held().1 < before.1 + 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", held());
        thread::sleep(Duration::from_millis(5));
    }
    trace.signal(sys::SIGKILL);
    let ended = trace.wait();
    assert!(
        !ended.stderr.contains("Receiving data"),
        "too late: {}",
        ended.stderr
    );
    assert_left_as(&before);
}

#[test]
fn it_attaches_and_detaches_while_all_cores_are_busy() {
    let before = held();
    let busy = Arc::new(AtomicBool::new(true));
    let cores = thread::available_parallelism().unwrap().get();
    let workers: Vec<_> = (0..2 * cores)
        .map(|_| {
            let busy = Arc::clone(&busy);
            thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    black_box(fs::metadata("/proc/self/stat").unwrap());
                }
            })
        })
        .collect();
    let trace = Trace::start(&[ONE, &["-a", "vfs_{read,write,open,statx,getattr}"]].concat());
    trace.simfail(&["--repeat", "20", "bpf-cmd"]);
    let report = trace.finish();
    busy.store(false, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(report.of("simfail").len(), 20, "{:?}", report.summary);
    assert_left_as(&before);
}

/// Puts a processor back, whatever becomes of the test.
struct Unplugged(&'static str);

impl Unplugged {
    fn new(online: &'static str) -> Self {
        fs::write(online, "0").unwrap();
        Self(online)
    }
}

impl Drop for Unplugged {
    fn drop(&mut self) {
        let _ = fs::write(self.0, "1");
    }
}

#[test]
fn a_processor_that_goes_and_comes_while_tracing_costs_nothing() {
    let trace = Trace::start(ONE);
    trace.simfail(&["bpf-cmd"]);
    {
        let _unplugged = Unplugged::new("/sys/devices/system/cpu/cpu1/online");
        trace.simfail(&["bpf-cmd"]);
    }
    trace.simfail(&["bpf-cmd"]);
    let report = trace.finish();
    assert_eq!(report.of("simfail").len(), 3, "{}", report.stderr);
}
