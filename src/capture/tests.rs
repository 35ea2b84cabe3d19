// SPDX-License-Identifier: BSD-2-Clause
//! Recordings are unchanged after writing and reading. Hostile ones are errors.

use super::{
    RecordedFate, RecordedFunction, RecordedLine, RecordedSymbol, RecordedTrail, Recording,
};
use crate::code::{
    Errnos, FlowQuestion, Repetition, ResultFate, ResultUse, Returned, TrailCallee, TrailFacts,
};
use crate::select::TracedFunction;
use crate::spec::{Addr, EntryReason, Hook, HookId, ResultType};
use crate::symbolize::{Inlined, SourceLine};

fn trail() -> TrailFacts {
    TrailFacts {
        makes: Errnos::of([22]),
        has_table: false,
        has_indirect: true,
        callees: vec![TrailCallee {
            name: "callee".to_owned(),
            module: Some("ext4".to_owned()),
            addr: Addr(0x2000),
            result: ResultType::Pointer,
            used: ResultUse::Unknown,
            makes: Errnos::of([2]),
            below: Errnos::of([12, 14]),
            is_open: true,
            is_traceable: false,
        }],
    }
}

fn recording() -> Recording {
    let function = TracedFunction {
        id: HookId(2),
        name: "do_test".to_owned(),
        module: None,
        hook: Hook::KernelFunction(Addr(0x1000)),
        size: 16,
        entry: Some(EntryReason::KernelFunction),
        result: ResultType::Signed(4),
        prototype: None,
        parameters: Vec::new(),
    };
    let source = SourceLine {
        path: "fs/open.c".into(),
        line: 7,
    };
    let inlined = Inlined {
        function: "helper".into(),
        source: Some(source.clone()),
    };
    let mut recording = Recording::new("6.12".to_owned());
    recording.functions = vec![RecordedFunction::of(&function)];
    recording.symbols = vec![RecordedSymbol {
        addr: 0x1000,
        name: "do_test".to_owned(),
        module: None,
    }];
    recording.lines = vec![RecordedLine::of(Addr(0x1004), Some(&source), &[inlined])];
    recording.trails = vec![RecordedTrail::of(Addr(0x1000), &trail(), |_| Some(3))];
    recording.fates = vec![RecordedFate::of(&(question(), ResultFate::Ignored))];
    recording.push_record(&[0, 1, 0xff]);
    recording
}

fn question() -> FlowQuestion {
    let returned = |value: i64, kind| Returned {
        register: value as u64,
        kind,
    };
    FlowQuestion {
        caller: Addr(0x1000),
        callee: Addr(0x2000),
        call_site: Some(Addr(0x1010)),
        value: returned(0, ResultType::Pointer),
        result: returned(-12, ResultType::Signed(4)),
        repetition: Repetition::Again,
    }
}

#[test]
fn a_recording_is_read_back_as_it_was_written() {
    let text = recording().to_json().unwrap();
    let read = Recording::from_json(text.as_bytes()).unwrap();
    assert_eq!(read, recording());
    assert_eq!(read.records().unwrap(), [[0, 1, 0xff]]);
    let functions = read.functions().unwrap();
    assert_eq!(functions[2].result, ResultType::Signed(4));
    let answer = &read.answers()[&Addr(0x1004)];
    assert_eq!(answer.source.as_ref().unwrap().line, 7);
    assert_eq!(&*answer.inlined[0].function, "helper");
    assert_eq!(read.trails[0].facts().unwrap(), trail());
    assert_eq!(read.trails[0].callees[0].traced_since, Some(3));
    let answer = read.fates[0].answer().unwrap();
    assert_eq!(answer, (question(), ResultFate::Ignored));
}

#[test]
fn hostile_recordings_are_errors() {
    assert!(Recording::from_json(b"").is_err());
    assert!(Recording::from_json(b"{}").is_err());
    let other = recording()
        .to_json()
        .unwrap()
        .replace("\"version\": 1", "\"version\": 9");
    assert!(Recording::from_json(other.as_bytes()).is_err());
    let mut bad = recording();
    bad.records = vec!["0g".to_owned()];
    assert!(bad.records().is_err());
    bad.records = vec!["é".to_owned()];
    assert!(bad.records().is_err());
    bad.trails[0].callees[0].used = "Tasted".to_owned();
    assert!(bad.trails[0].facts().is_err());
    bad.fates[0].fate = "Eaten".to_owned();
    assert!(bad.fates[0].answer().is_err());
    bad.functions[0].id = u32::MAX;
    assert!(bad.functions().is_err());
}
