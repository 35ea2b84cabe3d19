// SPDX-License-Identifier: BSD-2-Clause
//! Tests of chains, provenance and merging, written as call trees: one line per call, indented by
//! depth, `name = result`. The name determines the result type (see `TYPES`).

mod fates;
mod messages;
mod reasons;
mod rows;

use self::fates::Answers;
use super::assemble::{MAX_STACKS, MAX_WAITING};
use super::{
    AddrRole, Assembled, Assembler, CulpritCode, LinkKind, Malformed, Session, SessionFacts,
};
use crate::bpf::headers;
use crate::code::ResultFate;
use crate::events::{CallRecord, Event, NoteRecord, SessionRecord, StackRecord, SyscallRecord};
use crate::select::TracedFunction;
use crate::spec::{Addr, EntryReason, Hook, HookId, NoteKind, NoteSource, ResultType};
use crate::syscalls::{Abi, SystemCall};

/// Names of functions whose result type is not `int`.
const TYPES: &[(&str, ResultType)] = &[
    ("sys_test", ResultType::Signed(8)),
    ("find_thing", ResultType::Pointer),
    ("alloc_thing", ResultType::Pointer),
    ("lookup_dentry", ResultType::Pointer),
    ("inc_ucount", ResultType::Pointer),
    ("policy_mbind_nodemask", ResultType::Pointer),
    ("resolve_symbol", ResultType::Pointer),
    ("kmalloc_node", ResultType::Pointer),
    ("free_thing", ResultType::Void),
    ("do_void", ResultType::Void),
    ("may_use", ResultType::Bool),
    ("addr_type", ResultType::Unsigned(4)),
    ("no_type", ResultType::Unknown),
];

const FUNC_SIZE: u64 = 0x100;
const TRAMPOLINE: u64 = 0xffff_ffff_c000_0000;

/// Addresses from here on are of code that calls the functions of system calls.
const SYSCALL_ENTRY: u64 = 0xffff_ffff_8300_0000;

/// Addresses from here on are of BPF programs that are not known to be ours.
const PROGRAM: u64 = TRAMPOLINE + 0x1000_0000;

fn functions(names: &[&str]) -> Vec<TracedFunction> {
    names
        .iter()
        .enumerate()
        .map(|(index, name)| TracedFunction {
            id: HookId(index as u32),
            name: (*name).to_owned(),
            module: None,
            hook: Hook::KernelFunction(func_addr(index)),
            size: FUNC_SIZE,
            entry: match (index, *name) {
                (_, "handle_request") => Some(EntryReason::Request),
                (0, _) => Some(EntryReason::KernelFunction),
                _ => None,
            },
            result: TYPES
                .iter()
                .find(|(typed, _)| typed == name)
                .map_or(ResultType::Signed(4), |(_, result)| *result),
            prototype: None,
            parameters: Vec::new(),
        })
        .collect()
}

fn func_addr(index: usize) -> Addr {
    Addr(0xffff_ffff_8100_0000 + FUNC_SIZE * index as u64)
}

/// Parses `tree` into functions and call records.
fn parse(tree: &str) -> (Vec<TracedFunction>, Vec<CallRecord>) {
    let mut names: Vec<&str> = Vec::new();
    let mut records = Vec::new();
    let lines = tree.lines().filter(|line| !line.trim().is_empty());
    let margin = tree.lines().find(|line| !line.trim().is_empty()).unwrap();
    let margin = margin.len() - margin.trim_start().len();
    for (seq, line) in lines.enumerate() {
        let depth = (line.len() - line.trim_start().len() - margin) / 2;
        let (name, result) = line.trim().split_once(" = ").unwrap();
        let func = names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
        records.push(CallRecord {
            func: func as u32,
            seq: seq as u32,
            depth: depth as u16,
            returned: result != "?",
            result: result.parse::<i64>().unwrap_or(0) as u64,
            repeats: 1,
            ..CallRecord::default()
        });
    }
    (functions(&names), records)
}

