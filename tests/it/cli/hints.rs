// SPDX-License-Identifier: BSD-2-Clause
//! Hints do not rot: each option that one of them names exists.

use std::fs;
use std::path::{Path, PathBuf};

use retsnoop_rs::cli::command;

use super::golden::repository;

/// What of `text` reads like an option of ours. What stands in backticks and begins with another
/// program's name is not.
fn options(text: &str) -> Vec<String> {
    let mut own = String::new();
    for (index, piece) in text.split('`').enumerate() {
        let quoted = index % 2 == 1;
        if !quoted || piece.starts_with('-') || piece.starts_with("retsnoop-rs ") {
            own.push_str(piece);
        }
        own.push(' ');
    }
    own.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| {
            let name = word.trim_start_matches('-');
            name.len() < word.len() && name.starts_with(|c: char| c.is_ascii_alphabetic())
        })
        .map(str::to_owned)
        .collect()
}

fn exists(option: &str) -> bool {
    let command = command();
    let mut arguments = command.get_arguments();
    match option.strip_prefix("--") {
        Some(long) => arguments.any(|argument| argument.get_long() == Some(long)),
        // Letters may stand together: `-Vv`, `-ss`.
        None => option.chars().skip(1).all(|letter| {
            command
                .get_arguments()
                .any(|argument| argument.get_short() == Some(letter))
        }),
    }
}

/// The string literals of a piece of source code, as they are written.
fn literals(code: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find('"') {
        let mut end = start + 1;
        let bytes = rest.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(rest.len());
        literals.push(rest[start + 1..end].replace("\\\n", " "));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    literals
}

/// Texts of hints in the sources: the literals of each statement that makes one.
fn hints_of(source: &str) -> Vec<String> {
    const MAKERS: [&str; 5] = [
        ".hint(",
        "hinted(",
        "diag.hint(",
        "let hint =",
        "Some(similar) =>",
    ];
    let code = source.split("mod tests {").next().unwrap_or_default();
    let mut hints = Vec::new();
    for maker in MAKERS {
        for (at, _) in code.match_indices(maker) {
            let statement = &code[at..];
            let end = statement.find(";\n").unwrap_or(statement.len());
            hints.extend(literals(&statement[..end]));
        }
    }
    hints
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn options_of_hints_in_the_sources_exist() {
    let mut files = Vec::new();
    sources(&repository("src"), &mut files);
    let mut n_options = 0;
    for file in files {
        for hint in hints_of(&fs::read_to_string(&file).unwrap()) {
            for option in options(&hint) {
                n_options += 1;
                assert!(
                    exists(&option),
                    "{}: `{option}` in `{hint}`",
                    file.display()
                );
            }
        }
    }
    assert!(
        n_options > 20,
        "only {n_options} found: has the search failed?"
    );
}

#[test]
fn options_of_hints_in_the_answers_exist() {
    for entry in fs::read_dir(repository("tests/golden/cli")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for hint in text.lines().filter_map(|line| line.strip_prefix("hint: ")) {
            for option in options(hint) {
                assert!(exists(&option), "{}: `{option}`", path.display());
            }
        }
    }
}

#[test]
fn what_reads_like_an_option_is_found() {
    assert_eq!(
        options("`mount -t tracefs x`: see `-Vv`, --kernel or `retsnoop-rs -c bpf`; a-b, -1"),
        ["-Vv", "--kernel", "-c"]
    );
    assert!(exists("-ss") && exists("--kernel") && !exists("--ringbuf-map-size"));
}
