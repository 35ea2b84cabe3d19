// SPDX-License-Identifier: BSD-2-Clause
//! Command lines and what they mean.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::Action;
use crate::cli::{self, Parsed, command};
use crate::config::{
    BUILT_IN, BackendChoice, Config, Environment, GlobOrigin, OutputFormat, Symbolization, Telling,
    UsageError, UseCases,
};
use crate::spec::Outcome;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

fn action(words: &[&str]) -> Result<Action, UsageError> {
    let all = ["retsnoop-rs"].iter().chain(words);
    match cli::parse(all)? {
        Parsed::Options(cli) => Action::resolve(*cli, &Environment::default()),
        Parsed::Text(text) => panic!("{text}"),
    }
}

fn config(line: &str) -> Config {
    let words: Vec<_> = line.split_whitespace().collect();
    match action(&words) {
        Ok(Action::Trace(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn error(words: &[&str]) -> UsageError {
    action(words).unwrap_err()
}

#[test]
fn a_use_case_brings_its_globs_with_their_reasons() {
    let config = config("-c bpf -d *foo*");
    assert!(
        config
            .globs
            .entry
            .iter()
            .any(|glob| glob.spec.matches("__x64_sys_bpf", None))
    );
    assert!(config.globs.allow.len() > 10);
    assert_eq!(config.globs.deny[0].origin, GlobOrigin::Option);
    assert!(matches!(
        &config.globs.entry[0].origin,
        GlobOrigin::Case { name, why } if name == "bpf" && !why.is_empty()
    ));
}

#[test]
fn entry_functions_alone_get_the_inner_functions_of_the_default() {
    let chosen = |line: &str| {
        let globs = config(line).globs;
        let is_broad = globs.is_broad();
        (globs.entry.len(), globs.allow.len(), is_broad)
    };
    assert_eq!(chosen("-e f"), (1, 1, true));
    assert!(!config("-e f").globs.deny.is_empty());
    assert_eq!(chosen("-e f -a g"), (1, 1, false));
    assert_eq!(chosen("-e f --only-entries"), (1, 0, false));
    let of_hook = config("-e lsm:capable --only-entries").globs;
    assert!(!of_hook.allow.is_empty(), "{of_hook:?}");
    let (_, n_inner, is_broad) = chosen("-c any --only-entries -p 1");
    assert_eq!((n_inner, is_broad), (0, false));
    let both = error(&["-e", "f", "-a", "g", "--only-entries"]).to_string();
    assert!(both.contains("--only-entries"), "{both}");
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = config("-e f");
    assert_eq!(config.backend, BackendChoice::Auto);
    assert_eq!(config.symbolization, Symbolization::Auto);
    assert_eq!(config.run.format, OutputFormat::Text);
    assert_eq!(config.sessions.longer, None);
    assert_eq!(config.sessions.errors.allow, None);
    assert_eq!(config.ringbuf_bytes, 8 << 20);
    assert!(!config.sessions.success && !config.run.dry_run);
}

#[test]
fn options_become_typed_settings() {
    let config = config("-e f -F -s -s -S -x EPERM -x NULL -L 10 --json --duration 5 -vv");
    assert_eq!(config.backend, BackendChoice::Fentry);
    assert_eq!(config.symbolization, Symbolization::Inlines);
    assert_eq!(config.run.format, OutputFormat::Json);
    assert_eq!(config.run.verbosity, 2);
    assert_eq!(config.run.duration, Some(Duration::from_secs(5)));
    assert_eq!(config.sessions.longer, Some(Duration::from_millis(10)));
    let allow = config.sessions.errors.allow.unwrap();
    assert!(allow.contains(Outcome::Errno(1)) && allow.contains(Outcome::Null));
    assert!(config.sessions.success);
}

#[test]
fn the_level_of_symbolization_is_read_in_all_its_spellings() {
    for (line, level) in [
        ("-e f -s", Symbolization::Lines),
        ("-e f -ss", Symbolization::Inlines),
        ("-e f -s -s", Symbolization::Inlines),
        ("-e f -sn", Symbolization::NamesOnly),
        ("-e f --symbolize none", Symbolization::NamesOnly),
        ("-e f --symbolize inlines", Symbolization::Inlines),
    ] {
        assert_eq!(config(line).symbolization, level, "{line}");
    }
}

#[test]
fn globs_are_read_from_a_file_modules_and_comments_included() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("globs");
    fs::write(&path, "# all of them\nvfs_*  # the VFS\n\nxfs_* [xfs]\n").unwrap();
    let config = config(&format!("-e f -a @{}", path.display()));
    let globs: Vec<_> = config
        .globs
        .allow
        .iter()
        .map(|glob| glob.spec.text())
        .collect();
    assert_eq!(globs, ["vfs_*", "xfs_* [xfs]"]);
    assert_eq!(config.globs.allow[0].origin, GlobOrigin::File(path));
}

#[test]
fn a_bad_file_of_globs_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("globs");
    let argument = format!("@{}", path.display());
    let message = || error(&["-e", "f", "-a", &argument]).message;
    assert!(message().starts_with("failed to read `"), "{}", message());
    fs::write(&path, "f\n**\n").unwrap();
    assert!(message().ends_with("globs`, line 2: `**` is no more than `*` here: write one"));
    fs::write(&path, "# nothing\n").unwrap();
    assert!(message().ends_with("has no glob in it"));
    fs::write(&path, b"\xff\xfe").unwrap();
    assert!(message().ends_with("is not a text file of globs"));
}

/// Command lines that are refused, and how.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[],
        "neither a command or processes to trace, nor functions: nothing to do",
    ),
    (
        &["-a", "f"],
        "neither a command or processes to trace, nor functions: nothing to do",
    ),
    (&["-c", "bpff"], "no use case `bpff`"),
    (&["-c", "sound"], "no use case `sound`"),
    (
        &["-e", "f", "-p", "7", "-P", "7"],
        "process 7 is both included (-p) and excluded (-P)",
    ),
    (
        &["-e", "f", "-n", "a", "-N", "a"],
        "thread name `a` is both included (-n) and excluded (-N)",
    ),
    (
        &["-e", "f", "-x", "EIO", "-X", "5"],
        "EIO is both included (-x) and excluded (-X)",
    ),
    (
        &["-e", "f", "-p", "1", "--", "ls", "-l"],
        "a command and -p exclude each other: what is traced is the command",
    ),
    (
        &["-e", "f", "--timeout", "5"],
        "--timeout is for a command, and there is none",
    ),
    (
        &["-e", "f", "--no-follow-forks"],
        "--no-follow-forks is for a command, and there is none",
    ),
    (
        &["-e", "f", "--backend", "ebpf"],
        "invalid value 'ebpf' for '--backend <NAME>'",
    ),
    (&["--entri", "f"], "unexpected argument '--entri' found"),
    (&["f"], "unexpected argument 'f' found"),
];

