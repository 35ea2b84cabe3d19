// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the trail: callees are suspects by the errors they make, by their types and by whether
//! they are traced.

use super::judge;
use crate::code::{Errnos, ResultUse, TrailCallee, TrailFacts};
use crate::session::Trail;
use crate::spec::{Addr, Outcome, ResultType};

const EINVAL: Outcome = Outcome::Errno(22);

fn callee(name: &str, addr: u64, result: ResultType) -> TrailCallee {
    TrailCallee {
        name: name.to_owned(),
        module: None,
        addr: Addr(addr),
        result,
        used: ResultUse::Tested,
        makes: Errnos::default(),
        below: Errnos::default(),
        is_open: false,
        is_traceable: true,
    }
}

/// Returns a callee of type `int` that makes `errnos`.
fn making(name: &str, addr: u64, errnos: &[u16]) -> TrailCallee {
    TrailCallee {
        makes: Errnos::of(errnos.iter().copied()),
        ..callee(name, addr, ResultType::Signed(4))
    }
}

fn facts(makes: &[u16], callees: Vec<TrailCallee>) -> TrailFacts {
    TrailFacts {
        makes: Errnos::of(makes.iter().copied()),
        has_table: false,
        has_indirect: false,
        callees,
    }
}

fn names(trail: &Trail) -> Vec<&str> {
    trail.callees.iter().map(|callee| &*callee.name).collect()
}

#[test]
fn a_function_that_alone_makes_the_error_is_where_the_trail_ends() {
    let callees = vec![making("other", 1, &[12])];
    let trail = judge(EINVAL, &facts(&[22], callees), &[]);
    assert_eq!(trail.made_here, Some(true));
    assert_eq!(names(&trail), [] as [&str; 0]);
    assert!(trail.ends_here());
}

#[test]
fn untraced_callees_that_make_the_error_come_first() {
    let below = TrailCallee {
        below: Errnos::of([22]),
        ..making("below", 2, &[])
    };
    let open = TrailCallee {
        is_open: true,
        ..making("open", 1, &[])
    };
    let overlooked = TrailCallee {
        used: ResultUse::Unknown,
        ..making("overlooked", 5, &[22])
    };
    let callees = vec![
        open,
        below,
        making("traced", 3, &[22]),
        overlooked,
        making("made", 4, &[22]),
    ];
    let trail = judge(EINVAL, &facts(&[], callees), &[false, false, true]);
    assert_eq!(trail.made_here, Some(false));
    assert_eq!(names(&trail), ["made", "overlooked", "below", "open"]);
    assert!(!trail.ends_here());
}

#[test]
fn types_say_what_can_be_passed_on() {
    let with = |result, errnos: &[u16]| TrailCallee {
        makes: Errnos::of(errnos.iter().copied()),
        is_open: true,
        ..callee("kmem_alloc", 1, result)
    };
    let named = |outcome, callee| {
        let trail = judge(outcome, &facts(&[22, 12], vec![callee]), &[]);
        !trail.callees.is_empty()
    };
    let pointer = ResultType::Pointer;
    assert!(named(EINVAL, with(pointer, &[22])));
    // An unknown callee below is not enough evidence: most pointers are never an error.
    assert!(!named(EINVAL, with(pointer, &[])));
    assert!(named(Outcome::Errno(12), with(pointer, &[])));
    assert!(named(Outcome::Null, with(pointer, &[])));
    assert!(!named(Outcome::Null, with(ResultType::Signed(4), &[22])));
    assert!(named(EINVAL, with(ResultType::Signed(8), &[])));
    assert!(!named(EINVAL, with(ResultType::Unknown, &[])));
    assert!(named(Outcome::Status(1), with(ResultType::BlkStatus, &[])));
    assert!(!named(
        Outcome::Status(1),
        with(ResultType::Signed(4), &[22])
    ));
}

#[test]
fn pointers_and_tables_leave_room_for_doubt() {
    let mut facts = facts(&[22], Vec::new());
    facts.has_indirect = true;
    let trail = judge(EINVAL, &facts, &[true; 8]);
    assert!(!trail.ends_here());
    facts.has_indirect = false;
    facts.has_table = true;
    let trail = judge(Outcome::Errno(5), &facts, &[true; 8]);
    assert_eq!(trail.made_here, None);
    assert!(trail.ends_here());
    facts.has_table = false;
    // No function makes the error: it was received as an argument.
    let trail = judge(Outcome::Errno(5), &facts, &[true; 8]);
    assert_eq!(trail.made_here, Some(false));
    assert!(!trail.ends_here());
}
