// SPDX-License-Identifier: BSD-2-Clause
//! The objects of a session in the JSON output. The order of the fields is the order of the keys.

use std::mem;

use serde::Serialize;

use super::SCHEMA;
use super::context::ContextObject;
use super::messages::{MessageObject, messages};
use super::notes::{NoteObject, notes};
use super::syscall::{ArgumentObject, SyscallObject, function_arguments, syscall};
use crate::render::value::result_text;
use crate::render::view::{self, CallView, HandledView, RefusalView, RowView, TracerRows, refusal};
use crate::render::{RenderContext, SymbolizedSession};
use crate::session::{ExecutionContext, LinkKind, SessionLosses, StackRow, Trail};
use crate::spec::{Addr, EntryReason, Outcome};
use crate::symbolize::{Frame, SourceLine};

/// A session.
#[derive(Debug, Serialize)]
pub(super) struct SessionObject {
    schema: u32,
    kind: &'static str,
    id: u64,
    started_time: String,
    ended_time: String,
    started_ns: u64,
    ended_ns: u64,
    duration_ns: u64,
    tgid: u32,
    tid: u32,
    comm: String,
    leader_comm: String,
    /// The context: `task`, `softirq`, `hardirq`, or `nmi`. In schema 1, `context` is the task's.
    #[serde(rename = "lane")]
    execution_context: &'static str,
    context: Option<ContextObject>,
    /// Why the session was opened: `system_call`, `kernel_function`, `request`, `user_function`, or
    /// `usdt`.
    entry_reason: &'static str,
    /// The system call, if the entry function is one.
    syscall: Option<SyscallObject>,
    /// The arguments of the entry function, if it is no system call; `null` if they are not known.
    arguments: Option<Vec<ArgumentObject>>,
    /// What the kernel said in words.
    messages: Vec<MessageObject>,
    /// The call of the entry function.
    entry: Option<CallObject>,
    culprit: Option<CulpritObject>,
    /// Which rule refused the permission; `null` if none did, or if it is not known.
    refusal: Option<RefusalObject>,
    chain: Vec<LinkObject>,
    stack: Vec<RowObject>,
    handled: Vec<HandledObject>,
    notes: Vec<NoteObject>,
    losses: LossesObject,
}

/// A call and its result.
#[derive(Debug, Serialize)]
pub(super) struct CallObject {
    function: String,
    module: Option<String>,
    result: Option<String>,
    raw: Option<String>,
    errno: Option<u16>,
    failed: bool,
}

/// A source line.
#[derive(Debug, Serialize)]
struct SourceLineObject {
    file: Option<String>,
    line: Option<u32>,
    /// `definition` if the line is that of the function's start, because no address inside it is
    /// known; else `address`.
    line_of: &'static str,
}

#[derive(Debug, Serialize)]
struct CulpritObject {
    #[serde(flatten)]
    call: CallObject,
    #[serde(flatten)]
    place: SourceLineObject,
    certain: bool,
    /// The traced function that the result is of, if the culprit is not traced: the only function
    /// below that one that can have made the error.
    deduced_below: Option<String>,
    untraced: Option<UntracedObject>,
}

/// The rule that refused a permission.
#[derive(Debug, Serialize)]
struct RefusalObject {
    /// `file_mode`, `capability`, `apparmor`…
    class: &'static str,
    words: String,
    asker: Option<AskerObject>,
}

#[derive(Debug, Serialize)]
struct AskerObject {
    function: String,
    file: Option<String>,
    line: Option<u32>,
}

/// The trail of the culprit.
#[derive(Debug, Serialize)]
struct UntracedObject {
    /// Whether the culprit's own instructions create this error; `null` if this is not known.
    made_here: Option<bool>,
    callees: Vec<UntracedCalleeObject>,
    through_pointers: bool,
}

#[derive(Debug, Serialize)]
struct UntracedCalleeObject {
    function: String,
    module: Option<String>,
    /// Whether `-a` can trace it.
    traceable: bool,
}

/// A link of the chain, which leads from the entry function to the culprit.
#[derive(Debug, Serialize)]
struct LinkObject {
    #[serde(flatten)]
    call: CallObject,
    address: Option<String>,
    offset: Option<u64>,
    started_ns: u64,
    duration_ns: Option<u64>,
    depth: u16,
    times: u32,
    /// `passed_on`, `translated`, `origin`, or `transparent`.
    link: &'static str,
    /// `culprit`, `translated`, `did_not_return`, `repeated`.
    marks: Vec<&'static str>,
    #[serde(flatten)]
    place: SourceLineObject,
    inlined: Vec<InlinedObject>,
}

/// A row of the kernel stack. The outermost row comes first.
#[derive(Debug, Serialize)]
struct RowObject {
    function: String,
    module: Option<String>,
    address: Option<String>,
    offset: Option<u64>,
    #[serde(flatten)]
    place: SourceLineObject,
    inlined: Vec<InlinedObject>,
    /// Index into `chain`; `null` if the row belongs to no link.
    chain_index: Option<usize>,
    tracer: bool,
}

