// SPDX-License-Identifier: BSD-2-Clause
//! Which limit was reached, its value, and how much of it is used.

use super::decide::Facts;
use crate::knowledge::refusals::{COUNTER_SETTINGS, LIMITS_OF_FUNCTIONS};

const EAGAIN: u16 = 11;
const ENOMEM: u16 = 12;
const EMFILE: u16 = 24;
const EFBIG: u16 = 27;

/// The number of `RLIMIT_NPROC` in `enum rlimit_type`.
const PROCESSES: &str = "UCOUNT_RLIMIT_NPROC";

/// Above it, a number means that there is no limit.
const NO_LIMIT: u64 = i64::MAX as u64;

/// Bytes of a page. Other sizes are not traced.
const PAGE: u64 = 4096;

/// Returns the limit that was reached, by what the function `source` has noted; `None` if that does
/// not explain this error.
pub(super) fn decide(source: &str, errno: u16, facts: &Facts<'_>) -> Option<String> {
    let limit = || facts.number("limit").filter(|limit| *limit < NO_LIMIT);
    match source {
        "alloc_fd" | "__alloc_fd" if errno == EMFILE => Some(format!(
            "RLIMIT_NOFILE (ulimit -n) is {}, and no descriptor below is free",
            limit()?
        )),
        "is_rlimit_overlimit" | "is_ucounts_overlimit"
            if errno == EAGAIN && facts.shown("type") == PROCESSES =>
        {
            let used = match facts.number("used") {
                Some(used) => format!("; the user has {used} processes and threads"),
                None => String::new(),
            };
            Some(format!("RLIMIT_NPROC (ulimit -u) is {}{used}", limit()?))
        }
        "pids_can_fork" if errno == EAGAIN => pids(facts),
        "inc_ucount" => counter(facts),
        "generic_write_check_limits" if errno == EFBIG => {
            let position = facts.number("position")?;
            match limit().filter(|limit| *limit <= position) {
                Some(limit) => Some(format!(
                    "RLIMIT_FSIZE (ulimit -f) is {limit} bytes; writing at {position}"
                )),
                None => Some(format!(
                    "files of this file system end at {} bytes; writing at {position}",
                    facts.shown("largest")
                )),
            }
        }
        "do_mlock" if errno == ENOMEM => memory("RLIMIT_MEMLOCK (ulimit -l)", "locked", facts),
        "mmap_region" if errno == ENOMEM => memory("RLIMIT_AS (ulimit -v)", "mapped", facts),
        _ => None,
    }
}

/// Returns the limit that a function holds.
pub(super) fn of_function(function: &str, errno: u16) -> Option<String> {
    let mut known = LIMITS_OF_FUNCTIONS.iter();
    let (.., setting) = known.find(|(name, of, _)| *name == function && *of == errno)?;
    Some((*setting).to_owned())
}

/// The limit may be that of a control group above.
fn pids(facts: &Facts<'_>) -> Option<String> {
    let (limit, used) = (facts.number("limit")?, facts.number("used")?);
    Some(if used >= limit {
        format!("pids.max of the control group is {limit}; it has {used} processes and threads")
    } else {
        format!("pids.max of a control group above; the own one has {used} processes and threads")
    })
}

fn counter(facts: &Facts<'_>) -> Option<String> {
    let name = facts.shown("type");
    let (_, setting) = COUNTER_SETTINGS.iter().find(|(of, _)| *of == name)?;
    let Some(limit) = facts.number(&name) else {
        return Some((*setting).to_owned());
    };
    Some(format!("{setting} is {limit} for each user"))
}

