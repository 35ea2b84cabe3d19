// SPDX-License-Identifier: BSD-2-Clause
//! Ten command lines that show what the program does: for `--help`, the manual page and README.

/// Command lines as typed into a shell, and the question that each answers.
pub const EXAMPLES: &[(&str, &str)] = &[
    (
        "retsnoop-rs doctor",
        "does tracing work here, and what is missing?",
    ),
    ("retsnoop-rs -c bpf", "why do bpf() calls fail?"),
    (
        "retsnoop-rs -- cat /etc/shadow",
        "why does this command fail, or what it starts?",
    ),
    (
        "retsnoop-rs -c net -p 1234,1240 -X EAGAIN",
        "failures of two processes, except EAGAIN",
    ),
    (
        "retsnoop-rs -e '*_sys_bind' -a '*_bind*'",
        "why does bind() fail? functions of your choice",
    ),
    (
        "retsnoop-rs -e u:libc:getaddrinfo -c net",
        "why does a library function fail?",
    ),
    (
        "retsnoop-rs -c net --dry-run -v",
        "which functions would be traced, which not, and why?",
    ),
    (
        "retsnoop-rs -c mm -L 10ms -S",
        "calls that took at least 10 ms, successful ones too",
    ),
    (
        "retsnoop-rs -c perf --duration 30s --json",
        "30 s as JSON lines",
    ),
    (
        "dmesg | retsnoop-rs symbolize",
        "source lines and inlined functions for an oops",
    ),
];

/// The examples as the help shows them.
pub(super) fn help() -> String {
    let widths = EXAMPLES.iter().map(|(line, _)| line.len());
    let width = widths.max().unwrap_or_default();
    let mut text = "Examples:\n".to_owned();
    for (line, question) in EXAMPLES {
        text.push_str(&format!("  {line:width$}  {question}\n"));
    }
    text.push_str("\nQuote globs, or the shell expands them.");
    text
}