/// A function that is inlined at an address.
#[derive(Debug, Serialize)]
struct InlinedObject {
    function: String,
    file: Option<String>,
    line: Option<u32>,
}

/// A failing call that does not explain the result.
#[derive(Debug, Serialize)]
struct HandledObject {
    #[serde(flatten)]
    call: CallObject,
    times: u64,
    /// Name of the function that called it. The place is the line of that call.
    caller: Option<String>,
    #[serde(flatten)]
    place: SourceLineObject,
}

#[derive(Debug, Serialize)]
struct LossesObject {
    beyond_depth: u32,
    overwritten_calls: u32,
    cut_calls: u32,
    unreturned: u32,
    unmatched_returns: u32,
    missing_stacks: u32,
    missing_notes: u32,
    missing_arguments: u32,
}

impl SessionObject {
    pub(super) fn new(shown: SymbolizedSession<'_>, context: &RenderContext<'_>) -> Self {
        let session = shown.session;
        let rows = view::rows(shown, context, TracerRows::Kept);
        let entry = session.entry().map(|call| CallView::new(call, context));
        let handled = view::handled(shown, context);
        Self {
            schema: SCHEMA,
            kind: "session",
            id: session.header.id,
            started_time: context.clock.rfc3339(session.header.started),
            ended_time: context.clock.rfc3339(session.header.ended),
            started_ns: session.header.started.0,
            ended_ns: session.header.ended.0,
            duration_ns: session
                .header
                .ended
                .0
                .saturating_sub(session.header.started.0),
            tgid: session.header.tgid.0,
            tid: session.header.tid.0,
            comm: String::from_utf8_lossy(&session.header.comm).into_owned(),
            leader_comm: String::from_utf8_lossy(&session.header.leader_comm).into_owned(),
            execution_context: context_name(session.header.execution_context),
            context: ContextObject::new(session),
            entry_reason: entry_reason(session.reason),
            syscall: syscall(session),
            arguments: function_arguments(session, context),
            messages: messages(session, context),
            entry: entry.as_ref().map(CallObject::new),
            culprit: rows.iter().find_map(|row| CulpritObject::new(row, shown)),
            refusal: refusal(shown, context).map(RefusalObject::new),
            chain: chain(&rows),
            stack: rows.iter().map(RowObject::new).collect(),
            handled: handled.iter().map(HandledObject::new).collect(),
            notes: notes(session, context),
            losses: LossesObject::new(session.chain.losses),
        }
    }
}

/// Returns a result without the errno that the programs put beside a -1.
fn raw_of(view: &CallView<'_>, result: u64) -> u64 {
    match view.result_type().errno_beside(result) {
        Some(_) => result & u64::from(u32::MAX),
        None => result,
    }
}

impl CallObject {
    pub(super) fn new(view: &CallView<'_>) -> Self {
        let call = view.call;
        let returned = call.returned.then_some(call);
        Self {
            function: view.name().into_owned(),
            module: view.module().map(str::to_owned),
            result: returned.map(|call| result_text(view.result_type(), call.result, call.outcome)),
            raw: returned.map(|call| format!("{:#x}", raw_of(view, call.result))),
            errno: match call.outcome {
                Outcome::Errno(number) => Some(number),
                Outcome::Status(_) if call.returned => view.result_type().errno_beside(call.result),
                Outcome::Success | Outcome::Null | Outcome::Status(_) => None,
            },
            failed: call.outcome.is_failure(),
        }
    }
}

impl SourceLineObject {
    fn new(source: Option<&SourceLine>, is_definition: bool) -> Self {
        Self {
            file: source.map(|source| source.path.to_string()),
            line: source.map(|source| source.line),
            line_of: if is_definition {
                "definition"
            } else {
                "address"
            },
        }
    }

    fn of_row(row: &RowView<'_>) -> Self {
        let place = row.place();
        Self::new(place.source, place.is_definition)
    }
}

impl CulpritObject {
    fn new(row: &RowView<'_>, shown: SymbolizedSession<'_>) -> Option<Self> {
        let link = row.link.as_ref().filter(|link| link.is_culprit)?;
        let mut call = CallObject::new(&link.of);
        let (mut place, mut deduced_below) = match &row.frame {
            Some(frame) => (SourceLineObject::new(view::innermost(frame).0, false), None),
            None => (SourceLineObject::of_row(row), None),
        };
        let chain = &shown.session.chain;
        if let Some(maker) = view::maker_of(shown.session) {
            place = SourceLineObject::new(view::definition_of(shown, maker), true);
            call.module.clone_from(&maker.function.module);
            deduced_below = Some(mem::replace(
                &mut call.function,
                maker.function.name.clone(),
            ));
        }
        Some(Self {
            call,
            place,
            certain: chain.certain,
            deduced_below,
            untraced: chain.trail.as_ref().map(UntracedObject::new),
        })
    }
}

