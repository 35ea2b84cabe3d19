// SPDX-License-Identifier: BSD-2-Clause
//! Sessions as a terminal shows them.

use super::{
    Detail, FailureCounts, one_line, write_end, write_others, write_reason, write_session,
};
use crate::explain::Line;
use crate::render::fixtures::{
    World, called, called_by_32_bits, function_called, hostile, incomplete, long_names, noted,
    passed_on, refused, said, story, succeeded, translated, untraced,
};
use crate::render::golden::check_golden;
use crate::render::{RenderContext, SymbolizedSession, TracerRows};
use crate::session::Session;
use crate::spec::NoteValue;

fn render(session: &Session, adjust: impl Fn(&mut RenderContext<'_>)) -> String {
    let world = World::new();
    let mut context = world.context();
    adjust(&mut context);
    let mut out = Vec::new();
    // Just what a run looks up: what else is shown has no line, and differs from the golden text.
    let frames = &world.frames(session, TracerRows::in_text(context.verbosity));
    write_session(SymbolizedSession { session, frames }, &context, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn check(golden: &str, session: &Session, adjust: impl Fn(&mut RenderContext<'_>)) {
    let text = render(session, adjust);
    assert!(
        text.lines().all(|line| line == line.trim_end()),
        "trailing blanks in {golden}"
    );
    check_golden(golden, &text);
}

fn verdict(adjust: impl Fn(&mut RenderContext<'_>)) -> String {
    let world = World::new();
    let mut context = world.context();
    adjust(&mut context);
    let mut out = Vec::new();
    let (story, told) = story();
    let lines = Line::all(&told);
    let verdict = story.verdict(&told, &lines, &|_| Vec::new());
    for (reason, detail) in verdict.reasons.iter().zip([Detail::Stack, Detail::Verdict]) {
        let session = reason.session;
        let frames = &world.frames(session, TracerRows::LeftOut);
        let shown = SymbolizedSession { session, frames };
        write_reason(reason, shown, detail, &context, &mut out).unwrap();
    }
    write_others(&verdict.reasons, &context, &mut out).unwrap();
    let (n_failures, n_processes) = story.counts();
    let counts = FailureCounts {
        n_failures,
        n_processes,
        n_forgotten: 0,
    };
    write_end(counts, Some(1), &context, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_verdict_has_the_reason_first_and_then_what_else_failed() {
    check_golden("verdict.txt", &verdict(|_| {}));
    check_golden("verdict_v.txt", &verdict(|context| context.verbosity = 1));
}

#[test]
fn one_line_has_the_call_and_the_culprit() {
    let world = World::new();
    let lines = [called(), passed_on(), hostile()].map(|session| {
        let frames = &world.frames(&session, TracerRows::LeftOut);
        let shown = SymbolizedSession {
            session: &session,
            frames,
        };
        one_line(shown, &world.context()) + "\n"
    });
    check_golden("oneline.txt", &lines.concat());
}

#[test]
fn a_failure_that_travels_up_is_shown_with_its_culprit_marked() {
    check("passed_on.txt", &passed_on(), |_| {});
}

#[test]
fn what_else_happened_is_listed_in_order() {
    check("noted.txt", &noted(), |_| {});
    check("called.txt", &called(), |_| {});
    check("called_by_32_bits.txt", &called_by_32_bits(), |_| {});
    check("function_called.txt", &function_called(), |_| {});
    check("noted_60.txt", &noted(), |context| context.width = Some(60));
}

#[test]
fn what_the_kernel_said_is_told_below_the_call() {
    check("said.txt", &said(), |_| {});
    check("said_v.txt", &said(), |context| context.verbosity = 1);
}

#[test]
fn of_many_messages_the_last_ones_are_told() {
    let mut many = said();
    let last = many.notes[2].clone();
    many.notes = (0..9)
        .map(|number| {
            let mut note = last.clone();
            note.values = vec![NoteValue::Text(vec![b'a' + number])];
            note
        })
        .collect();
    let text = render(&many, |_| {});
    assert!(text.contains("kernel said 5 more before (-v shows it)\nkernel said \"f\"\n"));
    assert!(render(&many, |context| context.verbosity = 1).contains("kernel said \"a\"\n"));
}

#[test]
fn a_refusal_is_told_with_its_rule_and_who_asked() {
    check("refused.txt", &refused(), |_| {});
    // The note is of a call that was made later, so it does not explain the culprit.
    let mut later = refused();
    later.notes[0].n_started = 4;
    assert!(!render(&later, |_| {}).contains("refused by"));
}

#[test]
fn b6_handled_failures_stand_apart_and_a_translation_is_told_where_it_happens() {
    check("translated.txt", &translated(), |_| {});
}

#[test]
fn what_is_missing_is_said() {
    check("incomplete.txt", &incomplete(), |_| {});
}

#[test]
fn hostile_names_and_records_reach_the_terminal_as_plain_text() {
    check("hostile.txt", &hostile(), |_| {});
    let text = render(&hostile(), |context| context.verbosity = 2);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn a_success_has_no_culprit() {
    check("succeeded.txt", &succeeded(), |_| {});
}

#[test]
fn verbosity_adds_addresses_and_then_the_rows_of_the_tracing() {
    check("verbose1.txt", &passed_on(), |context| {
        context.verbosity = 1
    });
    check("verbose2.txt", &passed_on(), |context| {
        context.verbosity = 2
    });
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    check("color.txt", &translated(), |context| context.color = true);
    let colored = render(&translated(), |context| context.color = true);
    let mut plain = String::new();
    let mut parts = colored.split("\x1b[");
    plain.push_str(parts.next().unwrap());
    for part in parts {
        plain.push_str(part.split_once('m').unwrap().1);
    }
    assert_eq!(plain, render(&translated(), |_| {}));
}

#[test]
fn lines_fit_the_terminal_whatever_its_width() {
    for session in [
        passed_on(),
        translated(),
        incomplete(),
        hostile(),
        long_names(),
        untraced(Some(false), &["bpf_obj_name_cpy", "memdup_user"], true),
    ] {
        for width in (0..140).chain([1000]) {
            let text = render(&session, |context| context.width = Some(width));
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width), "{longest:?} > {width}\n{text}");
        }
    }
}

#[test]
fn where_the_trail_ends_it_says_who_else_it_may_be() {
    let said = |made_here, callees: &[&str], through_pointers| {
        let text = render(&untraced(made_here, callees, through_pointers), |_| {});
        let (_, behind) = text.split_once("culprit (probably): ").unwrap();
        behind.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(
        said(Some(true), &["memdup_user"], false),
        "  or an untraced callee: memdup_user (trace it: -a memdup_user)"
    );
    assert_eq!(
        said(Some(true), &["kstrtouint"], false),
        "  or an untraced callee: kstrtouint (cannot be traced)"
    );
    assert_eq!(
        said(Some(true), &["kstrtouint", "a"], false),
        "  or an untraced callee: kstrtouint (cannot be traced), a (trace it: -a a)"
    );
    assert_eq!(
        said(None, &["a", "b", "c", "d", "e", "f"], true),
        "  or an untraced callee: a, b, c, d, 2 more, or one called through a pointer \
         (trace them: -a a -a b -a c -a d)"
    );
    assert_eq!(
        said(Some(true), &[], true),
        "  or what it calls through a pointer"
    );
    assert_eq!(
        said(Some(false), &["a", "\x1b[1m"], false),
        "  its own code does not make -EINVAL: an untraced callee does: a, \\x1b[1m \
         (trace them: -a a -a \\x1b[1m)"
    );
    assert_eq!(
        said(Some(false), &[], true),
        "  its own code does not make -EINVAL: what it calls through a pointer does, \
         or it was handed one, in an argument or in memory"
    );
    assert_eq!(
        said(Some(false), &[], false),
        "  its own code does not make -EINVAL: it was handed one, in an argument or in memory"
    );
    assert_eq!(said(Some(true), &[], false), ""); // the blank line after the session
}

#[test]
fn narrow_terminals_lose_directories_before_sources_and_sources_before_names() {
    check("long_names.txt", &long_names(), |_| {});
    check("long_names_120.txt", &long_names(), |context| {
        context.width = Some(120)
    });
    check("passed_on_80.txt", &passed_on(), |context| {
        context.width = Some(80)
    });
    check("translated_60.txt", &translated(), |context| {
        context.width = Some(60)
    });
}
