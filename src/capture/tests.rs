// SPDX-License-Identifier: BSD-2-Clause
//! Recordings survive writing and reading, and hostile ones are errors.

use super::{RecordedFunction, RecordedLine, RecordedSymbol, Recording};
use crate::select::{EntryPoint, TracedFunction};
use crate::spec::{Addr, FuncId, ResultType};
use crate::symbolize::{Inlined, SourceLine};

fn recording() -> Recording {
    let function = TracedFunction {
        id: FuncId(2),
        name: "do_test".to_owned(),
        module: None,
        addr: Addr(0x1000),
        size: 16,
        entry: Some(EntryPoint::KernelFunction),
        result: ResultType::Signed(4),
        prototype: None,
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
    recording.push_record(&[0, 1, 0xff]);
    recording
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
    bad.functions[0].id = u32::MAX;
    assert!(bad.functions().is_err());
}