impl RefusalObject {
    fn new(view: RefusalView) -> Self {
        Self {
            class: view.class.name(),
            words: view.words,
            asker: view.asker.map(|asker| AskerObject {
                function: asker.name,
                file: asker.source.as_ref().map(|source| source.path.to_string()),
                line: asker.source.as_ref().map(|source| source.line),
            }),
        }
    }
}

impl UntracedObject {
    fn new(trail: &Trail) -> Self {
        let Trail {
            made_here,
            callees,
            through_pointers,
            maker: _,
        } = trail;
        let callees = callees.iter().map(|callee| UntracedCalleeObject {
            function: callee.name.clone(),
            module: callee.module.clone(),
            traceable: callee.is_traceable,
        });
        Self {
            made_here: *made_here,
            callees: callees.collect(),
            through_pointers: *through_pointers,
        }
    }
}

/// Returns the links in the order of the chain. A link that several rows show (recursion) appears
/// once.
fn chain(rows: &[RowView<'_>]) -> Vec<LinkObject> {
    let mut links: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.link.as_ref()?.index, LinkObject::new(row)?)))
        .collect();
    links.sort_by_key(|(index, _)| *index);
    links.dedup_by_key(|(index, _)| *index);
    links.into_iter().map(|(_, link)| link).collect()
}

impl LinkObject {
    fn new(row: &RowView<'_>) -> Option<Self> {
        let link = row.link.as_ref()?;
        let call = link.of.call;
        let marks = [
            (link.is_culprit, "culprit"),
            (link.link == LinkKind::Translated, "translated"),
            (!call.returned, "did_not_return"),
            (call.repeats > 1, "repeated"),
        ];
        let (_, _, offset) = row.symbol();
        Some(Self {
            call: CallObject::new(&link.of),
            address: real_address(&row.row),
            offset,
            started_ns: call.started.0,
            duration_ns: call.returned.then_some(call.duration_ns),
            depth: call.depth,
            times: call.repeats,
            link: link_name(link.link),
            marks: marks
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, mark)| *mark)
                .collect(),
            place: SourceLineObject::of_row(row),
            inlined: inlined(row.frame),
        })
    }
}

impl RowObject {
    fn new(row: &RowView<'_>) -> Self {
        let (function, module, offset) = row.symbol();
        Self {
            function: function.clone().into_owned(),
            module: module.map(str::to_owned),
            address: real_address(&row.row),
            offset,
            place: SourceLineObject::of_row(row),
            inlined: inlined(row.frame),
            chain_index: row.link.as_ref().map(|link| link.index),
            tracer: row.row.is_tracer,
        }
    }
}

impl HandledObject {
    fn new(view: &HandledView<'_>) -> Self {
        Self {
            call: CallObject::new(&view.of),
            times: view.times,
            caller: view
                .caller
                .as_ref()
                .map(|caller| caller.name().into_owned()),
            place: SourceLineObject::new(view.called_at.as_ref(), false),
        }
    }
}

impl LossesObject {
    fn new(losses: SessionLosses) -> Self {
        let SessionLosses {
            beyond_depth,
            overwritten_calls,
            cut_calls,
            unreturned,
            unmatched_returns,
            missing_stacks,
            missing_notes,
            missing_arguments,
        } = losses;
        Self {
            beyond_depth,
            overwritten_calls,
            cut_calls,
            unreturned,
            unmatched_returns,
            missing_stacks,
            missing_notes,
            missing_arguments,
        }
    }
}

fn inlined(frame: Option<&Frame>) -> Vec<InlinedObject> {
    let inlined = frame.into_iter().flat_map(|frame| &frame.inlined);
    inlined
        .map(|inlined| InlinedObject {
            function: inlined.function.to_string(),
            file: inlined
                .source
                .as_ref()
                .map(|source| source.path.to_string()),
            line: inlined.source.as_ref().map(|source| source.line),
        })
        .collect()
}

/// Formats an address; `None` if the row has only a placeholder.
fn real_address(row: &StackRow) -> Option<String> {
    row.ip?.location.kernel_addr().map(address)
}

fn address(addr: Addr) -> String {
    format!("0x{addr}")
}

pub(super) fn context_name(context: ExecutionContext) -> &'static str {
    match context {
        ExecutionContext::Task => "task",
        ExecutionContext::SoftIrq => "softirq",
        ExecutionContext::HardIrq => "hardirq",
        ExecutionContext::Nmi => "nmi",
    }
}

fn entry_reason(reason: EntryReason) -> &'static str {
    match reason {
        EntryReason::SystemCall => "system_call",
        EntryReason::KernelFunction => "kernel_function",
        EntryReason::Request => "request",
        EntryReason::UserFunction => "user_function",
        EntryReason::Usdt => "usdt",
    }
}

fn link_name(link: LinkKind) -> &'static str {
    match link {
        LinkKind::PassedOn => "passed_on",
        LinkKind::Translated => "translated",
        LinkKind::Origin => "origin",
        LinkKind::Transparent => "transparent",
    }
}
