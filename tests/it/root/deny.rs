// SPDX-License-Identifier: BSD-2-Clause
//! The use case `deny`: who refused a permission, by which rule. Real refusals of real programs.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::{Trace, attaches_slowly, kernel};

/// Prepares what is refused, below `/tmp/deny`. Files on tmpfs have flags on newer kernels only.
const PREPARE: &str = r#"
T=/tmp/deny; mkdir -p $T; chmod 755 $T; cd $T || exit 1
echo 1 > /proc/sys/kernel/yama/ptrace_scope
for links in symlinks hardlinks fifos; do echo 1 > /proc/sys/fs/protected_$links; done
mkdir ro rom bound nodev sticky sticky2 closed plain cg
mount -t tmpfs none ro; mount -o remount,ro ro
mount --bind bound rom; mount -o remount,bind,ro rom
mount -t tmpfs -o nodev,noexec none nodev
mknod nodev/null c 1 3; chmod 666 nodev/null; cp /bin/true nodev/true
chmod 1777 sticky sticky2; chown 2000 sticky2; touch sticky/rootfile
echo s > secret; chmod 600 secret; chmod 700 closed; touch closed/x
ln -s /etc/hostname sticky2/link; chown -h 2001 sticky2/link
mkfifo sticky2/fifo; chown 2001 sticky2/fifo; chmod 666 sticky2/fifo
flags() { perl -e 'open F, "<", shift; $f = pack("L", shift); exit !ioctl(F, 0x40086602, $f)' "$@"; }
echo a > fixed; chmod 666 fixed; flags fixed 16
echo a > log; chmod 666 log; flags log 32
mount -t cgroup -o devices none cg && mkdir cg/x && echo 'c 1:3 rwm' > cg/x/devices.deny
true
"#;

/// A refusal that is expected.
#[derive(Clone, Copy)]
pub(super) struct Refused {
    /// Run by `sh`; `u` runs a command as user 1000.
    pub(super) command: &'static str,
    pub(super) class: &'static str,
    /// What the words contain.
    pub(super) words: &'static str,
    /// The function that asks, where that matters.
    pub(super) asker: &'static str,
    /// Kernels that cannot refuse so.
    pub(super) not_on: &'static [&'static str],
}

pub(super) const fn refused(
    command: &'static str,
    class: &'static str,
    words: &'static str,
) -> Refused {
    Refused {
        command,
        class,
        words,
        asker: "",
        not_on: &[],
    }
}

const fn capability(command: &'static str, words: &'static str, asker: &'static str) -> Refused {
    Refused {
        asker,
        ..refused(command, "capability", words)
    }
}

/// Landlock is there since 5.13.
const BEFORE_LANDLOCK: &[&str] = &["5.10"];

/// The flags of files on tmpfs were added between 6.1 and 6.12.
const BEFORE_FLAGS: &[&str] = &["5.10", "6.1"];

pub(super) const fn not_on(not_on: &'static [&'static str], refused: Refused) -> Refused {
    Refused { not_on, ..refused }
}

const REFUSALS: &[Refused] = &[
    refused(
        "u cat secret",
        "file_mode",
        "mode 0600 of \"secret\", owner 0:0; reading wanted by uid 1000",
    ),
    refused(
        "u cat closed/x",
        "file_mode",
        "mode 0700 of \"closed\", owner 0:0; searching wanted",
    ),
    refused(
        "u mkdir plain/new",
        "file_mode",
        "mode 0755 of \"plain\", owner 0:0; writing and searching",
    ),
    refused(
        "u chmod 777 secret",
        "owner",
        "only the owner of \"secret\" may, uid 0; asked by uid 1000",
    ),
    refused(
        "u rm -f sticky/rootfile",
        "owner",
        "in a sticky directory (mode 1777)",
    ),
    capability(
        "u sh -c 'kill -9 1'",
        "CAP_KILL in the initial user namespace",
        "kill",
    ),
    capability(
        "u mount -t tmpfs none plain",
        "CAP_SYS_ADMIN in the initial",
        "mount",
    ),
    capability("u perl -e 'chroot \"/\"'", "CAP_SYS_CHROOT", "chroot"),
    capability(
        "u perl -e '$n = \"x\"; syscall(170, $n, 1)'",
        "CAP_SYS_ADMIN",
        "sethostname",
    ),
    capability(
        "u perl -e 'syscall(41, 2, 3, 1)'",
        "CAP_NET_RAW",
        "inet_create",
    ),
    capability("u perl -e 'syscall(105, 0)'", "CAP_SETUID", "setuid"),
    capability(
        "u perl -e 'syscall(169, 0, 0, 0)'",
        "CAP_SYS_BOOT",
        "reboot",
    ),
    capability("u perl -e 'setpriority(0, 0, -5)'", "CAP_SYS_NICE", "nice"),
    refused(
        "touch ro/y",
        "read_only",
        "the file system is read-only (tmpfs)",
    ),
    refused("touch rom/y", "read_only", "the mount is read-only"),
    refused("sh -c nodev/true", "noexec", "the mount of \"true\""),
    refused("cat nodev/null", "nodev", "the mount of \"null\""),
    refused(
        "u cat sticky2/link",
        "protected_links",
        "fs.protected_symlinks",
    ),
    refused(
        "u ln secret sticky/hard",
        "protected_links",
        "fs.protected_hardlinks",
    ),
    refused(
        "u perl -e 'use Fcntl; sysopen(F, \"sticky2/fifo\", O_RDWR | O_CREAT)'",
        "protected_links",
        "fs.protected_fifos",
    ),
    refused(
        "setpriv --reuid=1000 --regid=1000 --clear-groups sleep 60 & p=$!; sleep 1; \
         u perl -e 'syscall(101, 16, shift() + 0, 0, 0)' $p; kill $p",
        "yama",
        "(sleep)",
    ),
    not_on(
        BEFORE_FLAGS,
        refused("sh -c 'echo b > fixed'", "immutable", "\"fixed\""),
    ),
    not_on(
        BEFORE_FLAGS,
        refused("rm -f fixed", "immutable", "\"fixed\""),
    ),
    not_on(
        BEFORE_FLAGS,
        refused("sh -c 'echo b > log'", "append_only", "\"log\""),
    ),
    refused(
        "sh -c 'echo $$ > cg/x/cgroup.procs; cat /dev/null'",
        "device_cgroup",
        "character device 1:3, reading",
    ),
    not_on(
        BEFORE_LANDLOCK,
        refused(
            "u perl -e '$a = pack(\"Q\", 4); $r = syscall(444, $a, 8, 0); syscall(157, 38, 1, 0, 0, 0); \
             syscall(446, $r, 0); open F, \"<\", \"/etc/hostname\"'",
            "landlock",
            "",
        ),
    ),
];

