// SPDX-License-Identifier: BSD-2-Clause
//! What is asked about a session in order to compare it with others.

use memchr::memmem;

use crate::knowledge::harmless::{HARMLESS, Harmless};
use crate::session::{LinkKind, Session};
use crate::spec::{Errno, HookId, Outcome};
use crate::syscalls::{Value, call_of_function, decode};

/// What tells one failure from another. Failures with the same key are shown once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Name of the system call; `None` if it is not known.
    call: Option<&'static str>,
    /// The entry function.
    entry: Option<HookId>,
    outcome: Outcome,
    /// The functions of the chain.
    chain: Vec<HookId>,
}

/// What is known of a failure besides its chain.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Name of the system call; `None` if it is not known.
    pub(super) call: Option<&'static str>,
    /// The errno that the program got; `None` if it is another failure.
    pub(super) errno: Option<u16>,
    /// Arguments that are text, as the program wrote them.
    pub(super) texts: Vec<Vec<u8>>,
    /// Why programs that work have this failure, too; `None` if they do not.
    pub(super) harmless: Option<&'static str>,
}

/// Returns what the program sees: the result of the entry function, or that of the request that it
/// carried.
pub(crate) fn outcome(session: &Session) -> Outcome {
    let failed = session.failed_call();
    failed.map_or(Outcome::Success, |call| call.outcome)
}

impl Key {
    pub(super) fn of(session: &Session, facts: &Facts) -> Self {
        let chain = &session.chain;
        let is_seen = |kind: LinkKind| kind != LinkKind::Transparent;
        let links = chain.links.iter().filter(|link| is_seen(link.link));
        let chain = links.filter_map(|link| Some(chain.calls.get(link.call)?.func));
        Self {
            call: facts.call,
            entry: session.entry().map(|call| call.func),
            outcome: outcome(session),
            chain: chain.collect(),
        }
    }
}

impl Facts {
    /// `entry` is the name of the entry function. It tells the system call if its arguments were not
    /// read.
    pub(super) fn of(session: &Session, entry: &str) -> Self {
        let decoded = session.syscall.as_ref().map(decode);
        let call = match &decoded {
            Some(decoded) => decoded.name,
            None => call_of_function(entry).map(|(_, call)| call),
        };
        let errno = match outcome(session) {
            Outcome::Errno(errno) => Some(errno),
            Outcome::Success | Outcome::Null | Outcome::Status(_) => None,
        };
        let arguments = decoded.map(|decoded| decoded.arguments).unwrap_or_default();
        let mut texts = Vec::new();
        for argument in arguments {
            push_texts(argument.value, &mut texts);
        }
        let harmless = call.zip(errno).and_then(|(call, errno)| {
            let mut kinds = HARMLESS.iter();
            let kind = kinds.find(|kind| kind.fits(call, errno, &texts))?;
            Some(kind.why)
        });
        Self {
            call,
            errno,
            texts,
            harmless,
        }
    }
}

/// Adds what is text in a value.
fn push_texts(value: Value, texts: &mut Vec<Vec<u8>>) {
    match value {
        Value::Text(text) | Value::LongText(text) if !text.is_empty() => texts.push(text),
        Value::Plain(text) => texts.push(text.into_bytes()),
        Value::Struct(members) => {
            for (_, member) in members {
                push_texts(member, texts);
            }
        }
        Value::List(elements, _) => {
            for element in elements {
                push_texts(element, texts);
            }
        }
        // The current directory was not chosen by this call.
        Value::File(of, file) if matches!(*of, Value::Signed(_)) => texts.push(file),
        _ => {}
    }
}

impl Harmless {
    fn fits(&self, call: &str, errno: u16, texts: &[Vec<u8>]) -> bool {
        let has_text = |part: &str| {
            let mut texts = texts.iter();
            texts.any(|text| memmem::find(text, part.as_bytes()).is_some())
        };
        (self.calls.is_empty() || self.calls.contains(&call))
            && Errno(errno)
                .name()
                .is_some_and(|name| self.errnos.contains(&name))
            && (self.text.is_empty() || has_text(self.text))
    }
}

/// Returns true if programs that work have this failure, too, whatever the arguments are.
pub(crate) fn is_harmless(call: &str, errno: u16) -> bool {
    HARMLESS.iter().any(|kind| kind.fits(call, errno, &[]))
}
