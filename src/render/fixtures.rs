// SPDX-License-Identifier: BSD-2-Clause
//! Hand-made sessions on a small hand-made kernel, for the tests of all outputs.

mod flight;
mod notes;
mod story;
mod syscalls;

use std::sync::Arc;

pub(super) use self::flight::{flight, hostile_flight};
pub(super) use self::story::story;
use super::{Clock, RenderContext, TracerRows, ips};
use crate::kernel::kallsyms::Kallsyms;
use crate::select::TracedFunction;
use crate::session::{
    Call, Chain, ChainLink, ExecutionContext, LinkKind, MonotonicNs, Session, SessionHeader,
    SessionLosses, StackRow, Trail, UntracedCallee, UntracedMaker,
};
use crate::spec::{Addr, EntryReason, Hook, HookId, Ip, NoteSource, Outcome, Pid, ResultType};
use crate::symbolize::{Frames, Inlined, Level, LineAnswer, LineSource, SourceLine, Symbolizer};

const KALLSYMS: &str = "\
ffffffff81000000 T _stext
ffffffff81001000 T entry_SYSCALL_64_after_hwframe
ffffffff81002000 T do_syscall_64
ffffffff81003000 T __x64_sys_bpf
ffffffff81004000 t __sys_bpf
ffffffff81005000 t map_create
ffffffff81006000 T map_check_btf
ffffffff81007000 T btf_new_fd
ffffffff81008000 T btf_find_by_name_kind
ffffffff81009000 T a_function_with_quite_a_long_name_as_they_are_in_drivers.isra.0
ffffffff8100a000 T security_bpf
ffffffff8100b000 T do_exit
ffffffff8100c000 T cap_capable
ffffffff8100d000 T _etext
ffffffffc0001000 t ext4_create\t[ext4]
ffffffffc0002000 t ext4_end\t[ext4]
ffffffffc0100000 t bpf_trampoline_6442464085\t[bpf]
ffffffffc0101000 t bpf_prog_0123456789abcdef_exit\t[bpf]
";

/// Functions by their index in the table below.
pub(super) const SYS_BPF: u32 = 0;
pub(super) const MAP_CREATE: u32 = 1;
pub(super) const MAP_CHECK_BTF: u32 = 2;
pub(super) const BTF_NEW_FD: u32 = 3;
pub(super) const BTF_FIND: u32 = 4;
pub(super) const LONG_NAME: u32 = 5;
pub(super) const SECURITY_BPF: u32 = 6;
pub(super) const DO_EXIT: u32 = 7;
pub(super) const EXT4_CREATE: u32 = 8;

const FUNCTIONS: [(&str, Option<&str>, u64, ResultType); 9] = [
    (
        "__x64_sys_bpf",
        None,
        0xffff_ffff_8100_3000,
        ResultType::Signed(8),
    ),
    (
        "map_create",
        None,
        0xffff_ffff_8100_5000,
        ResultType::Signed(4),
    ),
    (
        "map_check_btf",
        None,
        0xffff_ffff_8100_6000,
        ResultType::Signed(4),
    ),
    (
        "btf_new_fd",
        None,
        0xffff_ffff_8100_7000,
        ResultType::Signed(4),
    ),
    (
        "btf_find_by_name_kind",
        None,
        0xffff_ffff_8100_8000,
        ResultType::Signed(4),
    ),
    (
        "a_function_with_quite_a_long_name_as_they_are_in_drivers.isra.0",
        None,
        0xffff_ffff_8100_9000,
        ResultType::Pointer,
    ),
    (
        "security_bpf",
        None,
        0xffff_ffff_8100_a000,
        ResultType::Signed(4),
    ),
    ("do_exit", None, 0xffff_ffff_8100_b000, ResultType::Void),
    (
        "ext4_create",
        Some("ext4"),
        0xffff_ffff_c000_1000,
        ResultType::Signed(4),
    ),
];

/// Address that is looked up, line, and inlined functions with their lines.
type LineOf = (u64, &'static str, &'static [(&'static str, &'static str)]);