fn assemble(functions: &[TracedFunction], calls: Vec<CallRecord>, stack: &[u64]) -> Session {
    assemble_with(functions, calls, stack, &Answers::default())
}

fn assemble_with(
    functions: &[TracedFunction],
    calls: Vec<CallRecord>,
    stack: &[u64],
    answers: &Answers,
) -> Session {
    let mut assembler = Assembler::new(functions);
    assembler.set_fates(answers);
    finished(assembler, functions, calls, stack)
}

fn finished(
    mut assembler: Assembler<'_>,
    functions: &[TracedFunction],
    calls: Vec<CallRecord>,
    stack: &[u64],
) -> Session {
    let stack = StackRecord {
        session: 1,
        capture: 1,
        addrs: stack.iter().copied().map(Addr).collect(),
    };
    assembler.feed(Event::Stack(stack)).unwrap();
    let record = SessionRecord {
        session: 1,
        calls,
        ..SessionRecord::default()
    };
    let assembled = assembler.feed(Event::Session(Box::new(record))).unwrap();
    explained(assembled.unwrap(), functions)
}

fn explained(assembled: Assembled, functions: &[TracedFunction]) -> Session {
    let facts = SessionFacts {
        roles: assembled.stack().iter().copied().map(role).collect(),
        code: CulpritCode::NotAsked,
    };
    assembled.explain(functions, &facts)
}

fn role(addr: Addr) -> AddrRole {
    if (SYSCALL_ENTRY..SYSCALL_ENTRY + 0x1000).contains(&addr.0) {
        AddrRole::SyscallEntry
    } else if addr.0 >= PROGRAM {
        AddrRole::Program
    } else if addr.0 >= TRAMPOLINE {
        AddrRole::Tracer
    } else {
        AddrRole::Code
    }
}

/// Formats the chain: `name>` passed on, `name*` translated, `name~` transparent, `name!` origin. A
/// `?` follows if the culprit is not certain, then the handled failures in brackets.
fn chain(tree: &str) -> String {
    chain_by_code(tree, &[])
}

/// As `chain`, with what becomes of the results of functions.
fn chain_by_code(tree: &str, fates: &[(&str, ResultFate)]) -> String {
    let (functions, calls) = parse(tree);
    let answers = Answers::of(&functions, fates);
    let session = assemble_with(&functions, calls, &[], &answers);
    written(&session, &functions)
}

/// As `chain`, with a note of a refusal by this function.
fn chain_with_refusal(tree: &str, by: &str, note: NoteRecord) -> String {
    let (functions, calls) = parse(tree);
    let sources = [NoteSource {
        name: by.to_owned(),
        kind: NoteKind::Refusal,
        fields: Vec::new(),
    }];
    let mut assembler = Assembler::new(&functions);
    assembler.set_sources(&sources);
    assembler.feed(Event::Note(note)).unwrap();
    let session = finished(assembler, &functions, calls, &[]);
    written(&session, &functions)
}

fn written(session: &Session, functions: &[TracedFunction]) -> String {
    let name = |call: usize| {
        functions[session.chain.calls[call].func.index()]
            .name
            .as_str()
    };
    let links: Vec<String> = session
        .chain
        .links
        .iter()
        .map(|link| {
            let mark = match link.link {
                LinkKind::PassedOn => '>',
                LinkKind::Translated => '*',
                LinkKind::Transparent => '~',
                LinkKind::Origin => '!',
            };
            format!("{}{mark}", name(link.call))
        })
        .collect();
    let mut text = links.join(" ");
    if !session.chain.certain {
        text.push_str(" ?");
    }
    if !session.chain.handled.is_empty() {
        let handled: Vec<&str> = session
            .chain
            .handled
            .iter()
            .map(|call| name(*call))
            .collect();
        text.push_str(&format!(" [{}]", handled.join(" ")));
    }
    text
}

#[test]
fn an_error_that_is_passed_on_leads_to_the_function_that_made_it() {
    let tree = "
        sys_test = -22
          do_test = -22
            check = -22
    ";
    assert_eq!(chain(tree), "sys_test> do_test> check!");
}

