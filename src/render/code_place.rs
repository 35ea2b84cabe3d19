// SPDX-License-Identifier: BSD-2-Clause
//! Output of `symbolize`: an address as a block of rows or as a JSON object, the innermost function
//! first.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::escape;
use crate::spec::Addr;
use crate::symbolize::{Frame, SourceLine, SymbolAt};

const SCHEMA: u32 = 1;

/// One function of the chain at an address.
struct FrameRow<'a> {
    function: Cow<'a, str>,
    source: Option<&'a SourceLine>,
}

fn rows(frame: &Frame) -> impl Iterator<Item = FrameRow<'_>> {
    let inlined = frame.inlined.iter().rev().map(|inlined| FrameRow {
        function: Cow::Borrowed(&inlined.function),
        source: inlined.source.as_ref(),
    });
    let symbol = frame.symbol.as_ref();
    let outermost = FrameRow {
        function: symbol.map_or(Cow::Borrowed("??"), SymbolAt::written_name),
        source: frame.source.as_ref(),
    };
    inlined.chain([outermost])
}

/// Writes a row for each function: `function file:line`. The row of the outermost function also has
/// the module.
///
/// # Errors
///
/// When writing fails.
pub fn write_rows(frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
    let n_rows = frame.inlined.len() + 1;
    for (number, row) in rows(frame).enumerate() {
        write!(out, "{} ", escape(row.function.as_bytes()))?;
        match row.source {
            Some(source) => write!(out, "{}:{}", escape(source.path.as_bytes()), source.line)?,
            None => write!(out, "??:0")?,
        }
        let module = frame
            .symbol
            .as_ref()
            .and_then(|symbol| symbol.module.as_ref());
        if let Some(module) = module
            && number + 1 == n_rows
        {
            write!(out, " [{}]", escape(module.as_bytes()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PlaceObject<'a> {
    schema: u32,
    kind: &'static str,
    address: String,
    input_line: Option<u64>,
    symbol: Option<&'a str>,
    offset: Option<u64>,
    size: Option<u64>,
    module: Option<&'a str>,
    frames: Vec<FrameObject<'a>>,
}

#[derive(Serialize)]
struct FrameObject<'a> {
    function: Option<Cow<'a, str>>,
    file: Option<&'a str>,
    line: Option<u32>,
    inlined: bool,
}

/// Writes an address as a JSON object on one line. `input_line` is the number of the input line
/// that it was found on.
///
/// # Errors
///
/// When writing fails.
pub fn write_json(
    addr: Addr,
    frame: &Frame,
    input_line: Option<u64>,
    mut out: &mut dyn Write,
) -> io::Result<()> {
    let symbol = frame.symbol.as_ref();
    let n_inlined = frame.inlined.len();
    let frames = rows(frame).enumerate().map(|(number, row)| {
        let is_inlined = number < n_inlined;
        FrameObject {
            function: (is_inlined || symbol.is_some()).then_some(row.function),
            file: row.source.map(|source| &*source.path),
            line: row.source.map(|source| source.line),
            inlined: is_inlined,
        }
    });
    let object = PlaceObject {
        schema: SCHEMA,
        kind: "address",
        address: format!("{:#x}", addr.0),
        input_line,
        symbol: symbol.map(|symbol| &*symbol.name),
        offset: symbol.map(|symbol| symbol.offset),
        size: symbol.map(|symbol| symbol.size),
        module: symbol.and_then(|symbol| symbol.module.as_deref()),
        frames: frames.collect(),
    };
    serde_json::to_writer(&mut out, &object)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{write_json, write_rows};
    use crate::spec::Addr;
    use crate::symbolize::{Frame, Inlined, SourceLine, SymbolAt};

    fn frame() -> Frame {
        let source = |line| {
            Some(SourceLine {
                path: "mm/\x1bslab.c".into(),
                line,
            })
        };
        Frame {
            symbol: Some(SymbolAt {
                name: "kfree".into(),
                module: Some("x\u{202e}".into()),
                offset: 3,
                size: 9,
            }),
            source: source(7),
            inlined: vec![Inlined {
                function: "inner\x07".into(),
                source: source(8),
            }],
        }
    }

    #[test]
    fn rows_begin_with_the_innermost_and_are_safe() {
        let mut out = Vec::new();
        write_rows(&frame(), &mut out).unwrap();
        write_rows(&Frame::default(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "inner\\x07 mm/\\x1bslab.c:8\nkfree mm/\\x1bslab.c:7 [x\\u{202e}]\n?? ??:0\n"
        );
    }

    #[test]
    fn an_object_has_every_key() {
        let mut out = Vec::new();
        write_json(Addr(0x10), &frame(), Some(4), &mut out).unwrap();
        let object: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(object["address"], "0x10");
        assert_eq!(object["frames"][0]["inlined"], true);
        assert_eq!(object["frames"][1]["line"], 7);
        assert_eq!(object.as_object().unwrap().len(), 9);
    }
}