pub(super) fn sh(script: &str) -> bool {
    let script = format!(
        "u() {{ setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all \"$@\"; }}\n{script}"
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().unwrap().success()
}

/// Returns why no session shows a refusal; `None` if one does.
fn missing(refused: &Refused, sessions: &[&Value]) -> Option<String> {
    let is_shown = |session: &&&Value| {
        let refusal = &session["refusal"];
        let words = refusal["words"].as_str().unwrap_or_default();
        let asker = refusal["asker"]["function"].as_str().unwrap_or_default();
        refusal["class"] == refused.class
            && words.contains(refused.words)
            && asker.contains(refused.asker)
    };
    let shown = sessions.iter().find(is_shown);
    let is_missing = shown.is_none();
    is_missing.then(|| {
        format!(
            "{}: {} \"{}\"",
            refused.command, refused.class, refused.words
        )
    })
}

/// Causes refusals while `-c deny` traces: each must be told. Returns their number.
pub(super) fn check_refusals(cases: &[Refused]) -> usize {
    // The rule is known without inner functions, which take minutes to attach to one by one.
    let options: &[&str] = if attaches_slowly() {
        &["-c", "deny", "--only-entries"]
    } else {
        &["-c", "deny"]
    };
    let trace = Trace::start(options);
    let is_wanted = |case: &&Refused| !case.not_on.contains(&kernel().as_str());
    let wanted: Vec<&Refused> = cases.iter().filter(is_wanted).collect();
    for case in &wanted {
        // The commands fail; that is what they are for.
        sh(&format!("cd /tmp/deny; {}", case.command));
    }
    let report = trace.finish();
    let sessions: Vec<&Value> = report.sessions.iter().map(|session| &session.0).collect();
    // Whoever asks for a capability is to blame, and never who answers.
    for session in &sessions {
        let culprit = session["culprit"]["function"].as_str().unwrap_or_default();
        assert!(!culprit.ends_with("capable"), "{session}");
    }
    let missing: Vec<String> = wanted
        .iter()
        .filter_map(|case| missing(case, &sessions))
        .collect();
    let shown: Vec<String> = sessions
        .iter()
        .map(|session| {
            let of = |key: &str| &session[key];
            format!(
                "{} {} {} {}",
                of("comm"),
                of("entry")["function"],
                of("culprit"),
                of("refusal")
            )
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?} not among {shown:#?}");
    wanted.len()
}

#[test]
fn refused_permissions_are_told_with_rule_and_asker() {
    assert!(sh(PREPARE));
    let n_told = check_refusals(REFUSALS);
    assert!(n_told >= 20, "only {n_told} on {}", kernel());
}

#[test]
fn tracepoints_are_rows_of_sessions() {
    let arguments = [
        "-e",
        "*_sys_{mount,fsconfig}",
        "-n",
        "mount",
        "-a",
        "tp:printk:console",
        "-a",
        "rawtp:console",
    ];
    let trace = Trace::start(&arguments);
    sh("mkdir -p /tmp/tp; mount -t tmpfs -o mode=999 none /tmp/tp");
    let report = trace.finish();
    let notes = report.sessions.iter().flat_map(|session| {
        let notes = session.0["notes"].as_array().unwrap();
        notes.iter().cloned()
    });
    let notes: Vec<Value> = notes.collect();
    let said = notes
        .iter()
        .find(|note| note["source"] == "printk:console")
        .unwrap();
    let text = said["values"]["msg"].as_str().unwrap();
    assert!(text.contains("Bad value for 'mode'"), "{said}");
    assert!(said["inside"].is_string(), "{said}");
    assert!(
        notes.iter().any(|note| note["kind"] == "raw_tracepoint"),
        "{notes:?}"
    );
}

#[test]
fn a_tracepoint_that_does_not_exist_is_an_error_with_similar_names() {
    let ended = super::harness::run(&["-c", "bpf", "-a", "tp:printk:consol"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("matches no tracepoint"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("tp:printk:console"),
        "{}",
        ended.stderr
    );
}
