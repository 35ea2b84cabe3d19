// SPDX-License-Identifier: BSD-2-Clause
//! Shell completions and (in `manual`) the manual page, made from the command line's description.

use std::io::{self, Write};

use clap_complete::{Shell, aot};

use super::{Generated, manual};

/// Writes one of them.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn generate(what: Generated, out: &mut dyn Write) -> io::Result<()> {
    let shell = match what {
        Generated::Man => return manual::write(out),
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
