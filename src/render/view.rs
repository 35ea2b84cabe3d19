// SPDX-License-Identifier: BSD-2-Clause
//! A session with all names and lines looked up. Text and JSON format this view.

mod refusal;

use std::borrow::Cow;
use std::sync::Arc;

pub(super) use self::refusal::{RefusalView, refusal};
use super::{RenderContext, SymbolizedSession};
use crate::select::TracedFunction;
use crate::session::{Call, LinkKind, Session, StackRow, UntracedMaker};
use crate::spec::{Addr, HookId, Ip, ResultType};
use crate::symbolize::{Frame, Inlined, SourceLine};

/// A call and its function.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallView<'a> {
    pub(super) call: &'a Call,
    /// The called function; `None` if its id is unknown in this run.
    pub(super) function: Option<&'a TracedFunction>,
}

/// A link of the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkView<'a> {
    /// Index in the chain.
    pub(super) index: usize,
    pub(super) of: CallView<'a>,
    pub(super) link: LinkKind,
    pub(super) is_culprit: bool,
    /// For a translation: the failed call below it whose error it replaced.
    pub(super) translated: Option<CallView<'a>>,
}

/// A row of the stack.
#[derive(Clone, Debug)]
pub(super) struct RowView<'a> {
    pub(super) row: StackRow,
    pub(super) frame: Option<&'a Frame>,
    pub(super) link: Option<LinkView<'a>>,
    /// The frame of the function's start, if the row has no address.
    definition: Option<&'a Frame>,
}

/// Whether rows of the tracer itself are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracerRows {
    /// They are.
    Kept,
    /// They are not.
    LeftOut,
}

impl TracerRows {
    /// Returns whether text includes them at this level of `-v`. JSON always does.
    #[must_use]
    pub fn in_text(verbosity: u8) -> Self {
        if verbosity >= 2 {
            Self::Kept
        } else {
            Self::LeftOut
        }
    }
}

/// A source line, and what it refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourcePlace<'a> {
    pub(super) source: Option<&'a SourceLine>,
    /// Whether it is the line of the function's definition, because no address inside it is known.
    pub(super) is_definition: bool,
}

/// A group of equal failures that were handled.
#[derive(Clone, Debug)]
pub(super) struct HandledView<'a> {
    /// The last call of the group.
    pub(super) of: CallView<'a>,
    pub(super) caller: Option<CallView<'a>>,
    pub(super) times: u64,
    /// Line of the call, in the innermost inlined function; `None` if unknown.
    pub(super) called_at: Option<SourceLine>,
}

/// Returns the instruction pointers that rendering a session needs frames of. An instruction
/// pointer may occur twice.
#[must_use]
pub fn ips(session: &Session, functions: &[TracedFunction], tracer: TracerRows) -> Vec<Ip> {
    let rows = session.chain.stack.iter();
    let rows = rows.filter(|row| tracer == TracerRows::Kept || !row.is_tracer);
    let rows = rows.filter_map(|row| row.ip);
    let called_at = session.chain.handled.iter().filter_map(|index| {
        let site = session.chain.calls.get(*index)?.call_site?;
        Some(Ip::return_to(site))
    });
    let definitions = links_without_ip(session).filter_map(|index| {
        let call = session
            .chain
            .calls
            .get(session.chain.links.get(index)?.call)?;
        start_of(functions.get(call.func.index())?)
    });
    let askers = refusal::asker_ips(session);
    let maker = maker_of(session).map(|maker| Ip::exact(maker.function.addr));
    rows.chain(called_at)
        .chain(definitions)
        .chain(askers)
        .chain(maker)
        .collect()
}

/// Returns the untraced function that made the culprit's error; `None` if that is not known.
pub(super) fn maker_of(session: &Session) -> Option<&UntracedMaker> {
    session.chain.trail.as_ref()?.maker.as_ref()
}

/// Returns the line that an untraced function is defined at.
pub(super) fn definition_of<'a>(
    shown: SymbolizedSession<'a>,
    maker: &UntracedMaker,
) -> Option<&'a SourceLine> {
    let frame = shown.frames.get(Ip::exact(maker.function.addr))?;
    frame.source.as_ref()
}

