// SPDX-License-Identifier: BSD-2-Clause
//! `-- CMD`: what the command and its descendants do is seen from the first instruction on, nothing
//! else is; its exit status is ours and its surroundings are as without us.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Ended, Trace, program, simfail_program};
use super::sys;
use super::view::{Session, Summary};

const BPF: &[&str] = &["-e", "*_sys_bpf", "-sn"];

/// Runs `-- words` to its end.
fn run(options: &[&str], words: &[&str]) -> Ended {
    let mut command = program(options);
    command.arg("--").args(words);
    Trace::spawn(command).wait()
}

/// The same with JSON, which is read from a file; the sums must be right.
fn report(options: &[&str], words: &[&str]) -> (Ended, Vec<Session>, Summary) {
    let file = format!("/tmp/report-{}", sys::unique());
    let ended = run(&[options, &["--json", "-o", &file]].concat(), words);
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{e}: {}", ended.stderr));
    let mut objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = Summary(objects.pop().unwrap_or_else(|| panic!("{}", ended.stderr)));
    assert_eq!(summary.0["kind"], "summary");
    summary.assert_sum();
    (ended, objects.into_iter().map(Session).collect(), summary)
}

fn bpf(words: &[&str]) -> (Ended, Vec<Session>) {
    let (ended, sessions, _) = report(BPF, words);
    (ended, sessions)
}

#[test]
fn the_first_failing_call_is_seen_and_nobody_elses() {
    let simfail = simfail_program();
    let mut command = program(&[BPF, &["--json", "-o", "/tmp/first"]].concat());
    command.args(["--", "sh", "-c", "exec \"$0\" bpf-cmd", &simfail]);
    let trace = Trace::spawn(command);
    // Of others, all the while.
    while !trace.said("Receiving data") {
        sys::fail_bpf();
    }
    let ended = trace.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let text = fs::read_to_string("/tmp/first").unwrap();
    let sessions: Vec<&str> = text.lines().collect();
    assert_eq!(sessions.len(), 2, "{text}");
    assert!(sessions[0].contains("\"comm\":\"simfail\""), "{text}");
}