#[test]
fn an_earlier_handled_failure_is_not_glued_under_an_unrelated_later_one() {
    // Fault B6 of the reference: it decided by position instead of by value.
    let tree = "
        sys_test = -22
          open_first = -2
            lookup = -2
          open_second = 0
          check = -22
    ";
    assert_eq!(chain(tree), "sys_test> check! [open_first]");
}

#[test]
fn a_failing_cleanup_does_not_hide_the_true_cause() {
    // Fault B6: the last error won.
    let tree = "
        sys_test = -12
          setup = -12
            alloc_pages = -12
          cleanup = -22
    ";
    assert_eq!(chain(tree), "sys_test> setup> alloc_pages! [cleanup]");
}

#[test]
fn a_harmless_null_of_a_lookup_is_not_the_cause() {
    let tree = "
        sys_test = -22
          do_test = -22
            find_thing = 0
    ";
    assert_eq!(chain(tree), "sys_test> do_test! ? [find_thing]");
}

#[test]
fn a_lookup_that_found_nothing_explains_enoent() {
    let tree = "
        sys_test = -2
          do_test = -2
            find_thing = 0
    ";
    assert_eq!(chain(tree), "sys_test> do_test* find_thing! ?");
}

#[test]
fn an_allocation_that_failed_explains_enomem() {
    let tree = "
        sys_test = -12
          alloc_thing = 0
          free_thing = 0
    ";
    assert_eq!(chain(tree), "sys_test* alloc_thing! ?");
}

#[test]
fn a_failing_call_before_a_successful_one_was_handled() {
    let tree = "
        sys_test = -22
          try_fast = -11
          try_slow = 0
    ";
    assert_eq!(chain(tree), "sys_test! [try_fast]");
}

#[test]
fn a_translated_error_is_followed_over_cleanups() {
    let tree = "
        sys_test = -22
          parse_option = -34
            kstrtoint = -34
          free_thing = 0
          put_context = 0
    ";
    assert_eq!(chain(tree), "sys_test* parse_option> kstrtoint! ?");
}

#[test]
fn void_and_bool_calls_pass_on_what_failed_below_them() {
    let tree = "
        sys_test = -1
          may_use = 0
            check = -1
    ";
    assert_eq!(chain(tree), "sys_test> may_use~ check!");
}

#[test]
fn a_call_without_return_costs_a_mark_and_not_the_session() {
    // Fault B18: one lost return discarded the whole session.
    let tree = "
        sys_test = -5
          do_test = ?
            check = -5
    ";
    assert_eq!(chain(tree), "sys_test> do_test~ check!");
}

#[test]
fn a_function_of_unknown_type_counts_only_where_its_value_is_passed_on() {
    // Fault B22: symbols without BTF counted as failing functions that return int.
    let noise = "
        sys_test = -22
          check = -22
          no_type = -14
    ";
    assert_eq!(chain(noise), "sys_test> check!");
    let cause = "
        sys_test = -14
          no_type = -14
    ";
    assert_eq!(chain(cause), "sys_test> no_type!");
}

#[test]
fn the_last_of_several_equal_failures_is_the_one_passed_on() {
    let tree = "
        sys_test = -11
          attempt = -11
          attempt = -11
            lock = -11
    ";
    assert_eq!(chain(tree), "sys_test> attempt> lock! [attempt]");
}

#[test]
fn a_successful_session_leads_to_its_last_calls() {
    let tree = "
        sys_test = 3
          do_test = 0
            check = 0
    ";
    let (functions, calls) = parse(tree);
    let session = assemble(&functions, calls, &[]);
    assert_eq!(session.chain.links.len(), 3);
    assert_eq!(session.culprit(), None);
}

