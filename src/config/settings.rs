// SPDX-License-Identifier: BSD-2-Clause
//! What a run is asked to do, as values: the result of reading a command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::flight::FlightConfig;
use super::globs::Globs;
use super::scope::{Choice, Comm, NamespaceRef};
use crate::spec::{CodePlace, ErrnoSet, Pid};

/// Settings of a traced run.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the user should know about where these settings come from.
    pub notes: Vec<String>,
    /// Which functions.
    pub globs: Globs,
    /// Whether refused permissions are explained.
    pub refusals: bool,
    /// Modules that are to be loaded while we trace.
    pub on_load: OnLoadModules,
    /// How to attach to them.
    pub backend: BackendChoice,
    /// Also where attaching is slow, attach to functions that the entry functions do not reach.
    pub all_matching: bool,
    /// Whether results are kept in the user's cache directory for the next run.
    pub cache: bool,
    /// What may be kept in memory of debug information, in MiB.
    pub symbol_memory: u32,
    /// What may be fetched.
    pub download: Download,
    /// Which threads' calls open sessions.
    pub scope: Scope,
    /// What to run and trace.
    pub command: Option<TracedCommand>,
    /// Which sessions are shown.
    pub sessions: Sessions,
    /// How much stacks show.
    pub symbolization: Symbolization,
    /// What the trace may cost.
    pub limits: Limits,
    /// `-k`.
    pub kernel_image: Option<PathBuf>,
    /// What is printed, and for how long.
    pub run: RunSettings,
    /// The file that sessions are written to.
    pub output: Option<OutputFile>,
    /// The flight recorder, if it is on.
    pub flight: Option<FlightConfig>,
    /// Traced calls recorded in depth: 1..=64.
    pub max_depth: u32,
    /// Size of the ring buffer: a power of two.
    pub ringbuf_bytes: u32,
    /// Where the raw event stream goes as well.
    pub record_raw: Option<PathBuf>,
    /// Optimizations that can be turned off.
    pub optimizations: Optimizations,
}

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The best one that this kernel has for each function
    #[default]
    Auto,
    /// One fsession.multi link; cheap, sees every function; newest kernels
    TracingMulti,
    /// One fentry.multi link and one fexit.multi link; newest kernels
    FentryMulti,
    /// One kprobe.session link; needs 6.10 and fprobe
    KprobeSession,
    /// Two kprobe.multi links; needs fprobe (`CONFIG_FPROBE`)
    KprobeMulti,
    /// fentry and fexit programs for each function; any kernel, slow to attach
    Fentry,
    /// kprobe and kretprobe each; any kernel, any symbol, slow to attach
    Kprobe,
}

/// What may be fetched from debuginfod servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Download {
    /// Whether anything may be.
    pub is_allowed: bool,
    /// Largest file in MiB; `None`: as the environment says.
    pub max_size: Option<u32>,
}

/// What `doctor` examines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorConfig {
    /// One JSON object instead of text.
    pub json: bool,
    /// `-k`.
    pub kernel_image: Option<PathBuf>,
}

/// Which addresses `symbolize` looks up, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolizeConfig {
    /// The addresses; empty: those in the text on stdin.
    pub places: Vec<CodePlace>,
    /// Addresses are not taken as return addresses.
    pub exact: bool,
    /// `-k`.
    pub kernel_image: Option<PathBuf>,
    /// Address of `_text` when the addresses were printed.
    pub base: Option<u64>,
    /// One JSON object for each address.
    pub json: bool,
    /// Whether results are kept in the user's cache directory for the next run.
    pub cache: bool,
    /// What may be fetched.
    pub download: Download,
    /// What may be kept in memory of debug information, in MiB.
    pub symbol_memory: u32,
}

/// Optimizations of the start. Each can be turned off, to find out whether it is the reason of a
/// fault on a new kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optimizations {
    /// Programs are loaded after constant folding and dead-code elimination.
    pub specialize: bool,
    /// Symbols and machine code are read from `/proc/kcore`.
    pub kcore: bool,
    /// Functions that are attached one by one share most of their programs.
    pub share: bool,
}

impl Default for Optimizations {
    fn default() -> Self {
        Self {
            specialize: true,
            kcore: true,
            share: true,
        }
    }
}

/// A file that sessions are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether what is in there stays.
    pub append: bool,
    /// Bytes before which it is begun anew; `None`: never.
    pub max_size: Option<u64>,
    /// How many old ones are kept then.
    pub keep: u32,
}

/// Modules whose functions are armed before they are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnLoadModules {
    /// Names, or paths of their files.
    pub modules: Vec<String>,
    /// Nothing else is asked for: what can fail when a module is loaded opens sessions.
    pub is_whole_job: bool,
}

/// Calls of one function a second that are accepted unless the user says otherwise.
pub const DEFAULT_MAX_RATE: u32 = 200_000;

