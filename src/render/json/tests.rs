// SPDX-License-Identifier: BSD-2-Clause
//! Compares JSON output with its schema and with expected files.

use std::time::Duration;

use serde_json::{Value, json};

use super::schema::violations;
use super::{write_flight, write_session, write_summary, write_verdict};
use crate::explain::Line;
use crate::render::fixtures::{
    World, called, called_by_32_bits, flight, function_called, hostile, hostile_flight, incomplete,
    long_names, noted, passed_on, refused, said, story, succeeded, translated, untraced,
};
use crate::render::golden::check_golden;
use crate::render::{Detached, Drops, Missed, Summary, Unexamined, UntracedTasks};
use crate::render::{SymbolizedSession, TracerRows};
use crate::session::{DumpReason, FlightDump, Session};

const SCHEMA: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/session.schema.json"
));

fn line(session: &Session) -> String {
    let world = World::new();
    let mut out = Vec::new();
    let frames = &world.frames(session, TracerRows::Kept);
    let shown = SymbolizedSession { session, frames };
    write_session(shown, &world.context(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn flight_line(dump: &FlightDump) -> String {
    let mut out = Vec::new();
    write_flight(dump, &World::new().context(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn verdict_line() -> String {
    let (story, told) = story();
    let lines = Line::all(&told);
    let verdict = story.verdict(&told, &lines, &|_| Vec::new());
    let mut out = Vec::new();
    write_verdict(&verdict, Some(1), &World::new().context(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn summary_line() -> String {
    let summary = Summary {
        started: 10,
        shown: 1,
        filtered: 2,
        succeeded: 3,
        dropped: Drops {
            ring_full: 1,
            no_slot: 1,
            stalled: 0,
            task_exited: 1,
            abandoned: 0,
            undecodable: 0,
            unwritten: 0,
        },
        open_at_end: 1,
        untraced: UntracedTasks {
            no_room: 5,
            noticed_late: 6,
        },
        missed: Missed {
            recursion: 2,
            probes: 3,
            stacks: 4,
        },
        functions: 1781,
        run_time: Duration::from_millis(1500),
        detached: vec![Detached {
            function: "__fdget".to_owned(),
            module: None,
            rate: 250_000,
            option: "max-rate",
        }],
        unexamined: vec![Unexamined {
            call: "ioctl",
            errno: 16,
            count: 2,
        }],
    };
    let mut out = Vec::new();
    write_summary(&summary, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_object_is_one_line_that_its_schema_describes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let sessions = [
        passed_on(),
        noted(),
        said(),
        called(),
        called_by_32_bits(),
        function_called(),
        refused(),
        untraced(Some(true), &["kstrtouint"], true),
        untraced(None, &[], false),
        translated(),
        incomplete(),
        hostile(),
        long_names(),
        succeeded(),
    ];
    let flights = [
        DumpReason::Sessions(3),
        DumpReason::Signal,
        DumpReason::CommandStatus(137),
    ];
    let flights = flights.map(|reason| {
        let dump = flight();
        flight_line(&FlightDump { reason, ..dump })
    });
    let more = [
        summary_line(),
        verdict_line(),
        flight_line(&flight()),
        flight_line(&hostile_flight()),
    ];
    let lines = sessions.iter().map(line);
    for text in lines.chain(flights).chain(more) {
        assert_eq!(text.find('\n'), Some(text.len() - 1));
        let object: Value = serde_json::from_str(&text).unwrap();
        let name = &object["kind"];
        // Validating against each definition alone shows what is wrong. Both together must report
        // nothing.
        let defined = schema
            .pointer(&format!("/$defs/{}", name.as_str().unwrap()))
            .unwrap();
        let mut alone = defined.clone();
        alone["$defs"] = schema["$defs"].clone();
        assert_eq!(violations(&alone, &object), Vec::<String>::new(), "{text}");
        assert_eq!(violations(&schema, &object), Vec::<String>::new());
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut object: Value = serde_json::from_str(&summary_line()).unwrap();
    object["more"] = json!(1);
    assert!(!violations(&schema, &object).is_empty());
    object.as_object_mut().unwrap().remove("more");
    object["shown"] = json!(-1);
    assert!(!violations(&schema, &object).is_empty());
    object.as_object_mut().unwrap().remove("shown");
    assert!(!violations(&schema, &object).is_empty());
}

#[test]
fn sessions_as_json() {
    let check = |golden: &str, session: &Session| {
        let object: Value = serde_json::from_str(&line(session)).unwrap();
        check_golden(
            golden,
            &(serde_json::to_string_pretty(&object).unwrap() + "\n"),
        );
    };
    check("translated.json", &translated());
    check("passed_on.json", &passed_on());
    check("noted.json", &noted());
    check("said.json", &said());
    check("called.json", &called());
    check("called_by_32_bits.json", &called_by_32_bits());
    check("function_called.json", &function_called());
    check("refused.json", &refused());
    let untraced = untraced(Some(false), &["kstrtouint"], false);
    let value: Value = serde_json::from_str(&line(&untraced)).unwrap();
    assert_eq!(
        value["culprit"]["untraced"],
        json!({
            "made_here": false,
            "callees": [{"function": "kstrtouint", "module": null, "traceable": false}],
            "through_pointers": false,
        })
    );
    check("incomplete.json", &incomplete());
}

#[test]
fn the_summary_as_json() {
    check_golden("summary.json", &summary_line());
}

#[test]
fn the_verdict_as_json() {
    check_golden("verdict.json", &verdict_line());
}

#[test]
fn the_flight_recorder_as_json() {
    let object: Value = serde_json::from_str(&flight_line(&flight())).unwrap();
    check_golden(
        "flight.json",
        &(serde_json::to_string_pretty(&object).unwrap() + "\n"),
    );
}
