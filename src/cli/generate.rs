// SPDX-License-Identifier: BSD-2-Clause
//! Manual page and shell completions, made from the command line's description.

use std::io::{self, Write};

use clap_complete::{Shell, aot};

use super::Generated;

/// Writes one of them.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn generate(what: Generated, out: &mut dyn Write) -> io::Result<()> {
    let shell = match what {
        Generated::Man => return manual_page(out),
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
    };
    let mut bytes = Vec::new();
    aot::generate(shell, &mut super::command(), "retsnoop-rs", &mut bytes);
    let script = String::from_utf8_lossy(&bytes);
    out.write_all(with_functions(&script, what).as_bytes())
}

/// Has the shell offer the kernel's functions where a glob of functions is expected. clap can do
/// that by itself only where the program is asked at each key; this asks it for functions alone.
fn with_functions(script: &str, what: Generated) -> String {
    const ASK: &str = "retsnoop-rs list functions --names";
    let options = [("e", "entry"), ("a", "allow"), ("d", "deny")];
    let mut script = script.to_owned();
    match what {
        Generated::Man => {}
        Generated::Bash => {
            for option in options.map(|(short, long)| [format!("-{short}"), format!("--{long}")]) {
                for option in option {
                    let files = "COMPREPLY=($(compgen -f \"${cur}\"))";
                    let functions = format!("COMPREPLY=($({ASK} \"${{cur}}*\" 2>/dev/null))");
                    let case =
                        |with| format!("                {option})\n                    {with}");
                    script = script.replace(&case(files), &case(&functions));
                }
            }
        }
        Generated::Zsh => {
            script = script.replace(":GLOB:_default'", ":GLOB:_retsnoop_rs_functions'");
            let function = format!(
                "#compdef retsnoop-rs\n\n_retsnoop_rs_functions() {{\n    \
                 compadd -- ${{(f)\"$({ASK} \"${{PREFIX}}*\" 2>/dev/null)\"}}\n}}\n"
            );
            script = script.replacen("#compdef retsnoop-rs\n", &function, 1);
        }
        Generated::Fish => {
            for (short, long) in options {
                script.push_str(&format!(
                    "complete -c retsnoop-rs -s {short} -l {long} -x -a \
                     '({ASK} (commandline -ct | string replace -r \"^-.\" \"\")\"*\" 2>/dev/null)'\n"
                ));
            }
        }
    }
    script
}

/// The options as everywhere, and what only a manual page has.
fn manual_page(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".\\\" SPDX-License-Identifier: BSD-2-Clause")?;
    writeln!(out, ".\\\" Made by `retsnoop-rs --generate man`.")?;
    let mut command = super::command();
    let page = clap_mangen::Man::new(command.clone()).section("1");
    let mut head = Vec::new();
    page.render_title(&mut head)?;
    page.render_name_section(&mut head)?;
    page.render_synopsis_section(&mut head)?;
    page.render_description_section(&mut head)?;
    page.render_options_section(&mut head)?;
    command.build();
    commands(&command, &mut head)?;
    page.render_extra_section(&mut head)?;
    out.write_all(without_repeated_preamble(&String::from_utf8_lossy(&head)).as_bytes())?;
    out.write_all(MANUAL_PAGE_END.as_bytes())
}

/// Each section that is rendered by itself begins with the definition of an apostrophe.
fn without_repeated_preamble(page: &str) -> String {
    let preamble = |line: &&str| line.starts_with(".ie ") || line.starts_with(".el ");
    let first = page.split_inclusive('\n').take(2);
    let rest = page.split_inclusive('\n').skip(2);
    first.chain(rest.filter(|line| !preamble(line))).collect()
}

/// Commands have no pages of their own.
fn commands(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".SH COMMANDS")?;
    for command in command.get_subcommands() {
        let about = command.get_about().map(ToString::to_string);
        writeln!(out, ".SS {}", command.get_name())?;
        writeln!(out, "{}", roff(&about.unwrap_or_default()))?;
        let arguments = command.get_arguments();
        for argument in arguments.filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string);
            writeln!(out, ".TP\n{}", roff(&argument.to_string()))?;
            writeln!(out, "{}", roff(&help.unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Text whose hyphens can be searched for, and whose lines are no requests.
fn roff(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
}

const MANUAL_PAGE_END: &str = r#".SH EXIT STATUS
.TP
0
Done, Ctrl\-C and a closed pipe included; for doctor: tracing works here.
.TP
1
Something failed while running; for doctor: tracing does not work here.
.TP
2
The command line makes no sense.
.SH FILES
.TP
~/.config/retsnoop\-rs/usecases/NAME.toml
A use case of your own, for \-c NAME; it wins over a built\-in one.
.TP
/usr/lib/debug/boot/vmlinux\-RELEASE
The kernel image with debug information, where source lines come from; other usual places are tried too.
.SH ENVIRONMENT
.TP
NO_COLOR
Not empty: no colour, unless \-\-color says otherwise.
.TP
XDG_CONFIG_HOME, XDG_CACHE_HOME
Instead of ~/.config and ~/.cache. Like HOME they count where they are absolute, and what is below them where no other user can change it.
.TP
DEBUGINFOD_URLS
The servers that \-\-debuginfod asks, http or https; if not set, those in /etc/debuginfod/*.urls.
.TP
DEBUGINFOD_CACHE_PATH
Where images that debuginfod clients have fetched are looked for, and kept.
.TP
DEBUGINFOD_TIMEOUT, DEBUGINFOD_MAXTIME
Seconds: a server that does not send 100 KiB in the first (90) is given up; a file takes no longer than the second (1800).
.TP
DEBUGINFOD_MAXSIZE, DEBUGINFOD_RETRY_LIMIT
Bytes: no larger file is fetched (2 GiB); how often is tried again after a connection that broke (2).
.TP
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
The proxies that \-\-debuginfod goes through.
.SH SEE ALSO
.BR strace (1),
.BR bpftrace (8),
.BR trace\-cmd (1),
.BR bpftool (8)
"#;
