// SPDX-License-Identifier: BSD-2-Clause
//! Runs the cases, one after another, in the guest: sets up, runs the command under the program,
//! cleans up, and keeps what was said.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, io};

use serde::{Deserialize, Serialize};

use super::case::Case;

/// Where a case runs. Empty when it begins.
const FOLDER: &str = "/tmp/why";
/// Programs of ours, where everybody can execute them.
const PROGRAMS: &str = "/tmp/why-bin";
/// Modules that cases need.
const MODULES: &[&str] = &[
    "loop",
    "btrfs",
    "xfs",
    "overlay",
    "dm-mod",
    "tun",
    "bridge",
    "veth",
    "nf_tables",
    "xfrm_user",
];
/// For one case, from start to end; attaching one by one takes longer.
pub(crate) const TIMEOUT_SECONDS: u32 = 180;
const SLOW_TIMEOUT_SECONDS: u32 = 240;
/// A step of `/proc/uptime`.
const UPTIME_STEP_NS: u64 = 10_000_000;
/// What `timeout` returns when the time was up.
const TIMED_OUT: i32 = 124;

/// How a case went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    /// Why it was not run; empty: it was.
    pub(crate) skipped: String,
    /// What kept it from running as it should; empty: nothing.
    pub(crate) trouble: String,
    pub(crate) milliseconds: u64,
    /// When it began and ended, in nanoseconds since the machine was booted.
    #[serde(default)]
    pub(crate) ran: (u64, u64),
}

/// The programs, and where results go.
#[derive(Debug)]
pub(crate) struct Place {
    kernel: String,
    retsnoop: String,
    pub(crate) out: PathBuf,
    last_run: Cell<(u64, u64)>,
}

impl Place {
    /// Prepares the guest; paths are those of the environment's `RETSNOOP_BIN` and `WHYFAIL_BIN`.
    pub(crate) fn prepare(kernel: &str, out: &Path) -> Result<Self, String> {
        let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
        let retsnoop = variable("RETSNOOP_BIN")?;
        let whyfail = variable("WHYFAIL_BIN")?;
        let copied = || {
            fs::create_dir_all(PROGRAMS)?;
            fs::create_dir_all(out)?;
            let copy = Path::new(PROGRAMS).join("whyfail");
            fs::copy(whyfail, &copy)?;
            fs::set_permissions(copy, fs::Permissions::from_mode(0o755))
        };
        copied().map_err(|error| format!("failed to prepare the guest: {error}"))?;
        Ok(Self {
            kernel: kernel.to_owned(),
            retsnoop,
            out: out.to_owned(),
            last_run: Cell::new((0, 0)),
        })
    }

    /// Runs one case under the program; what it and the command print goes to `ID.out` and `ID.err`.
    fn run(&self, case: &Case) -> Outcome {
        let seconds = match self.kernel.as_str() {
            "5.10" | "6.1" => SLOW_TIMEOUT_SECONDS,
            _ => TIMEOUT_SECONDS,
        };
        let mut argv = vec![self.retsnoop.clone(), "--json".into(), "--".into()];
        argv.extend(case.argv());
        self.run_timed(case, &argv, seconds)
    }

    /// Runs a command of a case, which it has so much time for.
    pub(crate) fn run_timed(&self, case: &Case, argv: &[String], seconds: u32) -> Outcome {
        let mut outcome = Outcome {
            id: case.id.clone(),
            ..Outcome::default()
        };
        if let Some(reason) = &case.skip {
            outcome.skipped.clone_from(reason);
            return outcome;
        }
        let begun = Instant::now();
        let status = self.run_command(case, argv, seconds, &format!("{}.out", case.id));
        outcome.milliseconds = begun.elapsed().as_millis() as u64;
        outcome.ran = self.last_run.get();
        outcome.trouble = match status {
            Err(error) => error,
            Ok(TIMED_OUT) => format!("no end after {seconds} s"),
            Ok(status) if status != case.status => format!("exit status {status}"),
            Ok(_) => String::new(),
        };
        outcome
    }