const LINES: [LineOf; 11] = [
    (0xffff_ffff_8100_1075, "arch/x86/entry/entry_64.S:130", &[]),
    (
        0xffff_ffff_8100_2081,
        "arch/x86/entry/common.c:83",
        &[("do_syscall_x64", "arch/x86/entry/common.c:52")],
    ),
    (
        0xffff_ffff_8100_3019,
        "kernel/bpf/syscall.c:5791",
        &[("__se_sys_bpf", "kernel/bpf/syscall.c:5791")],
    ),
    (0xffff_ffff_8100_4c11, "kernel/bpf/syscall.c:5695", &[]),
    (
        0xffff_ffff_8100_5331,
        "kernel/bpf/syscall.c:1423",
        &[("bpf_map_alloc_id", "kernel/bpf/syscall.c:411")],
    ),
    (0xffff_ffff_8100_6000, "kernel/bpf/syscall.c:1018", &[]),
    (
        0xffff_ffff_8100_7212,
        "kernel/bpf/btf.c:5639",
        &[
            ("btf_parse", "kernel/bpf/btf.c:4246"),
            ("btf_parse_type_sec", "kernel/bpf/btf.c:4009"),
        ],
    ),
    (
        0xffff_ffff_8100_900f,
        "drivers/net/ethernet/vendor/model/generation/hardware_layer_main.c:12345",
        &[],
    ),
    (0xffff_ffff_8100_6122, "kernel/bpf/syscall.c:1031", &[]),
    (0xffff_ffff_8100_6132, "kernel/bpf/syscall.c:1036", &[]),
    (0xffff_ffff_8100_a000, "security/security.c:5601", &[]),
];

pub(super) use self::notes::{noted, refused, said};
pub(super) use self::syscalls::{called, called_by_32_bits, function_called};

pub(super) struct World {
    functions: Vec<TracedFunction>,
    sources: Vec<NoteSource>,
    symbolizer: Symbolizer,
}

impl World {
    pub(super) fn new() -> Self {
        let kallsyms = Kallsyms::parse(KALLSYMS.as_bytes().to_vec()).unwrap();
        let lines = LineSource::recorded(LINES.iter().map(answer).collect());
        let symbolizer = Symbolizer::new(Arc::new(kallsyms), Level::Inlines, Some(lines));
        let functions = FUNCTIONS
            .iter()
            .zip(0..)
            .map(|((name, module, addr, result), id)| TracedFunction {
                id: HookId(id),
                name: (*name).to_owned(),
                module: module.map(str::to_owned),
                hook: Hook::KernelFunction(Addr(*addr)),
                size: 0x1000,
                entry: None,
                result: *result,
                prototype: None,
                parameters: match id {
                    EXT4_CREATE => syscalls::parameters(),
                    _ => Vec::new(),
                },
            });
        Self {
            functions: functions.collect(),
            sources: notes::sources(),
            symbolizer,
        }
    }

    pub(super) fn frames(&self, session: &Session, tracer: TracerRows) -> Frames {
        self.symbolizer
            .look_up(ips(session, &self.functions, tracer))
    }

    pub(super) fn context(&self) -> RenderContext<'_> {
        RenderContext {
            functions: &self.functions,
            sources: &self.sources,
            clock: Clock {
                realtime_offset_ns: 1_763_712_000_000_000_000,
                utc_offset_seconds: 3600,
            },
            width: None,
            color: false,
            verbosity: 0,
        }
    }
}

fn answer((addr, line, inlined): &LineOf) -> (Addr, LineAnswer) {
    let inlined = inlined.iter().map(|(function, line)| Inlined {
        function: (*function).into(),
        source: Some(source(line)),
    });
    (
        Addr(*addr),
        LineAnswer {
            source: Some(source(line)),
            inlined: inlined.collect(),
        },
    )
}

fn source(text: &str) -> SourceLine {
    let (path, line) = text.rsplit_once(':').unwrap();
    SourceLine {
        path: path.into(),
        line: line.parse().unwrap(),
    }
}