/// Who ignores the ends of children, as some supervisors do, hands that down: the kernel then keeps
/// no status for anybody.
#[test]
fn its_end_is_noticed_where_ends_of_children_are_ignored() {
    let inner = program(BPF);
    let mut command = Command::new("env");
    command
        .arg("--ignore-signal=CHLD")
        .arg(inner.get_program())
        .args(inner.get_args())
        .args(["--", "grep", "-q", "^SigIgn:.*1....$", "/proc/self/status"])
        .stdout(Stdio::piped());
    let ended = Trace::spawn(command).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn the_exit_status_is_the_commands() {
    for (words, status) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 77"], 77),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["sh", "-c", "kill -SEGV $$"], 139),
        (&["/nowhere/at/all"], 127),
        (&["no-such-command"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let ended = run(BPF, words);
        assert_eq!(
            ended.status.code(),
            Some(status),
            "{words:?}: {}",
            ended.stderr
        );
    }
    // What is ours before the start.
    for options in [
        &["-e", "no_such_function"][..],
        &["-e", "no_such_function", "--dry-run"],
        &["-e", "*_sys_bpf", "--user", "no-such-user"],
        &["-e", "*_sys_bpf", "--uid", "no-such-user"],
        &["-e", "*_sys_bpf", "--cgroup", "/no/such"],
        &["-e", "*_sys_bpf", "-o", "/no/such/file"],
        &["-e", "*_sys_bpf", "--no-such-option"],
        &["-e", "*_sys_bpf", "-p", "1"],
    ] {
        let ended = run(options, &["sh", "-c", "touch /tmp/must-not-run"]);
        assert_eq!(
            ended.status.code(),
            Some(125),
            "{options:?}: {}",
            ended.stderr
        );
        assert!(!fs::exists("/tmp/must-not-run").unwrap(), "{options:?}");
    }
}

#[test]
fn stdout_is_the_commands_and_ours_goes_to_stderr() {
    let simfail = simfail_program();
    let ended = run(BPF, &["sh", "-c", "echo data; \"$0\" bpf-cmd", &simfail]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "data\n");
    assert!(
        ended.stderr.contains("(simfail/simfail):"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("1 session shown"), "{}", ended.stderr);
}

#[test]
fn descendants_are_followed_whatever_they_do() {
    let simfail = simfail_program();
    for (what, script) in [
        ("a child in the background", "\"$0\" bpf-cmd & wait"),
        ("a grandchild", "sh -c '\"$0\" bpf-cmd; true' \"$0\"; true"),
        ("a session of its own", "setsid \"$0\" bpf-cmd; true"),
        (
            "a daemon's double fork",
            "(setsid sh -c '\"$0\" bpf-cmd' \"$0\" &) ; sleep 1",
        ),
        ("a PID namespace", "unshare -pf \"$0\" bpf-cmd; true"),
        ("nohup", "nohup \"$0\" bpf-cmd; true"),
        ("a name of its own", "\"$0\" --comm other bpf-cmd; true"),
        (
            "another user",
            "setpriv --reuid 65534 --clear-groups \"$0\" bpf-cmd; true",
        ),
        ("closed descriptors", "\"$0\" bpf-cmd <&- >&- 2>&-; true"),
    ] {
        let (ended, sessions) = bpf(&["sh", "-c", script, &simfail]);
        assert_eq!(ended.status.code(), Some(0), "{what}: {}", ended.stderr);
        let failures = sessions.len();
        assert!(
            failures == 1 || (what == "another user" && failures >= 1),
            "{what}: {sessions:#?}"
        );
    }
}

#[test]
fn threads_are_of_the_process() {
    let simfail = simfail_program();
    let (ended, sessions) = bpf(&[&simfail, "--thread", "bpf-cmd"]);
    assert_eq!(sessions.len(), 1, "{}", ended.stderr);
}

#[test]
fn without_following_only_the_command_itself_is_traced() {
    let simfail = simfail_program();
    let options = [BPF, &["--no-follow-forks"]].concat();
    let (_, sessions, _) = report(
        &options,
        &[
            "sh",
            "-c",
            "\"$0\" bpf-cmd; exec \"$0\" bpf-map-type",
            &simfail,
        ],
    );
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
}

#[test]
fn failing_execs_along_path_are_shown_only_on_request() {
    let options = ["-e", "*_sys_execve", "-sn"];
    let path = "PATH=/nowhere:/not/there:/usr/bin:/bin";
    let run = |options: &[&str]| {
        let file = format!("/tmp/report-{}", sys::unique());
        let mut command = program(&[options, &["--json", "-o", &file]].concat());
        let (name, value) = path.split_once('=').unwrap();
        command.env(name, value).args(["--", "true"]);
        let ended = Trace::spawn(command).wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        fs::read_to_string(&file).unwrap().lines().count() - 1
    };
    assert_eq!(run(&options), 0);
    assert_eq!(run(&[&options[..], &["--trace-exec"]].concat()), 2);
}

#[test]
fn a_thousand_children_in_a_row_are_a_thousand_sessions() {
    let simfail = simfail_program();
    let script = "i=0; while [ $i -lt 1000 ]; do \"$0\" bpf-cmd; i=$((i+1)); done";
    let (ended, sessions, summary) = report(BPF, &["sh", "-c", script, &simfail]);
    assert_eq!(sessions.len(), 1000, "{summary:?} {}", ended.stderr);
    assert_eq!(summary.count("started"), 1000);
    let mut pids: Vec<u64> = sessions.iter().map(Session::tgid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 1000);
}

#[test]
fn two_hundred_children_at_once_are_two_hundred_sessions() {
    let simfail = simfail_program();
    let script = "i=0; while [ $i -lt 200 ]; do \"$0\" bpf-cmd & i=$((i+1)); done; wait";
    let (ended, sessions, summary) = report(BPF, &["sh", "-c", script, &simfail]);
    assert_eq!(sessions.len(), 200, "{summary:?} {}", ended.stderr);
    let pids: BTreeSet<u64> = sessions.iter().map(Session::tgid).collect();
    assert_eq!(pids.len(), sessions.len(), "none twice");
    assert_eq!(summary.count("dropped.ring_full"), 0);
}

#[test]
fn seventeen_thousand_forks_leave_no_entry_behind() {
    let simfail = simfail_program();
    let script = "i=0; while [ $i -lt 17000 ]; do (:) ; i=$((i+1)); done; exec \"$0\" bpf-cmd";
    let (ended, sessions) = bpf(&["sh", "-c", script, &simfail]);
    assert_eq!(sessions.len(), 1, "{}", ended.stderr);
    // There is room for 16,384 at once: were any left behind, it would say how many did not fit.
    assert!(!ended.stderr.contains("not traced"), "{}", ended.stderr);
}

/// What a process can see of itself.
const LOOK: &str = "id; pwd; env | grep -v '^_='; ls -l /proc/self/fd | sed 's/.* \\([0-9]* -> .*\\)/\\1/; /proc\\//d'; \
    grep -E '^(Sig(Blk|Ign)|NoNewPrivs|TracerPid|Cap|Seccomp)' /proc/self/status; ps -o pgid=,sid=,tpgid= -p $$ | tr -s ' '";

#[test]
fn the_command_sees_what_it_sees_without_us() {
    let look = |mut command: std::process::Command| {
        command.stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Pipes have numbers of their own.
        let lines = text
            .lines()
            .map(|line| line.split("pipe:").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    let mut alone = std::process::Command::new("sh");
    alone
        .args(["-c", LOOK])
        .env("NO_COLOR", "1")
        .current_dir("/usr");
    let mut traced = program(BPF);
    traced.args(["--", "sh", "-c", LOOK]).current_dir("/usr");
    let (alone, traced) = (look(alone), look(traced));
    assert!(alone.len() > 15, "{alone:#?}");
    // One process group, ours, with the same leader: whoever started us.
    let [mut alone_ids, mut traced_ids] =
        [&alone, &traced].map(|lines| lines.last().unwrap().clone());
    alone_ids.retain(|c| !c.is_whitespace());
    traced_ids.retain(|c| !c.is_whitespace());
    assert_eq!(alone_ids, traced_ids);
    assert_eq!(alone, traced);
}

#[test]
fn a_user_has_its_ids_groups_and_home() {
    let script = "id -u; id -g; id -G; echo $HOME $USER";
    let ended = run(
        &[BPF, &["--user", "nobody"]].concat(),
        &["sh", "-c", script],
    );
    let group = ended.stdout.lines().nth(1).unwrap_or_default().to_owned();
    assert_eq!(
        ended.stdout,
        format!("65534\n{group}\n{group}\n/nonexistent nobody\n"),
        "{}",
        ended.stderr
    );
    let mut command = program(&[BPF, &["--as-invoker"]].concat());
    command.env("SUDO_UID", "65534").args(["--", "id", "-u"]);
    assert_eq!(Trace::spawn(command).wait().stdout, "65534\n");
}

#[test]
fn what_it_left_running_does_not_keep_us() {
    let begun = Instant::now();
    let ended = run(BPF, &["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"]);
    let pid: u32 = ended.stdout.trim().parse().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(120));
    sys::kill(pid, sys::SIGKILL);
}

#[test]
fn strace_may_trace_it_at_the_same_time() {
    // Below us, and one that attaches to what runs already.
    let simfail = simfail_program();
    let attached = "sh -c 'sleep 1; exec \"$0\" bpf-cmd' \"$0\" & \
        strace -f -o /tmp/strace -p $!; wait $!";
    for words in [
        &["strace", "-f", "-o", "/tmp/strace", &simfail, "bpf-cmd"][..],
        &["sh", "-c", attached, &simfail],
    ] {
        let (ended, sessions) = bpf(words);
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {}", ended.stderr);
        let ours = sessions.iter().filter(|of| of.comm() == "simfail");
        assert_eq!(ours.count(), 1, "{words:?}: {}", ended.stderr);
        let strace = fs::read_to_string("/tmp/strace").unwrap();
        assert!(strace.contains("= -1 EINVAL"), "{words:?}: {strace}");
    }
}
