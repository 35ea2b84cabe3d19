// SPDX-License-Identifier: BSD-2-Clause
//! When the flight recorder is written out.

use std::rc::Rc;

use super::{FlightRecorder, check};
use crate::bpf::wire::{FLIGHT_WORDS, FlightWords};
use crate::bpf::{FlightLayout, FlightSlots};
use crate::config::FlightConfig;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::select::TracedFunction;
use crate::session::{
    Call, Chain, ChainLink, ContainerName, DumpReason, ExecutionContext, FlightDump, LinkKind,
    MonotonicNs, Session, SessionHeader, SessionLosses, TaskContext, Workload,
};
use crate::spec::{Addr, EntryReason, Hook, HookId, Outcome, Pid, ResultType};

const ENTRY: u32 = 0;
const CULPRIT: u32 = 1;
const HANDLED: u32 = 2;

fn functions() -> Vec<TracedFunction> {
    let names = ["__x64_sys_bpf", "map_check_btf", "security_bpf"];
    let functions = names.iter().zip(0..).map(|(name, id)| TracedFunction {
        id: HookId(id),
        name: (*name).to_owned(),
        module: None,
        hook: Hook::KernelFunction(Addr(0)),
        size: 1,
        entry: None,
        result: ResultType::Signed(4),
        prototype: None,
        parameters: Vec::new(),
    });
    functions.collect()
}

fn call(func: u32, depth: u16, result: i64) -> Call {
    Call {
        func: HookId(func),
        parent: None,
        depth,
        started: MonotonicNs(0),
        duration_ns: 1,
        result: result.cast_unsigned(),
        outcome: ResultType::Signed(4).judge(result.cast_unsigned()),
        returned: true,
        call_site: None,
        repeats: 1,
    }
}

/// A session in a cgroup. Failures are those of the entry function and the culprit, and a handled
/// -EPERM.
fn session(result: i64, cgroup: u64) -> Session {
    let link = |call| ChainLink {
        call,
        link: LinkKind::PassedOn,
    };
    Session {
        header: SessionHeader {
            id: 7,
            started: MonotonicNs(0),
            ended: MonotonicNs(9),
            tgid: Pid(1),
            tid: Pid(1),
            comm: Vec::new(),
            leader_comm: Vec::new(),
            execution_context: ExecutionContext::Task,
            context: Some(TaskContext {
                cgroup,
                ..TaskContext::default()
            }),
            workload: workload(cgroup),
        },
        reason: EntryReason::SystemCall,
        chain: Chain {
            calls: vec![
                call(ENTRY, 0, result),
                call(HANDLED, 1, -1),
                call(CULPRIT, 1, result),
            ],
            links: vec![link(0), link(2)],
            certain: true,
            trail: None,
            handled: vec![1],
            only_starts_dumps: false,
            stack: Vec::new(),
            losses: SessionLosses::default(),
        },
        notes: Vec::new(),
        syscall: None,
        arguments: None,
    }
}

/// Cgroups from 100 on belong to the container of this number.
fn workload(cgroup: u64) -> Option<Rc<Workload>> {
    let container = (cgroup >= 100).then(|| ContainerName {
        id: (cgroup / 100).to_string(),
        ..ContainerName::default()
    });
    Some(Rc::new(Workload {
        container,
        ..Workload::default()
    }))
}

/// One call for each of these cgroups, on one CPU.
struct Calls(Vec<u64>);

impl FlightSlots for Calls {
    fn layout(&self) -> FlightLayout {
        FlightLayout {
            n_cpus: 1,
            n_slots: 8,
        }
    }

    fn last_number(&self, _cpu: u32) -> u64 {
        self.0.len() as u64
    }

    fn slot(&self, _cpu: u32, number: u64) -> FlightWords {
        let mut words = [0; FLIGHT_WORDS];
        words[5] = self.0[number as usize - 1];
        // Each in a thread of its own.
        words[9] = number;
        words[0] = words.iter().fold(number, |sum, word| sum ^ word);
        FlightWords(words)
    }
}

fn config(triggers: &[&str], after: Option<u64>) -> FlightConfig {
    FlightConfig {
        bytes: 1 << 20,
        on: triggers.iter().map(|text| text.parse().unwrap()).collect(),
        after,
    }
}

