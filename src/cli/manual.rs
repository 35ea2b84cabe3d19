// SPDX-License-Identifier: BSD-2-Clause
//! The manual page: options from the command line's description, the rest from `sections`.

mod sections;

use std::io::{self, Write};

use clap::{Arg, Command};

use self::sections::{AFTER_COMMANDS, AFTER_EXAMPLES, BEFORE_OPTIONS};
use super::examples::EXAMPLES;

/// Writes the page.
pub(super) fn write(out: &mut dyn Write) -> io::Result<()> {
    let mut command = super::command();
    command.build();
    writeln!(out, ".\\\" SPDX-License-Identifier: BSD-2-Clause")?;
    writeln!(out, ".\\\" Made by `retsnoop-rs --generate man`.")?;
    writeln!(
        out,
        ".TH retsnoop\\-rs 1 \"\" retsnoop\\-rs \"User Commands\""
    )?;
    let about = command.get_about().map(ToString::to_string);
    let about = roff(&about.unwrap_or_default());
    writeln!(out, ".SH NAME\nretsnoop\\-rs \\- {about}")?;
    out.write_all(BEFORE_OPTIONS.as_bytes())?;
    options(out)?;
    commands(&command, out)?;
    out.write_all(AFTER_COMMANDS.as_bytes())?;
    examples(out)?;
    out.write_all(AFTER_EXAMPLES.as_bytes())
}

/// The options; a subsection for each heading of the help.
fn options(out: &mut dyn Write) -> io::Result<()> {
    let mut rendered = Vec::new();
    clap_mangen::Man::new(super::command()).render_options_section(&mut rendered)?;
    writeln!(out, ".SH OPTIONS")?;
    for line in String::from_utf8_lossy(&rendered).lines() {
        // They define the apostrophe for a page of their own.
        if line.starts_with(".ie ") || line.starts_with(".el ") {
            continue;
        }
        match line.strip_prefix(".SH ") {
            Some(heading) => writeln!(out, ".SS {}", capitalized(heading))?,
            // A blank line is a paragraph of the option that it is in.
            None if line.is_empty() => writeln!(out, ".IP")?,
            None => writeln!(out, "{}", line.replace("\\*(Aq", "\\(aq"))?,
        }
    }
    Ok(())
}

/// `TARGETING` → `Targeting`. A heading of several words is in quotation marks.
fn capitalized(heading: &str) -> String {
    let heading = heading.trim_matches('"');
    let (first, rest) = heading.split_at(heading.len().min(1));
    first.to_owned() + &rest.to_lowercase()
}

/// Commands have no pages of their own.
fn commands(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".SH COMMANDS")?;
    for command in command.get_subcommands() {
        let about = command.get_long_about().or_else(|| command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        writeln!(out, ".SS {}", roff(command.get_name()))?;
        writeln!(out, "{}", paragraphs(&about, ".PP"))?;
        let arguments = command.get_arguments();
        for argument in arguments.filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_long_help().or_else(|| argument.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            writeln!(out, ".TP\n{}", roff(&spelled(argument)))?;
            writeln!(out, "{}", paragraphs(&help, ".IP"))?;
            for value in argument.get_possible_values() {
                if let Some(help) = value.get_help().filter(|_| argument.is_positional()) {
                    let text = roff(&format!("{}: {help}", value.get_name()));
                    writeln!(out, ".br\n{text}")?;
                }
            }
        }
    }
    Ok(())
}

/// `-k, --kernel <PATH>`
fn spelled(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}, "));
    short.unwrap_or_default() + &argument.to_string()
}

fn examples(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".SH EXAMPLES")?;
    for (line, question) in EXAMPLES {
        writeln!(out, ".TP\n.B {}\n{}", roff(line), roff(question))?;
    }
    writeln!(out, ".PP\nQuote globs, or the shell expands them.")
}

/// Paragraphs of a help text, this request between them.
fn paragraphs(text: &str, request: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(roff).collect();
    paragraphs.join(&format!("\n{request}\n"))
}

/// Text whose hyphens can be searched for, and whose lines are no requests.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    let text = text.replace('\'', "\\(aq");
    if text.starts_with('.') {
        return format!("\\&{text}");
    }
    text
}
