// SPDX-License-Identifier: BSD-2-Clause
//! The verdict on a command in the JSON output.

use serde::Serialize;

use super::SCHEMA;
use crate::explain::{Cause, Reason, Verdict, outcome};
use crate::render::RenderContext;
use crate::render::view::{self, CallView};
use crate::spec::{Errno, Outcome};

/// Which failures are the reason, and which are not.
#[derive(Debug, Serialize)]
pub(super) struct VerdictObject {
    schema: u32,
    kind: &'static str,
    /// The command's exit status; `null` if it did not end.
    status: Option<u8>,
    /// The most probable reason first.
    reasons: Vec<ReasonObject>,
}

#[derive(Debug, Serialize)]
struct ReasonObject {
    /// The `id` of the session.
    session: u64,
    /// The evidence: `said`, `last`, `unusual` or `harmless`.
    why: &'static str,
    /// What the program wrote about it.
    line: Option<String>,
    /// Why programs that work have this failure, too.
    harmless: Option<&'static str>,
    /// Equal failures.
    count: u64,
    first_ns: u64,
    last_ns: u64,
    /// Name of the system call.
    syscall: Option<&'static str>,
    error: Option<&'static str>,
    /// The function that decided, traced or not, and whether that is certain.
    culprit: Option<String>,
    certain: bool,
}

impl VerdictObject {
    pub(super) fn new(
        verdict: &Verdict<'_>,
        status: Option<u8>,
        context: &RenderContext<'_>,
    ) -> Self {
        let reasons = verdict.reasons.iter();
        Self {
            schema: SCHEMA,
            kind: "verdict",
            status,
            reasons: reasons.map(|reason| object(reason, context)).collect(),
        }
    }
}

fn object(reason: &Reason<'_>, context: &RenderContext<'_>) -> ReasonObject {
    let session = reason.session;
    let culprit = session.culprit();
    let culprit = culprit.map(|call| CallView::new(call, context).name().into_owned());
    let maker = view::maker_of(session);
    ReasonObject {
        session: session.header.id,
        why: match reason.cause {
            Cause::Said => "said",
            Cause::LastBeforeExit => "last",
            Cause::Unusual => "unusual",
            Cause::Harmless => "harmless",
        },
        line: reason
            .line
            .map(|line| String::from_utf8_lossy(&line.text).into_owned()),
        harmless: reason.harmless,
        count: reason.count,
        first_ns: reason.first.0,
        last_ns: reason.last.0,
        syscall: reason.call,
        error: match outcome(session) {
            Outcome::Errno(errno) => Errno(errno).name(),
            Outcome::Null | Outcome::Status(_) | Outcome::Success => None,
        },
        culprit: maker.map(|maker| maker.function.name.clone()).or(culprit),
        certain: session.chain.certain,
    }
}
