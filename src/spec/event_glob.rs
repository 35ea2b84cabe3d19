// SPDX-License-Identifier: BSD-2-Clause
//! Globs over tracepoints: `tp:sched:sched_process_*`, `rawtp:sys_exit`.

use super::name_glob::{NameGlob, Subject};

/// A glob over tracepoints.
#[derive(Clone, Debug)]
pub enum EventGlob {
    /// Events of tracefs, by category and name, with their fields.
    Tracepoint {
        /// The category: a directory below `events`.
        category: NameGlob,
        /// The name of the event.
        name: NameGlob,
    },
    /// Raw tracepoints, with their arguments.
    RawTracepoint(NameGlob),
}

impl EventGlob {
    /// Parses a glob of tracepoints. Returns `None` if the text begins like none.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "tp" | "tracepoint" => Some(Self::of_events(rest)),
            "rawtp" | "raw_tracepoint" => Some(Self::of_raw(rest)),
            _ => None,
        }
    }

    fn of_events(rest: &str) -> Result<Self, String> {
        match rest.split_once(':') {
            Some((category, name)) if !category.is_empty() && !name.is_empty() => {
                Ok(Self::Tracepoint {
                    category: NameGlob::new(category, Subject::Tracepoint)?,
                    name: NameGlob::new(name, Subject::Tracepoint)?,
                })
            }
            _ => Err(
                "tracepoints are written tp:CATEGORY:NAME, such as `tp:sched:sched_process_exec`"
                    .to_owned(),
            ),
        }
    }

    fn of_raw(rest: &str) -> Result<Self, String> {
        if rest.is_empty() {
            return Err(
                "raw tracepoints are written rawtp:NAME, such as `rawtp:sched_process_exec`"
                    .to_owned(),
            );
        }
        Ok(Self::RawTracepoint(NameGlob::new(
            rest,
            Subject::Tracepoint,
        )?))
    }
}

#[cfg(test)]
mod tests {
    use super::EventGlob;

    fn parse(text: &str) -> Result<EventGlob, String> {
        EventGlob::parse(text).unwrap()
    }

    #[test]
    fn a_tracepoint_has_a_category_and_a_name() {
        let EventGlob::Tracepoint { category, name } = parse("tp:sched:sched_*").unwrap() else {
            panic!("not a tracepoint");
        };
        assert!(category.matches("sched") && name.matches("sched_switch"));
        let EventGlob::RawTracepoint(name) = parse("rawtp:sys_{enter,exit}").unwrap() else {
            panic!("not a raw tracepoint");
        };
        assert!(name.matches("sys_exit"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for text in ["tp:sched", "tp:", "tp::a", "tp:a:"] {
            let why = parse(text).unwrap_err();
            assert!(why.contains("tp:CATEGORY:NAME"), "{text}: {why}");
        }
        assert!(parse("rawtp:").unwrap_err().contains("rawtp:NAME"));
        assert!(parse("tp:a b:c").is_err());
        assert!(EventGlob::parse("tcp_*").is_none());
        assert!(EventGlob::parse("u:libc:open").is_none());
    }
}