/// Returns the indexes of the links with a row that has no instruction pointer. The start of the
/// function is shown instead.
fn links_without_ip(session: &Session) -> impl Iterator<Item = usize> {
    let rows = &session.chain.stack;
    let n_links = session.chain.links.len();
    // Nearly always each link has a row.
    let n_shown = rows.iter().filter(|row| row.link.is_some()).count();
    let not_shown = (0..if n_shown < n_links { n_links } else { 0 })
        .filter(|index| rows.iter().all(|row| row.link != Some(*index)));
    let without_ip = rows.iter().filter(|row| row.ip.is_none());
    without_ip.filter_map(|row| row.link).chain(not_shown)
}

/// Returns the start of a function; `None` if it is unknown or in a file of user code.
fn start_of(function: &TracedFunction) -> Option<Ip> {
    let is_of_user = function.hook.is_of_user();
    Some(function.addr())
        .filter(|addr| *addr != Addr(0) && !is_of_user)
        .map(Ip::exact)
}

/// Returns the rows of the stack, outermost first. Links without a row come last.
pub(super) fn rows<'a>(
    shown: SymbolizedSession<'a>,
    context: &RenderContext<'a>,
    tracer: TracerRows,
) -> Vec<RowView<'a>> {
    let session = shown.session;
    let culprit = culprit(session);
    let has_row = |index| {
        session
            .chain
            .stack
            .iter()
            .any(|row| row.link == Some(index))
    };
    let left_out = (0..session.chain.links.len())
        .filter(|index| !has_row(*index))
        .map(|index| StackRow {
            ip: None,
            link: Some(index),
            is_tracer: false,
        });
    let stack = session.chain.stack.iter().copied();
    let wanted = stack.filter(|row| tracer == TracerRows::Kept || !row.is_tracer);
    let mut views = Vec::with_capacity(session.chain.stack.len() + session.chain.links.len());
    views.extend(
        wanted
            .chain(left_out)
            .map(|row| row_view(shown, row, culprit, context)),
    );
    views
}

/// Returns the culprit's row, and its call; `None` if nothing failed.
pub(super) fn culprit_row<'v, 'a>(
    rows: &'v [RowView<'a>],
) -> Option<(&'v RowView<'a>, CallView<'a>)> {
    rows.iter().find_map(|row| {
        let link = row.link.as_ref().filter(|link| link.is_culprit)?;
        Some((row, link.of))
    })
}

/// Returns the failed calls that do not explain the result. Equal ones with the same caller are
/// grouped.
pub(super) fn handled<'a>(
    shown: SymbolizedSession<'a>,
    context: &RenderContext<'a>,
) -> Vec<HandledView<'a>> {
    let session = shown.session;
    let mut views: Vec<HandledView<'a>> = Vec::new();
    for call in session
        .chain
        .handled
        .iter()
        .filter_map(|index| session.chain.calls.get(*index))
    {
        let same = |other: &&mut HandledView<'a>| {
            let other = other.of.call;
            (other.func, other.parent, other.outcome) == (call.func, call.parent, call.outcome)
                && (other.call_site.is_none() || other.call_site == call.call_site)
        };
        let times = u64::from(call.repeats.max(1));
        if let Some(known) = views.iter_mut().find(same) {
            known.times += times;
            known.of.call = call;
            continue;
        }
        let caller = call
            .parent
            .and_then(|parent| session.chain.calls.get(parent));
        views.push(HandledView {
            of: CallView::new(call, context),
            caller: caller.map(|caller| CallView::new(caller, context)),
            times,
            called_at: call.call_site.and_then(|site| {
                let frame = shown.frames.get(Ip::return_to(site))?;
                innermost(frame).0.cloned()
            }),
        });
    }
    views
}

/// Returns the line and the name of the innermost inlined function at an address. Without an
/// inlined function, the line is that of the frame.
pub(super) fn innermost(frame: &Frame) -> (Option<&SourceLine>, Option<&str>) {
    match frame.inlined.last() {
        Some(last) if last.source.is_some() => (last.source.as_ref(), Some(&last.function)),
        _ => (frame.source.as_ref(), None),
    }
}

impl<'a> CallView<'a> {
    pub(super) fn new(call: &'a Call, context: &RenderContext<'a>) -> Self {
        Self {
            call,
            function: context.functions.get(call.func.index()),
        }
    }