    /// Sets the case up, runs a command, cleans up. The exit status of the command.
    pub(crate) fn run_command(
        &self,
        case: &Case,
        argv: &[String],
        seconds: u32,
        stdout: &str,
    ) -> Result<i32, String> {
        let _ = fs::remove_dir_all(FOLDER);
        fs::create_dir_all(FOLDER).map_err(|error| format!("no {FOLDER}: {error}"))?;
        let log = self.out.join(format!("{}.log", case.id));
        if !case.setup.is_empty() {
            let status = self.bash(&["-euc", &case.setup], &log);
            if !matches!(status, Ok(0)) {
                let _ = self.bash(&["-c", &case.cleanup], &log);
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("setup: {status:?}: {}", said.trim()));
            }
        }
        let begun = uptime_ns();
        let status = self.command(argv, seconds, stdout, &format!("{}.err", case.id));
        self.last_run.set((begun, uptime_ns() + UPTIME_STEP_NS));
        if !case.cleanup.is_empty() {
            let _ = self.bash(&["-c", &case.cleanup], &log);
        }
        status.map_err(|error| format!("failed to run `{}`: {error}", argv.join(" ")))
    }

    fn command(
        &self,
        argv: &[String],
        seconds: u32,
        stdout: &str,
        stderr: &str,
    ) -> io::Result<i32> {
        let seconds = seconds.to_string();
        let status = guest_command("timeout")
            .args(["-k", "10", &seconds])
            .args(argv)
            .stdout(File::create(self.out.join(stdout))?)
            .stderr(File::create(self.out.join(stderr))?)
            .status()?;
        Ok(status.code().unwrap_or(TIMED_OUT))
    }

    /// Runs a script, which ends within half a minute, as does what it leaves running.
    fn bash(&self, arguments: &[&str], log: &Path) -> io::Result<i32> {
        let log = File::options().create(true).append(true).open(log)?;
        let status = guest_command("timeout")
            .args(["-k", "5", "30", "bash"])
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()?;
        Ok(status.code().unwrap_or(-1))
    }

    /// Runs all cases, and writes `results` and `functions` for the score.
    pub(crate) fn run_all(&self, cases: &[Case]) -> Result<(), String> {
        self.each(cases, |case| self.run(case))
    }

    /// Runs something for each case, and writes `results` and `functions`.
    pub(crate) fn each(
        &self,
        cases: &[Case],
        run: impl Fn(&Case) -> Outcome,
    ) -> Result<(), String> {
        let written = |outcome: &Outcome| {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(self.out.join("results"))?;
            writeln!(file, "{}", serde_json::to_string(outcome)?)
        };
        for case in cases {
            written(&run(case)).map_err(|error| format!("failed to write results: {error}"))?;
        }
        // In the end, when the modules are loaded that the cases need.
        let functions = functions_of(cases).map_err(|error| format!("kallsyms: {error}"))?;
        let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
        let path = self.out.join("functions");
        fs::write(path, functions.join("\n")).map_err(|error| format!("functions: {error}"))
    }
}

/// Loads the modules that cases need. The functions of a module are traced that is there when a run
/// starts.
pub(crate) fn load_modules() -> Result<(), String> {
    let status = Command::new("modprobe").arg("-a").args(MODULES).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        status => Err(format!("failed to load modules: {status:?}")),
    }
}

/// The time since the machine was booted, in nanoseconds: that of the monotonic clock, as guests are
/// not suspended. Cut to 10 ms.
fn uptime_ns() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split_whitespace().next().unwrap_or_default();
    (seconds.parse().unwrap_or(0.0) * 1e9) as u64
}

fn guest_command(program: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{PROGRAMS}:{path}"))
        .env("LC_ALL", "C")
        .env("NO_COLOR", "1")
        .current_dir(FOLDER)
        .stdin(Stdio::null());
    command
}

/// The functions of the cases that this kernel has.
fn functions_of(cases: &[Case]) -> io::Result<BTreeSet<String>> {
    let wanted: BTreeSet<&str> = cases.iter().flat_map(Case::functions).collect();
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let names = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    let names = names.map(base).filter(|name| wanted.contains(name));
    Ok(names.map(str::to_owned).collect())
}

/// The name of a function without what the compiler put behind: `.isra.0`, `.constprop.1`, `.part.2`.
pub(crate) fn base(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
