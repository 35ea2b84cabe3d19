// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel said in words, in the JSON output.

use serde::Serialize;

use crate::render::RenderContext;
use crate::session::{Message, Session, messages as of_session};

/// A message of the kernel.
#[derive(Debug, Serialize)]
pub(super) struct MessageObject {
    text: String,
    /// `printk`, `netlink`, `fs_context`, or `bpf`.
    source: &'static str,
    /// `decided`: while the culprit decided; `nearby`: in the same session.
    when: &'static str,
}

/// Returns what was said in a session, in order.
pub(super) fn messages(session: &Session, context: &RenderContext<'_>) -> Vec<MessageObject> {
    let object = |message: Message| MessageObject {
        text: String::from_utf8_lossy(&message.text).into_owned(),
        source: message.speaker.name(),
        when: if message.certain { "decided" } else { "nearby" },
    };
    let all = of_session(session, context.sources);
    all.into_iter().map(object).collect()
}
