// SPDX-License-Identifier: BSD-2-Clause
//! Rankings of failures that are told by hand.

use super::{Cause, Line, Story};
use crate::events::{ExitRecord, OutputRecord};
use crate::session::{
    Call, Chain, ChainLink, ExecutionContext, LinkKind, MonotonicNs, Session, SessionHeader,
    SessionLosses, Told,
};
use crate::spec::{EntryReason, HookId, Outcome, Pid};
use crate::syscalls::{Abi, Area, SystemCall};

const ENOENT: u16 = 2;
const EINVAL: u16 = 22;
const ENOTTY: u16 = 25;

const OPENAT: u32 = 257;
const MOUNT: u32 = 165;
const IOCTL: u32 = 16;

/// A failing call of this process that ends at this time.
fn failed(tgid: u32, at: u64, number: u32, errno: u16, path: &str) -> Session {
    let result = -i64::from(errno) as u64;
    let path = [path.as_bytes(), b"\0"].concat();
    let areas = match number {
        OPENAT => vec![Area::Bytes(path)],
        MOUNT => vec![Area::None, Area::Bytes(path), Area::None, Area::None],
        _ => Vec::new(),
    };
    Session {
        header: SessionHeader {
            id: at,
            started: MonotonicNs(at - 1),
            ended: MonotonicNs(at),
            tgid: Pid(tgid),
            tid: Pid(tgid),
            comm: b"prog".to_vec(),
            leader_comm: b"prog".to_vec(),
            execution_context: ExecutionContext::Task,
            context: None,
            workload: None,
        },
        reason: EntryReason::SystemCall,
        chain: Chain {
            calls: vec![Call {
                func: HookId(number),
                parent: None,
                depth: 0,
                started: MonotonicNs(at - 1),
                duration_ns: 1,
                result,
                outcome: Outcome::Errno(errno),
                returned: true,
                call_site: None,
                repeats: 1,
            }],
            links: vec![ChainLink {
                call: 0,
                link: LinkKind::Origin,
            }],
            certain: true,
            trail: None,
            handled: Vec::new(),
            only_starts_dumps: false,
            stack: Vec::new(),
            losses: SessionLosses::default(),
        },
        notes: Vec::new(),
        arguments: None,
        syscall: Some(SystemCall {
            abi: Abi::Native,
            number,
            arguments: [1, 1, 1, 0, 0, 0],
            areas,
        }),
    }
}

fn wrote(told: &mut Told, tgid: u32, at: u64, text: &str) {
    let record = OutputRecord {
        at_ns: at,
        size: text.len() as u64,
        tgid,
        tid: tgid,
        comm: b"prog".to_vec(),
        text: text.as_bytes().to_vec(),
    };
    told.wrote(record.into());
}

fn ended(told: &mut Told, tgid: u32, at: u64, status: u32) {
    let record = ExitRecord {
        at_ns: at,
        tgid,
        tid: tgid,
        comm: b"prog".to_vec(),
        code: status << 8,
    };
    told.ended(record.into());
}

/// Returns the time of each reason's failure, its evidence, and how many there were.
fn ranked(sessions: Vec<Session>, told: &Told) -> Vec<(u64, Cause, u64)> {
    let mut story = Story::default();
    for session in sessions {
        story.session(session, "");
    }
    let lines = Line::all(told);
    let verdict = story.verdict(told, &lines, &|_| Vec::new());
    let reasons = verdict.reasons.iter();
    reasons
        .map(|reason| (reason.session.header.ended.0, reason.cause, reason.count))
        .collect()
}

#[test]
fn the_own_name_of_a_program_tells_no_failure_from_another() {
    let mut told = Told::default();
    wrote(
        &mut told,
        7,
        40,
        "prog: cannot do it: No such file or directory\n",
    );
    let sessions = || {
        vec![
            failed(7, 10, MOUNT, ENOENT, "/tmp/prog"),
            failed(7, 20, MOUNT, ENOENT, "/tmp/other"),
        ]
    };
    let first = |told: &Told| ranked(sessions(), told)[0].0;
    assert_eq!(first(&told), 20);
    // A path that ends so is meant where it stands behind the name.
    let mut told = Told::default();
    wrote(
        &mut told,
        7,
        40,
        "/bin/prog: /tmp/prog: No such file or directory\n",
    );
    assert_eq!(first(&told), 10);
    // Another program's name is no own name.
    let mut told = Told::default();
    wrote(&mut told, 7, 40, "/tmp/prog2: No such file or directory\n");
    assert_eq!(first(&told), 10);
}

#[test]
fn what_was_only_asked_comes_after_what_was_refused() {
    const ACCESS: u32 = 21;
    const EPERM: u16 = 1;
    const EACCES: u16 = 13;
    let mut told = Told::default();
    wrote(&mut told, 7, 40, "prog: /mnt: permission denied.\n");
    ended(&mut told, 7, 50, 1);
    let sessions = vec![
        failed(7, 10, ACCESS, EACCES, "/run/prog"),
        failed(7, 20, MOUNT, EPERM, "/mnt"),
    ];
    assert_eq!(
        ranked(sessions, &told),
        [(20, Cause::Said, 1), (10, Cause::Harmless, 1)]
    );
}