/// Runs `work` with a recorder.
fn with_recorder(config: &FlightConfig, work: impl FnOnce(&mut FlightRecorder<'_>)) {
    let (functions, files) = (functions(), KernelFiles::default());
    let names = |context: &TaskContext| workload(context.cgroup);
    work(&mut FlightRecorder::new(config, &functions, &names, &files));
}

/// The reason for which it is written out after these sessions.
fn reason(config: &FlightConfig, sessions: &[Session]) -> Option<DumpReason> {
    let mut reason = None;
    with_recorder(config, |recorder| {
        sessions
            .iter()
            .for_each(|session| recorder.observe(session));
        reason = recorder.take(&Calls(Vec::new())).map(|dump| dump.reason);
        assert_eq!(recorder.take(&Calls(Vec::new())), None);
    });
    reason
}

fn error(func: u32, errno: u16) -> Option<DumpReason> {
    Some(DumpReason::Error {
        func: HookId(func),
        result: (-i64::from(errno)).cast_unsigned(),
        outcome: Outcome::Errno(errno),
        session: 7,
    })
}

fn cgroups(dump: &FlightDump) -> Vec<u64> {
    let mut cgroups: Vec<u64> = dump.threads.iter().map(|thread| thread.cgroup).collect();
    cgroups.sort_unstable();
    cgroups
}

#[test]
fn without_a_trigger_nothing_is_written_out() {
    assert_eq!(reason(&config(&[], None), &[session(-22, 1)]), None);
}

#[test]
fn a_failed_session_is_a_reason_and_names_its_culprit() {
    let on = config(&["error"], None);
    assert_eq!(reason(&on, &[session(-22, 1)]), error(CULPRIT, 22));
    // Successful sessions are shown with --success.
    assert_eq!(reason(&on, &[session(0, 1)]), None);
}

#[test]
fn a_function_and_an_error_may_be_asked_for() {
    let sessions = [session(-22, 1)];
    let on = |trigger| reason(&config(&[trigger], None), &sessions);
    assert_eq!(on("error:__x64*"), error(ENTRY, 22));
    assert_eq!(on("error:map_check_btf=EINVAL"), error(CULPRIT, 22));
    assert_eq!(on("error:map_check_btf=EPERM"), None);
    assert_eq!(on("error:*=EPERM"), error(HANDLED, 1));
    assert_eq!(on("error:security_*=EACCES,EPERM"), error(HANDLED, 1));
    let both = config(&["error:*=ENOENT", "error:map_*"], None);
    assert_eq!(reason(&both, &sessions), error(CULPRIT, 22));
}

#[test]
fn the_number_of_shown_sessions_is_a_reason_each_time() {
    with_recorder(&config(&[], Some(2)), |recorder| {
        for _ in 0..2 {
            recorder.observe(&session(0, 1));
            assert_eq!(recorder.take(&Calls(Vec::new())), None);
            recorder.observe(&session(0, 1));
            let dump = recorder.take(&Calls(Vec::new())).unwrap();
            assert_eq!(dump.reason, DumpReason::Sessions(2));
        }
    });
}

#[test]
fn a_failure_in_a_container_writes_out_its_calls_only_and_the_others_later() {
    with_recorder(&config(&["error"], None), |recorder| {
        let calls = Calls(vec![1, 100, 200, 101]);
        recorder.observe(&session(-22, 101));
        let dump = recorder.take(&calls).unwrap();
        assert!(dump.of_container);
        assert_eq!(cgroups(&dump), [100, 101]);
        recorder.ask(DumpReason::Signal);
        let dump = recorder.take(&calls).unwrap();
        assert!(!dump.of_container);
        assert_eq!(cgroups(&dump), [1, 200]);
        recorder.ask(DumpReason::Signal);
        assert_eq!(cgroups(&recorder.take(&calls).unwrap()), [0; 0]);
    });
}

#[test]
fn failures_in_two_containers_or_outside_of_any_write_out_all() {
    for (first, second) in [(100, 200), (100, 1), (1, 100)] {
        with_recorder(&config(&["error"], None), |recorder| {
            recorder.observe(&session(-22, first));
            recorder.observe(&session(-5, second));
            let dump = recorder.take(&Calls(vec![1, 100, 200])).unwrap();
            assert_eq!(cgroups(&dump), [1, 100, 200]);
            assert_eq!(Some(dump.reason), error(CULPRIT, 22));
        });
    }
}

#[test]
fn calls_of_no_traced_function_count_as_torn() {
    struct Unknown;
    impl FlightSlots for Unknown {
        fn layout(&self) -> FlightLayout {
            Calls(Vec::new()).layout()
        }

        fn last_number(&self, _cpu: u32) -> u64 {
            1
        }

        fn slot(&self, _cpu: u32, number: u64) -> FlightWords {
            let mut words = [0; FLIGHT_WORDS];
            words[8] = 99;
            words[0] = number ^ words[8];
            FlightWords(words)
        }
    }
    with_recorder(&config(&[], None), |recorder| {
        recorder.ask(DumpReason::Signal);
        let dump = recorder.take(&Unknown).unwrap();
        assert_eq!((dump.threads.len(), dump.torn), (0, 1));
    });
}

#[test]
fn a_glob_that_matches_no_traced_function_is_refused_with_similar_names() {
    let functions = functions();
    assert!(check(&config(&["error", "error:map_*=EPERM"], None), &functions).is_ok());
    let error = check(&config(&["error:map_chek_btf"], None), &functions).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "`map_chek_btf` of --dump-on matches no traced function; similar: map_check_btf"
    );
    assert!(Failure::hint_of(&error).is_some());
    let error = check(&config(&["error:tcp_*"], None), &functions).unwrap_err();
    assert!(error.to_string().ends_with("matches no traced function"));
}
