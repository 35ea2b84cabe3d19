// SPDX-License-Identifier: BSD-2-Clause
//! The rules that the layout lives by, held to the sources: who imports whom, where unsafe code
//! and libbpf are, that nobody prints, that every file says what it is for.
//!
//! The sources are read as text, line by line; tests inside of a file are exempt.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module in reading order, and what of the others it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("spec", &[]),
    ("knowledge", &[]),
    // Numbers, names and arguments of system calls.
    ("syscalls", &[]),
    ("diag", &[]),
    ("trusted", &[]),
    ("cache", &["trusted"]),
    ("config", &["spec", "diag", "trusted"]),
    // What was typed becomes a configuration.
    ("cli", &["spec", "config"]),
    ("kernel", &["knowledge", "spec", "diag", "trusted"]),
    ("target", &["spec"]),
    ("code", &["knowledge", "kernel", "spec"]),
    // The globs of a run, with their roles and origins, are what is selected by.
    ("select", &["knowledge", "spec", "config", "kernel", "diag"]),
    // User functions: globs and files to functions of the same kind as the kernel's.
    ("user", &["trusted", "spec", "config", "select"]),
    // What it attaches to is the selection.
    ("bpf", &["syscalls", "spec", "config", "select", "diag"]),
    // What is run and traced; knows nothing of tracing.
    ("command", &["spec"]),
    // `bpf::wire` only: the layout of the bytes, which the build generates.
    ("events", &["bpf", "spec", "syscalls"]),
    // The selection says what each function's result means.
    (
        "session",
        &["knowledge", "syscalls", "events", "spec", "select", "code"],
    ),
    // Sessions, messages and ends of processes to a ranking of failures.
    ("explain", &["knowledge", "syscalls", "session", "spec"]),
    ("symbolize", &["kernel", "spec", "diag", "cache", "trusted"]),
    // What is missing of an image, by its build id; says how far it is.
    ("debuginfod", &["kernel", "diag", "trusted"]),
    // A recording holds the functions and the symbols that its replay needs.
    (
        "capture",
        &[
            "events",
            "kernel",
            "spec",
            "diag",
            "select",
            "symbolize",
            "code",
        ],
    ),
    // Names and types of the functions come with the selection.
    (
        "render",
        &[
            "knowledge",
            "syscalls",
            "session",
            "explain",
            "symbolize",
            "spec",
            "select",
        ],
    ),
    // An error with a hint; what the kernel refuses has hints of its own.
    ("failure", &["diag", "bpf"]),
    // Which tasks are traced: rules for the programs, and the containers that start later.
    (
        "scope",
        &[
            "spec", "diag", "config", "target", "bpf", "events", "failure",
        ],
    ),
    // Where sessions are written, and the signals that end it.
    (
        "output",
        &["diag", "config", "command", "render", "failure"],
    ),
    // What is known of the running kernel, read when it is needed.
    (
        "live",
        &[
            "knowledge",
            "spec",
            "diag",
            "cache",
            "config",
            "kernel",
            "target",
            "code",
            "select",
            "bpf",
            "events",
            "session",
            "symbolize",
            "debuginfod",
            "capture",
            "failure",
        ],
    ),
    // Options and facts to a selection; nothing is attached.
    (
        "prepare",
        &[
            "knowledge",
            "syscalls",
            "spec",
            "diag",
            "cache",
            "config",
            "kernel",
            "select",
            "user",
            "bpf",
            "session",
            "symbolize",
            "failure",
            // The containers whose files are looked for.
            "scope",
            "live",
        ],
    ),
    // From attaching to the summary.
    (
        "run",
        &[
            "knowledge",
            "syscalls",
            "spec",
            "diag",
            "config",
            "kernel",
            "code",
            "select",
            "bpf",
            "command",
            "events",
            "session",
            "explain",
            "symbolize",
            "capture",
            "render",
            "failure",
            "scope",
            "output",
            "live",
            "prepare",
            // Functions in files of containers that start later.
            "user",
        ],
    ),
    // Commands of their own.
    (
        "doctor",
        &[
            "knowledge",
            "spec",
            "config",
            "kernel",
            "select",
            "bpf",
            "render",
            "prepare",
        ],
    ),
    (
        "places",
        &[
            "spec",
            "diag",
            "config",
            "kernel",
            "symbolize",
            "render",
            "failure",
            "output",
            "live",
        ],
    ),
    // Chooses between the commands.
    (
        "app",
        &[
            "spec",
            "diag",
            "trusted",
            "cli",
            "config",
            "kernel",
            "target",
            "select",
            "user",
            "bpf",
            "session",
            "symbolize",
            "capture",
            "render",
            "failure",
            "output",
            "live",
            "prepare",
            "run",
            "doctor",
            "places",
        ],
    ),
];

const MAX_LINES: usize = 500;

struct Source {
    /// Relative to `src`.
    path: String,
    text: String,
}