#[test]
fn more_than_65536_functions_do_not_alias() {
    // Fault B14: function ids had 16 bits.
    let names: Vec<String> = (0..70_000)
        .map(|index| format!("function_{index}"))
        .collect();
    let functions = functions(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let call = |func, depth| CallRecord {
        func,
        depth,
        seq: u32::from(depth),
        returned: true,
        result: -22_i64 as u64,
        ..CallRecord::default()
    };
    let session = assemble(&functions, vec![call(0, 0), call(69_999, 1)], &[]);
    assert_eq!(session.culprit().unwrap().func, HookId(69_999));
}

#[test]
fn a_session_may_send_as_many_stacks_as_the_programs_keep() {
    let of_kind = headers::value_of("MAX_STACKS_OF_KIND");
    assert_eq!(2 * of_kind, MAX_STACKS as u64);
}

#[test]
fn a_record_that_does_not_fit_together_is_refused() {
    let (functions, calls) = parse(rows::CHAIN_OF_THREE);
    let feed = |calls: Vec<CallRecord>| {
        let record = SessionRecord {
            calls,
            ..SessionRecord::default()
        };
        let fed = Assembler::new(&functions).feed(Event::Session(Box::new(record)));
        fed.map(|_| ())
    };
    assert_eq!(feed(Vec::new()), Err(Malformed));
    assert_eq!(feed(calls[1..].to_vec()), Err(Malformed));
    let unknown = CallRecord {
        func: 99,
        ..calls[0]
    };
    assert_eq!(feed(vec![unknown]), Err(Malformed));
    assert_eq!(feed(vec![calls[0], calls[0]]), Err(Malformed));
}

#[test]
fn stacks_wait_for_their_own_session_and_not_forever() {
    let (functions, calls) = parse("sys_test = -22");
    let calls = vec![CallRecord {
        capture: 1,
        ..calls[0]
    }];
    let mut assembler = Assembler::new(&functions);
    let n_sessions = MAX_WAITING as u64 + 2;
    for session in 0..n_sessions {
        let addr = func_addr(0).0 + session % FUNC_SIZE;
        let stack = StackRecord {
            session,
            capture: 1,
            addrs: vec![Addr(addr)],
        };
        assembler.feed(Event::Stack(stack)).unwrap();
    }
    // In arbitrary order: an old one, the newest twice, some in between and the oldest.
    for session in [1, n_sessions - 1, n_sessions - 1, 2, 100, 0] {
        let record = SessionRecord {
            session,
            calls: calls.clone(),
            comm: b"comm".to_vec(),
            leader_comm: b"leader".to_vec(),
            ..SessionRecord::default()
        };
        let record = Event::Session(Box::new(record));
        let finished = assembler.feed(record).unwrap().unwrap();
        let finished = explained(finished, &functions);
        assert_eq!(finished.header.comm, b"comm");
        assert_eq!(finished.header.leader_comm, b"leader");
        let addrs: Vec<Addr> = finished
            .chain
            .stack
            .iter()
            .filter_map(|row| Some(row.ip?.location.addr))
            .collect();
        let is_gone = session < 2 || finished.header.id == 3;
        let expected = (!is_gone).then(|| Addr(func_addr(0).0 + session % FUNC_SIZE));
        assert_eq!(addrs, Vec::from_iter(expected), "session {session}");
    }
}

#[test]
fn a_system_call_that_was_not_received_is_counted() {
    let (functions, calls) = parse("sys_test = -22");
    let losses = |has_syscall, is_received| {
        let mut assembler = Assembler::new(&functions);
        if is_received {
            let call = SystemCall {
                abi: Abi::Native,
                number: 3,
                arguments: [0; 6],
                areas: Vec::new(),
            };
            let record = SyscallRecord { session: 1, call };
            assembler.feed(Event::Syscall(record)).unwrap();
        }
        let record = SessionRecord {
            session: 1,
            calls: calls.clone(),
            has_syscall,
            ..SessionRecord::default()
        };
        let assembled = assembler.feed(Event::Session(Box::new(record))).unwrap();
        let session = explained(assembled.unwrap(), &functions);
        session.chain.losses.missing_arguments
    };
    assert_eq!(losses(true, true), 0);
    assert_eq!(losses(true, false), 1);
    // Of no system call, of an old recording, or with `--no-args`.
    assert_eq!(losses(false, false), 0);
}