#[test]
fn contradictions_and_gaps_are_told_in_one_sentence() {
    for (words, message) in REFUSED {
        assert_eq!(error(words).message, *message, "{words:?}");
    }
}

#[test]
fn hints_name_options_that_exist() {
    let command = command();
    let exists = |word: &str| {
        command
            .get_arguments()
            .any(|argument| match word.strip_prefix("--") {
                Some(long) => argument.get_long() == Some(long),
                None => word.chars().nth(1) == argument.get_short(),
            })
    };
    for (words, _) in REFUSED {
        let hint = error(words).hint.expect("each of these has a hint");
        let options = hint
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| *word != "--" && word.len() > 1 && word.starts_with('-'));
        for option in options {
            assert!(
                exists(option),
                "{words:?}: `{option}` of the hint `{hint}` does not exist"
            );
        }
    }
}

#[test]
fn use_cases_are_listed_and_help_wins() {
    let Ok(Action::Print(text)) = action(&["-c", "help", "-c", "nonsense"]) else {
        panic!("not a list");
    };
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        names,
        [
            "any", "bpf", "cgroup", "deny", "exec", "fs", "io_uring", "ioctl", "keys", "mm",
            "module", "net", "ns", "perf", "process", "time"
        ]
    );
}

#[test]
fn version_features_probe_and_generate_need_no_globs() {
    assert!(matches!(action(&["-V"]), Ok(Action::Version)));
    assert!(matches!(action(&["-Vv"]), Ok(Action::Features)));
    assert!(matches!(action(&["--probe"]), Ok(Action::Probe)));
    assert!(matches!(
        action(&["--generate", "man"]),
        Ok(Action::Generate(_))
    ));
}

#[test]
fn every_file_of_the_directory_is_built_in_and_well_formed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("usecases");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let built_in: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(built_in, files);
    for name in built_in {
        let case = UseCases::built_in().find(name).unwrap();
        assert!(
            !case.description.is_empty() && !case.globs.entry.is_empty(),
            "{}",
            case.name
        );
    }
}

/// The kernels of the matrix, and functions that can be traced on each.
const KERNELS: [(&str, &str); 4] = [
    (
        "5.10",
        include_str!("../../../tests/data/functions/5.10.txt"),
    ),
    ("6.1", include_str!("../../../tests/data/functions/6.1.txt")),
    (
        "6.12",
        include_str!("../../../tests/data/functions/6.12.txt"),
    ),
    ("7.2", include_str!("../../../tests/data/functions/7.2.txt")),
];

#[test]
fn a_verdict_is_for_commands_that_nothing_else_is_asked_of() {
    let telling = |line: &str| config(line).run.telling;
    assert_eq!(telling("-- true"), Telling::Verdict);
    assert_eq!(telling("-c any -- true"), Telling::Verdict);
    assert_eq!(telling("-a f --all -- true"), Telling::VerdictAndAll);
    for line in [
        "-e f -- true",
        "-c bpf -- true",
        "-c bpf,any -- true",
        "--stream -- true",
        "--oneline -- true",
        "-p 1",
    ] {
        assert_eq!(telling(line), Telling::AsTheyCome, "{line}");
    }
}

/// Entry functions that are in modules on all kernels.
const OF_MODULES: &[&str] = &[
    "nfnetlink_rcv_msg",
    "nfnetlink_rcv_batch",
    "crypto_user_rcv_msg",
    "sock_diag_rcv_msg",
    "xfrm_user_rcv_msg",
];

