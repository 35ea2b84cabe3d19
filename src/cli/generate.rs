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
    out.write_all(&bytes)
}

/// The options as everywhere, and what only a manual page has.
fn manual_page(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, ".\\\" SPDX-License-Identifier: BSD-2-Clause")?;
    writeln!(out, ".\\\" Made by `retsnoop-rs --generate man`.")?;
    clap_mangen::Man::new(super::command())
        .section("1")
        .render(out)?;
    out.write_all(MANUAL_PAGE_END.as_bytes())
}

const MANUAL_PAGE_END: &str = r#".SH EXIT STATUS
.TP
0
Done, Ctrl\-C and a closed pipe included.
.TP
1
Something failed while running.
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
XDG_CONFIG_HOME
Instead of ~/.config.
.TP
DEBUGINFOD_CACHE_PATH
Where images that debuginfod clients have fetched are looked for.
.SH SEE ALSO
.BR strace (1),
.BR bpftrace (8),
.BR trace\-cmd (1),
.BR bpftool (8)
"#;