    pub(super) fn name(&self) -> Cow<'a, str> {
        match self.function {
            Some(function) => Cow::Borrowed(&function.name),
            None => {
                let HookId(id) = self.call.func;
                Cow::Owned(format!("(unknown function {id})"))
            }
        }
    }

    pub(super) fn module(&self) -> Option<&'a str> {
        self.function?.module.as_deref()
    }

    pub(super) fn result_type(&self) -> ResultType {
        self.function
            .map_or(ResultType::Unknown, |function| function.result)
    }
}

impl RowView<'_> {
    /// The line of the row's address; without an address, that of its function.
    pub(super) fn place(&self) -> SourcePlace<'_> {
        let frame = self.frame.or(self.definition);
        let source = frame.and_then(|frame| frame.source.as_ref());
        SourcePlace {
            is_definition: self.frame.is_none() && source.is_some(),
            source,
        }
    }

    /// The functions that are inlined at the row's address, outermost first.
    pub(super) fn inlined(&self) -> &[Inlined] {
        self.frame.as_ref().map_or(&[], |frame| &frame.inlined)
    }

    /// Name, module and offset to show.
    pub(super) fn symbol(&self) -> (Cow<'_, str>, Option<&str>, Option<u64>) {
        let symbol = self.frame.as_ref().and_then(|frame| frame.symbol.as_ref());
        match (&self.link, symbol, self.row.ip.map(|ip| ip.location.addr)) {
            // The name in the selection is preferred to an alias in kallsyms.
            (Some(link), _, addr) => {
                let start = link.of.function.map(TracedFunction::addr);
                let offset = addr
                    .zip(start)
                    .map(|(addr, start)| addr.0.wrapping_sub(start.0));
                let size = link.of.function.map_or(0, |function| function.size.max(1));
                (
                    link.of.name(),
                    link.of.module(),
                    offset.filter(|offset| *offset <= size),
                )
            }
            (None, Some(symbol), _) => (
                Cow::Borrowed(&*symbol.name),
                symbol.module.as_deref(),
                Some(symbol.offset),
            ),
            (None, None, Some(addr)) => (Cow::Owned(format!("0x{addr}")), None, None),
            (None, None, None) => (Cow::Borrowed("?"), None, None),
        }
    }
}

fn row_view<'a>(
    shown: SymbolizedSession<'a>,
    row: StackRow,
    culprit: Option<usize>,
    context: &RenderContext<'a>,
) -> RowView<'a> {
    let link = row
        .link
        .and_then(|index| link_view(shown.session, index, culprit, context));
    let frame_of = |ip| shown.frames.get(ip).map(Arc::as_ref);
    let frame = row.ip.and_then(frame_of);
    let definition = link
        .filter(|_| frame.is_none())
        .and_then(|link| frame_of(start_of(link.of.function?)?));
    RowView {
        row,
        frame,
        link,
        definition,
    }
}

fn link_view<'a>(
    session: &'a Session,
    index: usize,
    culprit: Option<usize>,
    context: &RenderContext<'a>,
) -> Option<LinkView<'a>> {
    let chain_link = session.chain.links.get(index)?;
    let call = session.chain.calls.get(chain_link.call)?;
    let translated = (chain_link.link == LinkKind::Translated)
        .then(|| next_failure(session, index))
        .flatten()
        .map(|below| CallView::new(below, context));
    Some(LinkView {
        index,
        of: CallView::new(call, context),
        link: chain_link.link,
        is_culprit: culprit == Some(index),
        translated,
    })
}

/// Returns the index of the culprit in the chain: the last link that failed. Links after it did not
/// return or have no failing result.
fn culprit(session: &Session) -> Option<usize> {
    session.chain.links.iter().rposition(|link| {
        let call = session.chain.calls.get(link.call);
        call.is_some_and(|call| call.returned && call.outcome.is_failure())
    })
}

/// Returns the next failed call below a link, whose error the link translated.
fn next_failure(session: &Session, index: usize) -> Option<&Call> {
    let below = session.chain.links.get(index + 1..)?;
    let mut calls = below
        .iter()
        .filter_map(|link| session.chain.calls.get(link.call));
    calls.find(|call| call.returned && call.outcome.is_failure())
}