fn call(func: u32, parent: Option<usize>, depth: u16, result: i64) -> Call {
    let result_type = FUNCTIONS
        .get(func as usize)
        .map_or(ResultType::Unknown, |f| f.3);
    let outcome = result_type.judge(result as u64);
    Call {
        func: HookId(func),
        parent,
        depth,
        started: MonotonicNs(5_000_000_000 + u64::from(depth) * 1000),
        duration_ns: 30_000 - u64::from(depth) * 9_100,
        result: result as u64,
        outcome,
        returned: true,
        call_site: None,
        repeats: 1,
    }
}

fn link(call: usize, link: LinkKind) -> ChainLink {
    ChainLink { call, link }
}

fn row(addr: u64, link: Option<usize>) -> StackRow {
    StackRow {
        ip: Some(Ip::return_to(Addr(addr))),
        link,
        is_tracer: false,
    }
}

fn bare(link: usize) -> StackRow {
    StackRow {
        ip: None,
        link: Some(link),
        is_tracer: false,
    }
}

fn tracer(addr: u64) -> StackRow {
    StackRow {
        ip: Some(Ip::return_to(Addr(addr))),
        link: None,
        is_tracer: true,
    }
}

fn session(calls: Vec<Call>, links: Vec<ChainLink>, stack: Vec<StackRow>) -> Session {
    let header = SessionHeader {
        id: 7,
        started: MonotonicNs(5_000_000_000),
        ended: MonotonicNs(5_000_030_500),
        tgid: Pid(1234),
        tid: Pid(1235),
        comm: b"simfail".to_vec(),
        leader_comm: b"simfail-main".to_vec(),
        execution_context: ExecutionContext::Task,
        context: None,
        workload: None,
    };
    let chain = Chain {
        calls,
        links,
        certain: true,
        trail: None,
        handled: Vec::new(),
        only_starts_dumps: false,
        stack,
        losses: SessionLosses::default(),
    };
    Session {
        header,
        reason: EntryReason::SystemCall,
        chain,
        notes: Vec::new(),
        syscall: None,
        arguments: None,
    }
}

/// A failure that is passed on unchanged. The culprit's own frame is gone when the stack is taken.
pub(super) fn passed_on() -> Session {
    session(
        vec![
            call(SYS_BPF, None, 0, -22),
            call(MAP_CREATE, Some(0), 1, -22),
            call(MAP_CHECK_BTF, Some(1), 2, -22),
        ],
        vec![
            link(0, LinkKind::PassedOn),
            link(1, LinkKind::PassedOn),
            link(2, LinkKind::Origin),
        ],
        vec![
            row(0xffff_ffff_8100_1076, None),
            row(0xffff_ffff_8100_2082, None),
            row(0xffff_ffff_8100_301a, Some(0)),
            row(0xffff_ffff_8100_4c12, None),
            row(0xffff_ffff_8100_5332, Some(1)),
            tracer(0xffff_ffff_c010_0057),
            bare(2),
            tracer(0xffff_ffff_c010_1063),
        ],
    )
}

/// The same, but functions below the culprit were not traced.
pub(super) fn untraced(
    made_here: Option<bool>,
    callees: &[&str],
    through_pointers: bool,
) -> Session {
    let mut session = passed_on();
    session.chain.certain = false;
    let callees = callees.iter().map(|name| UntracedCallee {
        name: (*name).to_owned(),
        module: None,
        addr: Addr(0xffff_ffff_8100_9000),
        is_traceable: !name.starts_with("kstrto"),
    });
    let callees: Vec<UntracedCallee> = callees.collect();
    let maker = match callees.as_slice() {
        [callee] if made_here == Some(false) && !through_pointers => Some(UntracedMaker {
            function: callee.clone(),
            caller: None,
        }),
        _ => None,
    };
    session.chain.trail = Some(Trail {
        made_here,
        callees,
        through_pointers,
        maker,
    });
    session
}

