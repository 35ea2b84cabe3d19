// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the trail: callees are suspects by the errors they make, by their types and by whether
//! they are traced.

use std::rc::Rc;

use super::only_callee;
use crate::code::{Errnos, ResultUse, TrailCallee, TrailFacts};
use crate::session::{CodeLevel, Trail};
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

fn level(facts: &TrailFacts, excluded: &[bool]) -> CodeLevel {
    CodeLevel {
        facts: Rc::new(facts.clone()),
        excluded: excluded.to_vec(),
    }
}

fn judge(outcome: Outcome, facts: &TrailFacts, excluded: &[bool]) -> Trail {
    super::judge(outcome, &level(facts, excluded), &[])
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

#[test]
fn the_function_that_alone_can_have_made_the_error_may_be_further_down() {
    let below = |name, addr| TrailCallee {
        below: Errnos::of([22]),
        ..making(name, addr, &[])
    };
    let top = level(
        &facts(&[], vec![making("traced", 1, &[22]), below("middle", 2)]),
        &[true, false],
    );
    let middle = level(
        &facts(
            &[],
            vec![making("other", 3, &[12]), making("deep", 4, &[22])],
        ),
        &[],
    );
    let deep = level(&facts(&[22], vec![making("deeper", 5, &[22])]), &[]);
    let levels = [middle, deep];
    let maker = super::judge(EINVAL, &top, &levels).maker.unwrap();
    assert_eq!(maker.function.name, "deep");
    assert_eq!(maker.function.addr, Addr(4));
    assert_eq!(maker.caller.as_deref(), Some("middle"));
    let maker = super::judge(EINVAL, &top, &[]).maker.unwrap();
    assert_eq!((&*maker.function.name, maker.caller), ("middle", None));
    // It makes the error itself, or its callee does.
    assert_eq!(only_callee(EINVAL, &levels[1]), None);
    // Two can have made it.
    let two = vec![making("one", 1, &[22]), making("two", 2, &[22])];
    assert_eq!(judge(EINVAL, &facts(&[], two.clone()), &[]).maker, None);
    let maker = judge(EINVAL, &facts(&[], two.clone()), &[false, true]).maker;
    assert_eq!(maker.unwrap().function.name, "one");
    let mut through_pointers = facts(&[], two);
    through_pointers.has_indirect = true;
    let trail = judge(EINVAL, &through_pointers, &[false, true]);
    assert_eq!(trail.maker, None);
}