/// A limit of bytes of which pages are used. `None` if what was wanted was within it.
fn memory(name: &str, verb: &str, facts: &Facts<'_>) -> Option<String> {
    let limit = facts.number("limit").filter(|limit| *limit < NO_LIMIT)?;
    let (wanted, pages) = (facts.number("wanted")?, facts.number("pages")?);
    let used = pages.saturating_mul(PAGE);
    (used.saturating_add(wanted) > limit).then(|| {
        format!("{name} is {limit} bytes; {used} bytes are {verb}, {wanted} more were wanted")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{FieldFormat, NoteField, NoteKind, NoteSource, NoteValue};

    fn told(source: &str, errno: u16, values: &[(&str, NoteValue)]) -> Option<String> {
        let field = |(name, _): &(&str, NoteValue)| NoteField {
            name: (*name).to_owned(),
            offset: 0,
            size: 8,
            format: FieldFormat::Unsigned,
        };
        let noted = NoteSource {
            name: source.to_owned(),
            kind: NoteKind::Refusal,
            fields: values.iter().map(field).collect(),
        };
        let values: Vec<NoteValue> = values.iter().map(|(_, value)| value.clone()).collect();
        decide(source, errno, &Facts::new(&noted, &values))
    }

    fn number(number: u64) -> NoteValue {
        NoteValue::Unsigned(number)
    }

    #[test]
    fn memory_counts_only_where_the_limit_is_what_was_exceeded() {
        let mapped = |limit: u64, wanted: u64| {
            let values = [
                ("limit", number(limit)),
                ("wanted", number(wanted)),
                ("pages", number(2)),
            ];
            told("mmap_region", ENOMEM, &values)
        };
        assert_eq!(
            mapped(10_000, 4096).as_deref(),
            Some(
                "RLIMIT_AS (ulimit -v) is 10000 bytes; 8192 bytes are mapped, 4096 more were wanted"
            )
        );
        assert_eq!(mapped(20_000, 4096), None);
        assert_eq!(mapped(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_position_is_beyond_the_limit_of_the_task_or_of_the_file_system() {
        let write = |limit: u64| {
            let values = [
                ("limit", number(limit)),
                ("position", number(4000)),
                ("largest", number(3000)),
            ];
            told("generic_write_check_limits", EFBIG, &values).unwrap()
        };
        assert!(write(1000).starts_with("RLIMIT_FSIZE (ulimit -f) is 1000 bytes"));
        assert!(write(u64::MAX).starts_with("files of this file system end at 3000 bytes"));
    }

    #[test]
    fn a_group_above_may_have_the_limit() {
        let fork = |limit: u64| {
            let values = [("limit", number(limit)), ("used", number(7))];
            told("pids_can_fork", EAGAIN, &values).unwrap()
        };
        assert!(fork(7).starts_with("pids.max of the control group is 7; it has 7"));
        assert!(fork(9).starts_with("pids.max of a control group above"));
    }

    #[test]
    fn counters_and_processes_are_known_by_the_names_of_their_kinds() {
        let kind = |name: &str| ("type", NoteValue::Named(0, name.to_owned()));
        let watches = [
            kind("UCOUNT_INOTIFY_WATCHES"),
            ("UCOUNT_INOTIFY_WATCHES", number(3)),
        ];
        assert_eq!(
            told("inc_ucount", 28, &watches).as_deref(),
            Some("fs.inotify.max_user_watches is 3 for each user")
        );
        assert_eq!(
            told("inc_ucount", 28, &[kind("UCOUNT_TIME_NAMESPACES")]).as_deref(),
            Some("user.max_time_namespaces")
        );
        assert_eq!(told("inc_ucount", 28, &[kind("\x1b[31m")]), None);
        let processes = |name: &str| {
            told(
                "is_rlimit_overlimit",
                EAGAIN,
                &[kind(name), ("limit", number(5))],
            )
        };
        assert_eq!(
            processes(PROCESSES).as_deref(),
            Some("RLIMIT_NPROC (ulimit -u) is 5")
        );
        assert_eq!(processes("UCOUNT_RLIMIT_MEMLOCK"), None);
    }

    #[test]
    fn what_was_not_read_explains_nothing() {
        for source in [
            "alloc_fd",
            "pids_can_fork",
            "inc_ucount",
            "do_mlock",
            "mmap_region",
        ] {
            for errno in [EAGAIN, ENOMEM, EMFILE, EFBIG] {
                assert_eq!(told(source, errno, &[]), None, "{source} {errno}");
            }
        }
    }

    #[test]
    fn functions_that_hold_one_limit_are_known_by_their_names() {
        assert_eq!(
            of_function("alloc_pid", EAGAIN).as_deref(),
            Some("kernel.pid_max")
        );
        assert_eq!(of_function("alloc_pid", ENOMEM), None);
    }
}
