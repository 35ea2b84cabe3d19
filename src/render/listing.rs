// SPDX-License-Identifier: BSD-2-Clause
//! Output of `list functions`: a line or a JSON object for each function.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;

const SCHEMA: u32 = 1;

/// A function, and whether it can be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFunction {
    /// Name as in kallsyms.
    pub name: String,
    /// Name of the module; `None` for the kernel itself.
    pub module: Option<String>,
    /// Name of the back end that would trace it, or why none can.
    pub backend: Result<String, String>,
    /// Its prototype, such as `int map_create(union bpf_attr *attr, bpfptr_t uattr)`; `None` if
    /// unknown.
    pub prototype: Option<String>,
    /// File and line of its definition; `None` if unknown.
    pub source: Option<(String, u32)>,
}

#[derive(Serialize)]
struct ListedFunctionObject<'a> {
    schema: u32,
    kind: &'static str,
    name: &'a str,
    module: Option<&'a str>,
    traceable: bool,
    backend: Option<&'a str>,
    reason: Option<&'a str>,
    prototype: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

/// Writes the functions as text, one per line.
///
/// # Errors
///
/// When writing fails.
pub fn write_text(functions: &[ListedFunction], out: &mut dyn Write) -> io::Result<()> {
    for function in functions {
        let backend = function.backend.as_deref().unwrap_or("-");
        write!(out, "{backend:<16} ")?;
        let text = function.prototype.as_ref().unwrap_or(&function.name);
        write!(out, "{}", escape(text.as_bytes()))?;
        // A clone has the prototype of its original function, but another name.
        if function.prototype.is_some() && function.name.contains('.') {
            write!(out, " {}", escape(function.name.as_bytes()))?;
        }
        if let Some(module) = &function.module {
            write!(out, " [{}]", escape(module.as_bytes()))?;
        }
        if let Some((file, line)) = &function.source {
            write!(out, " ({}:{line})", escape(file.as_bytes()))?;
        }
        if let Err(reason) = &function.backend {
            write!(out, ": {}", escape(reason.as_bytes()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the functions as JSON, one object per line.
///
/// # Errors
///
/// When writing fails.
pub fn write_json(functions: &[ListedFunction], mut out: &mut dyn Write) -> io::Result<()> {
    for function in functions {
        let source = function.source.as_ref();
        let object = ListedFunctionObject {
            schema: SCHEMA,
            kind: "function",
            name: &function.name,
            module: function.module.as_deref(),
            traceable: function.backend.is_ok(),
            backend: function.backend.as_deref().ok(),
            reason: function.backend.as_ref().err().map(String::as_str),
            prototype: function.prototype.as_deref(),
            file: source.map(|(file, _)| file.as_str()),
            line: source.map(|(_, line)| *line),
        };
        serde_json::to_writer(&mut out, &object)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{ListedFunction, write_json, write_text};

    fn functions() -> Vec<ListedFunction> {
        let function = |name: &str, backend: Result<&str, &str>| ListedFunction {
            name: name.to_owned(),
            module: None,
            backend: backend.map(str::to_owned).map_err(str::to_owned),
            prototype: None,
            source: None,
        };
        let mut create = function("map_create", Ok("fentry"));
        create.prototype = Some("int map_create(union bpf_attr *attr)".to_owned());
        create.source = Some(("kernel/bpf/syscall.c".to_owned(), 1100));
        let mut clone = function("check.isra.0", Ok("kprobe-session"));
        clone.prototype = Some("int check(void)".to_owned());
        let mut evil = function("x\x1b[2J", Err("never returns"));
        evil.module = Some("\u{202e}".to_owned());
        vec![create, clone, evil]
    }

    #[test]
    fn a_line_has_back_end_prototype_module_source_and_reason() {
        let mut out = Vec::new();
        write_text(&functions(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "fentry           int map_create(union bpf_attr *attr) (kernel/bpf/syscall.c:1100)\n\
             kprobe-session   int check(void) check.isra.0\n\
             -                x\\x1b[2J [\\u{202e}]: never returns\n"
        );
    }

    #[test]
    fn an_object_has_every_key() {
        let mut out = Vec::new();
        write_json(&functions(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let objects: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects[0]["line"], 1100);
        assert_eq!(objects[0]["traceable"], true);
        assert_eq!(objects[2]["reason"], "never returns");
        assert_eq!(objects[2]["backend"], Value::Null);
        for object in objects {
            assert_eq!(object.as_object().unwrap().len(), 10);
        }
    }
}