/// A failure that its caller translated into another one, after others had been handled.
pub(super) fn translated() -> Session {
    let mut lookup = call(BTF_FIND, Some(2), 3, -2);
    // In no row of the stack.
    lookup.call_site = Some(Addr(0xffff_ffff_8100_6133));
    lookup.repeats = 3;
    let mut session = session(
        vec![
            call(SYS_BPF, None, 0, -1),
            call(SECURITY_BPF, Some(0), 1, -13),
            call(MAP_CHECK_BTF, Some(0), 1, -22),
            lookup.clone(),
            lookup,
            call(BTF_NEW_FD, Some(2), 2, -22),
        ],
        vec![
            link(0, LinkKind::Translated),
            link(2, LinkKind::PassedOn),
            link(5, LinkKind::Origin),
        ],
        vec![
            row(0xffff_ffff_8100_301a, Some(0)),
            row(0xffff_ffff_8100_6123, Some(1)),
            row(0xffff_ffff_8100_7213, Some(2)),
        ],
    );
    session.chain.handled = vec![1, 3, 4];
    session
}

/// A session with many gaps: no stack, a call that did not return, losses, no certainty.
pub(super) fn incomplete() -> Session {
    let mut exit = call(DO_EXIT, Some(0), 1, 0);
    exit.returned = false;
    let mut create = call(EXT4_CREATE, Some(1), 2, -28);
    create.repeats = 4;
    let mut session = session(
        vec![call(SYS_BPF, None, 0, -28), exit, create],
        vec![
            link(0, LinkKind::PassedOn),
            link(1, LinkKind::Transparent),
            link(2, LinkKind::Origin),
        ],
        Vec::new(),
    );
    session.chain.certain = false;
    session.chain.losses = SessionLosses {
        beyond_depth: 1,
        overwritten_calls: 12,
        cut_calls: 30,
        unreturned: 1,
        unmatched_returns: 2,
        missing_stacks: 1,
        missing_notes: 3,
        missing_arguments: 1,
    };
    session
}

/// A session in which everything that a program or a damaged record may choose is hostile.
pub(super) fn hostile() -> Session {
    let mut session = session(
        vec![call(SYS_BPF, None, 0, -4000), call(99, Some(50), 1, -12)],
        vec![
            link(0, LinkKind::Translated),
            link(1, LinkKind::Origin),
            link(70, LinkKind::Origin),
        ],
        vec![row(0x10, None), row(u64::MAX, Some(60)), row(0, None)],
    );
    session.header.comm = b"\x1b[31mred\n\xff".to_vec();
    session.header.leader_comm = "a\u{202e}b".into();
    session.header.execution_context = ExecutionContext::SoftIrq;
    session.chain.handled = vec![1, 80];
    session.header.ended = MonotonicNs(0);
    session
}

/// A session with a long symbol, a long path, and a `NULL`.
pub(super) fn long_names() -> Session {
    session(
        vec![call(SYS_BPF, None, 0, -12), call(LONG_NAME, Some(0), 1, 0)],
        vec![link(0, LinkKind::Translated), link(1, LinkKind::Origin)],
        vec![
            row(0xffff_ffff_8100_1076, None),
            row(0xffff_ffff_8100_301a, Some(0)),
            row(0xffff_ffff_8100_9010, Some(1)),
        ],
    )
}

/// A call that succeeded.
pub(super) fn succeeded() -> Session {
    session(
        vec![call(SYS_BPF, None, 0, 3)],
        vec![link(0, LinkKind::Origin)],
        vec![
            row(0xffff_ffff_8100_1076, None),
            row(0xffff_ffff_8100_301a, Some(0)),
        ],
    )
}

#[test]
fn the_table_of_functions_is_judged_as_its_types_say() {
    assert_eq!(call(LONG_NAME, None, 0, 0).outcome, Outcome::Null);
    assert_eq!(call(DO_EXIT, None, 0, -22).outcome, Outcome::Success);
}