impl Source {
    /// The module of the crate that it belongs to; empty for `lib.rs` and `main.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        match first.strip_suffix(".rs").unwrap_or(first) {
            "lib" | "main" | "architecture_tests" => "",
            module => module,
        }
    }

    /// A file that is there for tests only.
    fn is_test(&self) -> bool {
        let stem = Path::new(&self.path).file_stem();
        let stem = stem.and_then(|stem| stem.to_str()).unwrap_or_default();
        matches!(stem, "tests" | "fixtures" | "golden" | "architecture_tests")
            || self.path.split('/').any(|part| part == "tests")
    }

    /// Its lines without comments and without the tests at its end, numbered.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| *line != "mod tests {")
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(Source {
                    path: path.strip_prefix(&root).unwrap().display().to_string(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// Fails with the list of offences, if there are any.
fn assert_none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

/// The modules of the crate that a line names: `crate::NAME`.
fn imported(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn modules_import_what_the_table_allows() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let module = source.module();
        if module.is_empty() {
            continue;
        }
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("`{module}` is not in the table"));
        for (number, line) in source.code() {
            for name in imported(line) {
                if name != module && !allowed.contains(&name) {
                    offences.push(format!("{}:{number}: {module} -> {name}", source.path));
                }
            }
        }
    }
    assert_none(
        &offences,
        "imports that the table of this test does not allow",
    );
}

#[test]
fn the_table_goes_one_way() {
    // `bpf` and `events` apart, who may import stands below what it imports.
    let position = |name: &str| MAY_IMPORT.iter().position(|(module, _)| *module == name);
    for (module, allowed) in MAY_IMPORT {
        for name in *allowed {
            assert!(position(name).is_some(), "`{name}` is not in the table");
            assert!(position(name) < position(module), "{module} -> {name}");
        }
    }
}

#[test]
fn events_know_nothing_of_bpf_but_the_layout_of_bytes() {
    for source in sources() {
        if source.module() == "events" && !source.is_test() {
            for (number, line) in source.code() {
                let ok = !line.contains("crate::bpf") || line.contains("crate::bpf::wire");
                assert!(ok, "{}:{number}: {line}", source.path);
            }
        }
    }
}

#[test]
fn unsafe_code_and_libbpf_are_under_bpf_only() {
    let mut offences = Vec::new();
    for source in sources() {
        // The mappings of images and of the kernel's types into memory, and the one fork.
        let exceptions = [
            "symbolize/map.rs",
            "kernel/btf/bytes.rs",
            "command/sys.rs",
            "output/default_action.rs",
        ];
        let may_be_unsafe = source.module() == "bpf" || exceptions.contains(&source.path.as_str());
        if source.module().is_empty() {
            continue;
        }
        for (number, line) in source.code() {
            let words = || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let is_unsafe = words().any(|word| word == "unsafe") && !may_be_unsafe;
            let is_libbpf = words().any(|word| matches!(word, "libbpf_rs" | "libbpf_sys"))
                && source.module() != "bpf";
            if is_unsafe || is_libbpf {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&offences, "unsafe code or libbpf outside of `src/bpf`");
}

#[test]
fn nobody_prints_or_exits() {
    // `app` writes stdout, `diag` stderr; an exit code is returned, so that destructors run.
    let forbidden = [
        "println!",
        "print!",
        "eprintln!",
        "eprint!",
        "dbg!",
        "process::exit",
    ];
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            if forbidden.iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&offences, "printing or leaving in the middle");
}

#[test]
fn every_file_names_its_licence_and_its_purpose_and_is_short() {
    let mut offences = Vec::new();
    for source in sources() {
        let mut lines = source.text.lines();
        if lines.next() != Some("// SPDX-License-Identifier: BSD-2-Clause") {
            offences.push(format!("{}: no SPDX line at the top", source.path));
        }
        if !lines.next().unwrap_or_default().starts_with("//! ") {
            offences.push(format!(
                "{}: no `//!` that says what it is for",
                source.path
            ));
        }
        let n_lines = source.text.lines().count();
        if n_lines > MAX_LINES {
            offences.push(format!("{}: {n_lines} lines, split it", source.path));
        }
    }
    assert_none(&offences, "files out of shape");
}

#[test]
fn every_other_source_names_its_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = ["bpf", "vmlinux", "scripts", "usecases", "tests", "benches"]
        .map(|folder| root.join(folder))
        .into();
    let mut offences = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Data and expected texts have no room for remarks.
            if path.is_dir() && !path.ends_with("tests/data") && !path.ends_with("tests/golden") {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("Cargo.lock") {
                let text = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                let head: Vec<&str> = text.lines().take(3).collect();
                if !head
                    .iter()
                    .any(|line| line.contains("SPDX-License-Identifier: "))
                {
                    offences.push(path.display().to_string());
                }
            }
        }
    }
    assert_none(&offences, "files without an SPDX line");
}