#[test]
fn what_the_program_complains_about_comes_first() {
    let mut told = Told::default();
    // As error(3) writes it, with look-ups of messages in between.
    wrote(&mut told, 7, 40, "cat: ");
    wrote(&mut told, 7, 41, "/no/such");
    wrote(&mut told, 7, 60, ": No such file or directory");
    wrote(&mut told, 7, 61, "\n");
    ended(&mut told, 7, 90, 1);
    let sessions = vec![
        failed(7, 10, OPENAT, ENOENT, "/etc/ld.so.preload"),
        failed(7, 20, OPENAT, ENOENT, "/no/such"),
        failed(7, 50, OPENAT, ENOENT, "/usr/share/locale/libc.mo"),
        failed(7, 70, IOCTL, ENOTTY, ""),
    ];
    assert_eq!(
        ranked(sessions, &told),
        [
            (20, Cause::Said, 1),
            (70, Cause::Harmless, 1),
            (50, Cause::Harmless, 2),
        ]
    );
}

#[test]
fn without_words_the_last_failure_before_a_bad_end_counts() {
    let mut told = Told::default();
    wrote(&mut told, 7, 50, "prog: something is wrong\n");
    ended(&mut told, 7, 60, 32);
    ended(&mut told, 6, 80, 32);
    let sessions = vec![
        failed(7, 10, OPENAT, EINVAL, "/a"),
        failed(7, 20, MOUNT, EINVAL, "/mnt"),
        failed(7, 30, OPENAT, ENOENT, "/b"),
        failed(6, 70, OPENAT, ENOENT, "/c"),
    ];
    assert_eq!(
        ranked(sessions, &told),
        [
            (20, Cause::LastBeforeExit, 1),
            (10, Cause::Unusual, 1),
            (70, Cause::Harmless, 2),
        ]
    );
}

#[test]
fn words_of_known_programs_stand_for_errnos() {
    let mut told = Told::default();
    wrote(
        &mut told,
        7,
        50,
        "mount: /mnt: wrong fs type, bad option, bad superblock on none.\n",
    );
    let sessions = vec![
        failed(7, 20, MOUNT, EINVAL, "/mnt"),
        failed(7, 30, OPENAT, EINVAL, "/other"),
    ];
    assert_eq!(ranked(sessions, &told)[0], (20, Cause::Said, 1));
}

#[test]
fn a_line_is_about_no_failure_that_came_after_it() {
    let mut told = Told::default();
    wrote(&mut told, 7, 50, "prog: Invalid argument\n");
    let sessions = vec![failed(7, 60, MOUNT, EINVAL, "/mnt")];
    assert_eq!(ranked(sessions, &told)[0].1, Cause::Unusual);
}

#[test]
fn binary_and_endless_words_are_bounded() {
    let mut told = Told::default();
    let binary: String = (0..250)
        .filter_map(|number| char::from_u32(number * 7 + 11))
        .collect();
    for at in 0..5000 {
        wrote(&mut told, (at % 700) as u32, at, &binary);
    }
    let lines = Line::all(&told);
    assert!(lines.len() <= 1024);
    assert!(lines.iter().all(|line| line.text.len() <= 1024));
    let sessions = vec![failed(7, 60, MOUNT, EINVAL, "/mnt")];
    assert_eq!(ranked(sessions, &told).len(), 1);
}

#[test]
fn failures_that_are_not_kept_are_counted_and_one_of_each_kind_is_kept() {
    let mut told = Told::default();
    ended(&mut told, 7, 9000, 1);
    let mut sessions = vec![failed(7, 5, MOUNT, EINVAL, "/first")];
    sessions.extend((10..3000).map(|at| failed(7, at, OPENAT, ENOENT, "/a")));
    assert_eq!(
        ranked(sessions, &told),
        [(5, Cause::LastBeforeExit, 1), (2999, Cause::Harmless, 2990),]
    );
}

#[test]
fn of_too_many_kinds_the_later_ones_are_counted() {
    let mut story = Story::default();
    let session = |number: u32| {
        let mut session = failed(7, u64::from(number) + 1, MOUNT, EINVAL, "/a");
        session.chain.calls[0].func = HookId(number);
        session
    };
    (0..3000).for_each(|number| story.session(session(number), ""));
    let told = Told::default();
    let verdict = story.verdict(&told, &[], &|_| Vec::new());
    let n_told: u64 = verdict.reasons.iter().map(|reason| reason.count).sum();
    assert_eq!(n_told + story.n_forgotten(), 3000);
    assert_eq!(verdict.reasons.len(), 1024);
}

#[test]
fn without_arguments_the_function_tells_the_call() {
    let mut story = Story::default();
    let session = Session {
        syscall: None,
        arguments: None,
        ..failed(7, 5, OPENAT, ENOENT, "/a")
    };
    story.session(session, "__x64_sys_openat");
    let told = Told::default();
    let verdict = story.verdict(&told, &[], &|_| Vec::new());
    let first = &verdict.reasons[0];
    assert_eq!((first.call, first.cause), (Some("openat"), Cause::Harmless));
}
