// SPDX-License-Identifier: BSD-2-Clause
//! The fields of tracepoints: of events in tracefs by their `format` files, of raw tracepoints by
//! the kernel's types.

use super::btf::Btf;
use crate::spec::{FieldFormat, NoteField};

/// Fields that every event begins with: they say what the event is, and which task it was.
const COMMON_PREFIX: &str = "common_";

/// Parses the `format` file of an event, such as
/// `field:__data_loc char[] msg; offset:8; size:4; signed:0;`. Lines that are no fields are skipped.
#[must_use]
pub fn parse_format(text: &str) -> Vec<NoteField> {
    text.lines().filter_map(parse_field).collect()
}

fn parse_field(line: &str) -> Option<NoteField> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?.trim();
    let mut number = |name: &str| -> Option<u32> {
        let text = parts.next()?.strip_prefix(name)?;
        text.trim().parse().ok()
    };
    let offset = number("offset:")?;
    let size = number("size:")?;
    let is_signed = number("signed:").unwrap_or(0) != 0;
    let (typ, name) = declaration.rsplit_once(' ')?;
    // `char comm[16]` has the dimension behind the name, `char[] msg` behind the type.
    let (name, dimension) = match name.split_once('[') {
        Some((name, dimension)) => (name, Some(dimension)),
        None => (name, typ.split_once('[').map(|(_, dimension)| dimension)),
    };
    if name.is_empty() || name.starts_with(COMMON_PREFIX) {
        return None;
    }
    let is_text = typ.split([' ', '[']).any(|word| word == "char");
    let format = if typ.starts_with("__data_loc") && is_text {
        FieldFormat::LocatedText
    } else if typ.starts_with("__rel_loc") && is_text {
        FieldFormat::RelativeText
    } else if dimension.is_some() && is_text {
        FieldFormat::Text
    } else if dimension.is_some() || !matches!(size, 1 | 2 | 4 | 8) {
        FieldFormat::Bytes
    } else if typ.contains('*') {
        FieldFormat::Hex
    } else if is_signed {
        FieldFormat::Signed
    } else {
        FieldFormat::Unsigned
    };
    Some(NoteField {
        name: name.to_owned(),
        offset,
        size,
        format,
    })
}

/// Returns how many bytes of an event's record to note: the fixed fields, and if there are texts
/// behind them, as many as fit into `most`.
#[must_use]
pub fn record_size(fields: &[NoteField], most: u32) -> u32 {
    if fields.iter().any(NoteField::is_elsewhere) {
        return most;
    }
    let ends = fields
        .iter()
        .map(|field| field.offset.saturating_add(field.size));
    let end = ends.max().unwrap_or_default().clamp(8, most);
    end.next_multiple_of(8).min(most)
}

impl Btf {
    /// Returns the names of all raw tracepoints that the kernel's types describe.
    pub fn raw_tracepoints(&self) -> impl Iterator<Item = &str> {
        self.typedefs()
            .filter_map(|name| name.strip_prefix("btf_trace_"))
    }

    /// Returns the arguments of a raw tracepoint; `None` if its type is not known.
    #[must_use]
    pub fn raw_tracepoint(&self, name: &str) -> Option<Vec<NoteField>> {
        let parameters = self.parameters_of_typedef(&format!("btf_trace_{name}"))?;
        // The first one is the data of whoever is attached.
        let arguments = parameters.into_iter().skip(1).zip(0..);
        let field = |(parameter, index): (super::btf::Parameter, u32)| NoteField {
            format: match (parameter.is_pointer, parameter.is_signed) {
                (true, _) => FieldFormat::Hex,
                (false, true) => FieldFormat::Signed,
                (false, false) => FieldFormat::Unsigned,
            },
            // Most kernels have no names in these types.
            name: if parameter.name.is_empty() {
                format!("arg{index}")
            } else {
                parameter.name
            },
            offset: 8 * index,
            size: parameter.size,
        };
        Some(arguments.map(field).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_format, record_size};
    use crate::kernel::btf::Btf;
    use crate::kernel::btf::builder::Builder;
    use crate::spec::FieldFormat;

    const SWITCH: &str = "name: sched_switch\nID: 323\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\
        \tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n\
        \tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;\n\n\
        print fmt: \"prev_comm=%s field:x\", REC->prev_comm\n";

    #[test]
    fn fields_are_read_from_the_format_file() {
        let fields = parse_format(SWITCH);
        let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        assert_eq!(names, ["prev_comm", "prev_pid", "prev_state"]);
        assert_eq!(fields[0].format, FieldFormat::Text);
        assert_eq!(fields[1].format, FieldFormat::Signed);
        assert_eq!((fields[2].offset, fields[2].size), (32, 8));
        assert_eq!(record_size(&fields, 248), 40);
    }

    #[test]
    fn texts_behind_the_fields_are_noted_too() {
        let console = "\tfield:__data_loc char[] msg;\toffset:8;\tsize:4;\tsigned:0;\n\
            \tfield:__rel_loc char[] rel;\toffset:12;\tsize:4;\tsigned:0;\n\
            \tfield:__data_loc u8[] raw;\toffset:16;\tsize:4;\tsigned:0;\n\
            \tfield:const void * at;\toffset:24;\tsize:8;\tsigned:0;\n\
            \tfield:u8 mac[6];\toffset:32;\tsize:6;\tsigned:0;\n\
            \tfield:unsigned int flags;\toffset:40;\tsize:4;\tsigned:0;\n";
        let fields = parse_format(console);
        let formats: Vec<&FieldFormat> = fields.iter().map(|field| &field.format).collect();
        assert_eq!(
            formats,
            [
                &FieldFormat::LocatedText,
                &FieldFormat::RelativeText,
                &FieldFormat::Bytes,
                &FieldFormat::Hex,
                &FieldFormat::Bytes,
                &FieldFormat::Unsigned,
            ]
        );
        assert_eq!(record_size(&fields, 248), 248);
        assert_eq!(record_size(&[], 248), 8);
    }

    #[test]
    fn damaged_lines_are_no_fields() {
        for line in [
            "field:",
            "field:int x; offset:a;",
            "field:x; offset:1; size:2;",
            "field",
        ] {
            assert!(parse_format(line).is_empty(), "{line}");
        }
        let endless =
            parse_format("field:char x[9];\toffset:4294967295;\tsize:4294967295;\tsigned:0;");
        assert_eq!(record_size(&endless, 248), 248);
    }

    #[test]
    fn arguments_of_raw_tracepoints_come_from_types() {
        let mut types = Builder::kernel();
        let int = types.int("int", 4, 1);
        let task = types.raw(7, "task_struct", 0, 0);
        let task = types.pointer(task);
        let proto = types.raw(13, "", 3, 0);
        types.parameters(&[("__data", task), ("task", task), ("code", int)]);
        let proto = types.pointer(proto);
        types.typedef("btf_trace_exit", proto);
        types.typedef("other", int);
        let btf = Btf::parse(types.build(), None).unwrap();
        assert_eq!(btf.raw_tracepoints().collect::<Vec<_>>(), ["exit"]);
        let fields = btf.raw_tracepoint("exit").unwrap();
        assert_eq!(fields[0].format, FieldFormat::Hex);
        assert_eq!(
            (&*fields[1].name, fields[1].offset, fields[1].size),
            ("code", 8, 4)
        );
        assert_eq!(btf.raw_tracepoint("other"), None);
    }
}