#[test]
fn every_use_case_has_entry_functions_on_every_kernel() {
    for (name, _) in BUILT_IN {
        let entry = UseCases::built_in().find(name).unwrap().globs.entry;
        for (kernel, functions) in KERNELS {
            let matches = |function| entry.iter().any(|glob| glob.spec.matches(function, None));
            assert!(functions.lines().any(matches), "`{name}` on {kernel}");
        }
        for glob in entry {
            let somewhere = KERNELS.iter().any(|(_, functions)| {
                functions
                    .lines()
                    .any(|function| glob.spec.matches(function, None))
            });
            // The lists are of the kernel itself.
            let text = glob.spec.text();
            let modules_only = OF_MODULES.contains(&text) || text.ends_with(']');
            assert!(somewhere || modules_only, "{glob} matches on no kernel");
        }
    }
}

#[test]
fn a_use_case_of_the_users_wins_over_a_built_in_one() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("retsnoop-rs/usecases");
    fs::create_dir_all(&directory).unwrap();
    let mine = "description = \"mine\"\n[[entry]]\nglobs = [\"my_entry\"]\nwhy = \"I want it\"\n";
    fs::write(directory.join("bpf.toml"), mine).unwrap();
    fs::write(directory.join("notes.txt"), "not a case").unwrap();
    let environment = Environment {
        config_home: Some(home.path().to_owned()),
    };
    let resolve = |words: &[&str]| match cli::parse(words).unwrap() {
        Parsed::Options(cli) => Action::resolve(*cli, &environment),
        Parsed::Text(text) => panic!("{text}"),
    };
    let Ok(Action::Trace(config)) = resolve(&["retsnoop-rs", "-c", "bpf"]) else {
        panic!()
    };
    assert_eq!(config.globs.entry[0].spec.text(), "my_entry");

    fs::write(directory.join("broken.toml"), "description = 3").unwrap();
    let error = resolve(&["retsnoop-rs", "-c", "broken"]).unwrap_err();
    assert!(
        error
            .message
            .starts_with("use case `broken` is not well-formed: "),
        "{error}"
    );
}

/// Resolves with use cases below this directory.
fn resolve_at_home(home: &Path, words: &[&str]) -> Result<Action, UsageError> {
    let environment = Environment {
        config_home: Some(home.to_owned()),
    };
    match cli::parse(words).unwrap() {
        Parsed::Options(cli) => Action::resolve(*cli, &environment),
        Parsed::Text(text) => panic!("{text}"),
    }
}

#[test]
fn a_fifo_among_use_cases_does_not_hang() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("retsnoop-rs/usecases");
    fs::create_dir_all(&directory).unwrap();
    mkfifo(&directory.join("pipe.toml"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", directory.join("zero.toml")).unwrap();
    fs::write(directory.join("long.toml"), "#".repeat(300 << 10)).unwrap();
    let resolve = |words: &[&str]| resolve_at_home(home.path(), words);
    resolve(&["retsnoop-rs", "-e", "*_sys_bpf", "--dry-run"]).unwrap();
    resolve(&["retsnoop-rs", "-c", "fs", "--dry-run"]).unwrap();
    let Ok(Action::Print(list)) = resolve(&["retsnoop-rs", "-c", "help"]) else {
        panic!()
    };
    assert!(
        list.contains("(cannot be read: it is not a regular file)"),
        "{list}"
    );
    assert!(
        list.contains("(cannot be read: it is larger than 256 KiB)"),
        "{list}"
    );
    for case in ["pipe", "zero"] {
        let error = resolve(&["retsnoop-rs", "-c", case]).unwrap_err();
        assert!(error.message.starts_with("failed to read"), "{error}");
    }
}

#[test]
fn a_use_case_in_place_of_a_built_in_one_is_told() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("retsnoop-rs/usecases");
    fs::create_dir_all(&directory).unwrap();
    let mine = "description = \"mine\"\n[[entry]]\nglobs = [\"my_entry\"]\nwhy = \"I want it\"\n";
    fs::write(directory.join("bpf.toml"), mine).unwrap();
    let config = |case| match resolve_at_home(home.path(), &["retsnoop-rs", "-c", case]) {
        Ok(Action::Trace(config)) => config,
        other => panic!("{other:?}"),
    };
    let notes = config("bpf").notes;
    assert!(
        notes[0].contains("in place of the built-in one"),
        "{notes:?}"
    );
    assert_eq!(config("fs").notes, Vec::<String>::new());
    // Others could have written it: the built-in one is taken.
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    let config = config("bpf");
    assert_ne!(config.globs.entry[0].spec.text(), "my_entry");
    assert!(
        config.notes[0].contains("are not used"),
        "{:?}",
        config.notes
    );
}

#[test]
fn a_directory_of_use_cases_that_the_user_names_must_exist() {
    let error = error(&["-c", "bpf", "--cases-dir", "/nonexistent"]);
    assert!(
        error
            .message
            .starts_with("failed to read use cases from `/nonexistent`"),
        "{error}"
    );
}
