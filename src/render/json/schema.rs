// SPDX-License-Identifier: BSD-2-Clause
//! Implements the part of JSON Schema that `tests/data/session.schema.json` uses. It panics at
//! unknown keywords, so that no part of the schema is ignored.

use serde_json::Value;

/// Returns the violations of `schema` in `value`, with their paths.
pub(super) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let words = schema.as_object().unwrap();
    let mut fail = |what: String| found.push(format!("{path}: {what}"));
    for (word, rule) in words {
        let holds = match word.as_str() {
            "description"
            | "title"
            | "$schema"
            | "$defs"
            | "properties"
            | "items"
            | "additionalProperties"
            | "$ref" => true,
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| has_type(value, name)),
                name => has_type(value, name),
            },
            "minimum" => value
                .as_i64()
                .is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value
                .as_i64()
                .is_none_or(|number| number <= rule.as_i64().unwrap()),
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let keys = rule.as_array().unwrap();
                value.as_object().is_none_or(|object| {
                    keys.iter()
                        .all(|key| object.contains_key(key.as_str().unwrap()))
                })
            }
            "oneOf" | "anyOf" => {
                let fits = |rule: &&Value| {
                    let mut found = Vec::new();
                    check(root, rule, value, path, &mut found);
                    found.is_empty()
                };
                let fitting = rule.as_array().unwrap().iter().filter(fits).count();
                fitting == 1 || (fitting > 1 && word == "anyOf")
            }
            unknown => panic!("`{unknown}` is not checked"),
        };
        if !holds {
            fail(format!("`{word}` does not hold for {value}"));
        }
    }
    if let Some(name) = words.get("$ref") {
        let pointer = name.as_str().unwrap().strip_prefix('#').unwrap();
        check(root, root.pointer(pointer).unwrap(), value, path, found);
    }
    check_parts(root, schema, value, path, found);
}

fn check_parts(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let (Some(rule), Some(items)) = (schema.get("items"), value.as_array()) {
        for (index, item) in items.iter().enumerate() {
            check(root, rule, item, &format!("{path}[{index}]"), found);
        }
    }
    let Some(rules) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, part) in value.as_object().into_iter().flatten() {
        match rules.get(key) {
            Some(rule) => check(root, rule, part, &format!("{path}.{key}"), found),
            None => found.push(format!("{path}: `{key}` is not in the schema")),
        }
    }
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("type `{unknown}` is not checked"),
    }
}
