// SPDX-License-Identifier: BSD-2-Clause
//! README, manual and manual page are in step with the program.

use std::fmt::Write;
use std::fs;

use clap::{Arg, ArgAction};
use retsnoop_rs::cli::{self, Parsed};

use super::golden::{check, repository};
use super::program::Stage;

const BEGIN: &str = "<!-- options: begin";
const END: &str = "<!-- options: end -->";

const MANUAL: &str = "docs/manual.md";

/// The documents whose command lines and links are checked.
fn documents() -> Vec<String> {
    let mut documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(str::to_owned)
        .to_vec();
    for entry in fs::read_dir(repository("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        documents.push(format!("docs/{name}"));
    }
    documents
}

/// The manual's table of options, a table for each heading of the help.
fn option_tables() -> String {
    let mut command = cli::command();
    command.build();
    let mut tables = String::new();
    let mut heading = None;
    for argument in command.get_arguments() {
        if argument.is_hide_set() || argument.is_positional() {
            continue;
        }
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let _ = write!(tables, "\n| {} | |\n|---|---|\n", heading.unwrap());
        }
        let names = names(argument).replace('|', "\\|");
        let _ = writeln!(tables, "| {names} | {} |", meaning(argument));
    }
    let _ = write!(tables, "\n| Commands | |\n|---|---|\n");
    for command in command.get_subcommands() {
        let about = command.get_long_about().or(command.get_about()).unwrap();
        let about = one_line(&about.to_string()).replace('|', "\\|");
        let _ = writeln!(tables, "| `{}` | {about} |", command.get_name());
        for argument in command.get_arguments() {
            if !argument.is_hide_set() && argument.get_long() != Some("help") {
                let name = format!("`{} {argument}`", command.get_name());
                let _ = writeln!(tables, "| {name} | {} |", meaning(argument));
            }
        }
    }
    tables.push('\n');
    tables
}

fn names(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map(|names| names[0].to_string());
    let value = match (value, argument.get_num_args()) {
        (Some(value), Some(range)) if range.min_values() == 0 => {
            let before = if argument.is_require_equals_set() {
                "[="
            } else {
                " ["
            };
            format!("{before}{value}]")
        }
        (Some(value), _) => format!(" {value}"),
        (None, _) => String::new(),
    };
    let long = argument.get_long().unwrap();
    match argument.get_short() {
        Some(short) => format!("`-{short}`, `--{long}{value}`"),
        None => format!("`--{long}{value}`"),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).unwrap();
    let mut text = one_line(&help.to_string());
    if argument.get_action().takes_values() {
        for value in argument.get_possible_values() {
            let help = value.get_help().map(ToString::to_string);
            let _ = write!(
                text,
                "<br>`{}`: {}",
                value.get_name(),
                help.unwrap_or_default()
            );
        }
        if let [default] = argument.get_default_values() {
            let _ = write!(text, " [default: {}]", default.to_string_lossy());
        }
    }
    text.replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_manual_has_every_option() {
    let manual = fs::read_to_string(repository(MANUAL)).unwrap();
    let (head, rest) = manual.split_once(BEGIN).expect("the begin mark");
    let (mark, rest) = rest.split_once('\n').unwrap();
    let (_, tail) = rest.split_once(END).expect("the end mark");
    check(
        MANUAL,
        &format!("{head}{BEGIN}{mark}\n{}{END}{tail}", option_tables()),
    );
}

#[test]
fn the_readme_is_short_and_has_the_examples_of_the_help() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let n_lines = readme.lines().count();
    assert!(n_lines <= 200, "{n_lines} lines");
    for (line, _) in cli::EXAMPLES {
        let is_there = readme.lines().any(|found| found.starts_with(line));
        assert!(is_there, "{line}");
    }
}

#[test]
fn command_lines_of_the_documents_are_understood() {
    let mut n_commands = 0;
    for document in documents() {
        let text = fs::read_to_string(repository(&document)).unwrap();
        n_commands += text.lines().filter(|line| is_understood(line)).count();
    }
    assert!(n_commands >= 15, "only {n_commands} found");
}

/// Whether it is a command line of ours, which must be a valid one.
fn is_understood(line: &str) -> bool {
    let line = line.trim_start_matches("# ").trim_start_matches("$ ");
    let line = line.trim_start_matches("sudo ");
    let Some(arguments) = line.strip_prefix("retsnoop-rs ") else {
        return false;
    };
    let is_ours = ["-", "doctor", "list "]
        .iter()
        .any(|start| arguments.starts_with(start));
    if !is_ours {
        return false;
    }
    // What follows is for the shell.
    let end = arguments.find(" | ").or_else(|| arguments.find(" #"));
    let words = words(&arguments[..end.unwrap_or(arguments.len())]);
    let parsed = cli::parse(["retsnoop-rs".to_owned()].into_iter().chain(words));
    assert!(
        matches!(parsed, Ok(Parsed::Options(_))),
        "{line}: {parsed:?}"
    );
    true
}

/// Words as a shell splits them; single quotes are all there is.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = None;
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_with(String::new);
            }
            ' ' if !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn files_that_the_documents_link_to_are_there() {
    for document in documents() {
        let path = repository(&document);
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            if !target.starts_with("http") {
                let target = path.parent().unwrap().join(target);
                assert!(target.exists(), "{document}: {}", target.display());
            }
        }
    }
}

#[test]
fn headings_that_the_documents_link_to_are_there() {
    for document in documents() {
        let path = repository(&document);
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let Some((file, heading)) = target.split_once('#') else {
                continue;
            };
            if file.starts_with("http") {
                continue;
            }
            let file = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let text = fs::read_to_string(file).unwrap();
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            assert!(
                headings.any(|line| anchor(line) == heading),
                "{document}: {target}"
            );
        }
    }
}

/// `## Reading the output` → `reading-the-output`.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_use_case_is_named_in_readme_and_manual() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let manual = fs::read_to_string(repository(MANUAL)).unwrap();
    for entry in fs::read_dir(repository("usecases")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for text in [&readme, &manual] {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }
}

#[test]
fn the_manual_page_is_in_step() {
    let output = Stage::new().run(&["--generate", "man"]);
    assert!(output.status.success());
    check("retsnoop-rs.1", &String::from_utf8(output.stdout).unwrap());
}

#[test]
fn completions_can_be_made_for_every_shell() {
    let stage = Stage::new();
    for (shell, has) in [
        ("bash", "complete -F _retsnoop__rs"),
        ("zsh", "#compdef retsnoop-rs"),
        ("fish", "complete -c retsnoop-rs"),
    ] {
        let output = stage.run(&["--generate", shell]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.contains(has),
            "{shell}: {text}"
        );
        assert!(text.contains("max-events"), "{shell}");
        let asked = text.matches("list functions --names").count();
        let expected = match shell {
            // A case for each spelling of -e, -a, -d.
            "bash" => 6,
            "zsh" => 1,
            _ => 3,
        };
        assert_eq!(asked, expected, "{shell}");
    }
}

#[test]
fn flags_take_no_values() {
    // What `names` and `meaning` rely on.
    let command = cli::command();
    let flag = command
        .get_arguments()
        .find(|argument| argument.get_id() == "json");
    assert!(matches!(flag.unwrap().get_action(), ArgAction::SetTrue));
}