/// What the trace may cost, before functions are taken out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Calls of one function a second; `None`: any number.
    pub max_rate: Option<u32>,
    /// Share of one CPU, 1.0 all of it; `None`: any.
    pub budget: Option<f64>,
    /// Whether `budget` is for calls outside of sessions only: what others pay.
    pub is_for_others: bool,
}

/// Which threads' calls open sessions; an empty allow list allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only these processes.
    pub pids: Vec<Pid>,
    /// Not these processes.
    pub no_pids: Vec<Pid>,
    /// Only threads of these names, 15 bytes at most each.
    pub comms: Vec<Comm>,
    /// Not threads of these names.
    pub no_comms: Vec<Comm>,
    /// What is said of a process goes for its future children, too.
    pub follow_forks: bool,
    /// By other things.
    pub choices: Vec<Choice<Chosen>>,
    /// A container that is not there is waited for, however similar others are called.
    pub await_containers: bool,
    /// Below which directory the state of container runtimes is.
    pub host_root: PathBuf,
}

impl Scope {
    /// Whether it is less than the whole machine. What is only excluded does not count.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        let has_choice = self.choices.iter().any(|choice| choice.wanted);
        has_choice || !self.pids.is_empty() || !self.comms.is_empty()
    }

    /// Whether containers are chosen.
    #[must_use]
    pub fn wants_containers(&self) -> bool {
        let mut wanted = self.choices.iter().filter(|choice| choice.wanted);
        wanted.any(|choice| matches!(choice.what, Chosen::Container(_)))
    }

    /// Whether control groups are chosen that are not those of containers.
    #[must_use]
    pub fn wants_other_groups(&self) -> bool {
        let mut wanted = self.choices.iter().filter(|choice| choice.wanted);
        wanted.any(|choice| matches!(choice.what, Chosen::Cgroup(_) | Chosen::Unit(_)))
    }
}

/// What processes are chosen by, as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A user, by name or number.
    User(String),
    /// A group, by name or number.
    Group(String),
    /// A cgroup and all below it.
    Cgroup(PathBuf),
    /// A systemd unit.
    Unit(String),
    /// A container, by name, id or pod.
    Container(String),
    /// A mount namespace.
    MountNamespace(NamespaceRef),
    /// A PID namespace.
    PidNamespace(NamespaceRef),
    /// A network namespace.
    NetNamespace(NamespaceRef),
}

/// A command to run and trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedCommand {
    /// The program and its arguments: at least one.
    pub words: Vec<OsString>,
    /// As whom.
    pub run_as: RunAs,
    /// Whether it runs in a session of its own, without the terminal.
    pub new_session: bool,
    /// When it is ended.
    pub timeout: Option<Duration>,
    /// Whether what happens before its `execve` counts.
    pub trace_exec: bool,
    /// How often it may run again, for a verdict that is certain.
    pub again: u32,
}

/// As whom a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// As we do.
    Ourselves,
    /// As who called sudo.
    Invoker,
    /// As this user.
    User(String),
}

/// Which sessions are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Successful ones too.
    pub success: bool,
    /// By error.
    pub errors: Errors,
    /// Only those that took at least so long.
    pub longer: Option<Duration>,
    /// With the arguments of system calls.
    pub arguments: bool,
    /// Only these system calls, by name; empty: all.
    pub calls: Vec<Choice<String>>,
    /// With what the kernel says in words.
    pub messages: bool,
}

/// Which errors are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Only these as the result.
    pub allow: Option<ErrnoSet>,
    /// Not these.
    pub deny: Option<ErrnoSet>,
    /// Only with one of these on the chain.
    pub allow_any: Option<ErrnoSet>,
    /// Not with one of these on the chain.
    pub deny_any: Option<ErrnoSet>,
}

/// How much stacks show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbolization {
    /// As `Inlines` where debug information is found, else as `NamesOnly`, without complaint.
    #[default]
    Auto,
    /// Source lines.
    Lines,
    /// Source lines and inlined functions.
    Inlines,
    /// Names and offsets.
    NamesOnly,
}

/// What is printed, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// On stdout.
    pub format: OutputFormat,
    /// Of stdout and stderr.
    pub color: ColorChoice,
    /// How often `-v` was given.
    pub verbosity: u8,
    /// When failures are shown, and which.
    pub telling: Telling,
    /// Attach nothing.
    pub dry_run: bool,
    /// End after so many shown sessions.
    pub max_events: Option<u64>,
    /// End after so long.
    pub duration: Option<Duration>,
}

/// When failures are shown, and which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// Each one when it happens.
    #[default]
    AsTheyCome,
    /// When the command has ended: those that are the reason.
    Verdict,
    /// When the command has ended: all, those that are the reason first.
    VerdictAndAll,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always, also in files and pipes
    Always,
    /// Never
    Never,
}

/// The form of stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For people: one line for each failure.
    Lines,
    /// One JSON object a line.
    Json,
}

/// What a run finds around it, apart from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `$XDG_CONFIG_HOME`, else `$HOME/.config`; `None` where neither is set.
    pub config_home: Option<PathBuf>,
}
