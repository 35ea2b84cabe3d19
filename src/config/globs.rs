// SPDX-License-Identifier: BSD-2-Clause
//! The globs of a run, each with where it came from.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::UsageError;
use super::lsm::LsmHooks;
use super::usecases::DEFAULT_CASE;
use crate::spec::{Addr, EventGlob, GlobKind, GlobSpec};

/// What a glob is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens sessions.
    Entry,
    /// Takes part in sessions.
    Allow,
    /// Is never traced.
    Deny,
}

impl Role {
    /// The long option that gives globs of this role.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Entry => "--entry",
            Self::Allow => "--allow",
            Self::Deny => "--deny",
        }
    }
}

/// Where a glob came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobOrigin {
    /// The command line.
    Option,
    /// A line of an `@FILE`.
    File(PathBuf),
    /// A use case, with the reason that it gives for the glob.
    Case {
        /// The case's name.
        name: String,
        /// Why the case has this glob.
        why: String,
    },
    /// Nobody: the user named no functions.
    Program,
    /// An earlier run, in which the function was called too often.
    Learnt,
}

/// A glob in its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobUse {
    /// The glob.
    pub spec: GlobSpec,
    /// Where it came from.
    pub origin: GlobOrigin,
    /// Of a source glob: where the functions begin that it turned out to mean.
    pub functions: Vec<Addr>,
}

impl GlobUse {
    /// A glob as it was written.
    #[must_use]
    pub fn new(spec: GlobSpec, origin: GlobOrigin) -> Self {
        Self {
            spec,
            origin,
            functions: Vec::new(),
        }
    }

    /// Whether it selects by source file.
    #[must_use]
    pub fn is_source(&self) -> bool {
        matches!(self.spec.kind(), GlobKind::Source(_))
    }

    /// Whether it is a glob of user functions or USDT probes, not of kernel functions.
    #[must_use]
    pub fn is_of_user(&self) -> bool {
        matches!(self.spec.kind(), GlobKind::User(_) | GlobKind::Usdt(_))
    }

    /// The glob of tracepoints; `None` if it is of functions.
    #[must_use]
    pub fn event(&self) -> Option<&EventGlob> {
        match self.spec.kind() {
            GlobKind::Event(event) => Some(event),
            GlobKind::Function { .. }
            | GlobKind::Source(_)
            | GlobKind::User(_)
            | GlobKind::Usdt(_) => None,
        }
    }

    /// Whether the user named one function in full: the only thing that `--force` is for.
    #[must_use]
    pub fn names_a_function(&self) -> bool {
        let is_literal = match self.spec.kind() {
            GlobKind::Function { name, .. } => name.is_literal(),
            GlobKind::Source(_) | GlobKind::User(_) | GlobKind::Usdt(_) | GlobKind::Event(_) => {
                false
            }
        };
        is_literal && self.is_users()
    }

    /// Whether the user wrote it, on the command line or in a file.
    #[must_use]
    pub fn is_users(&self) -> bool {
        matches!(self.origin, GlobOrigin::Option | GlobOrigin::File(_))
    }

    /// Whether it is of the use case whose functions the program chooses, or learnt in runs of it. What
    /// such a glob denies, the user may still ask for.
    #[must_use]
    pub fn is_of_default_case(&self) -> bool {
        match &self.origin {
            GlobOrigin::Case { name, .. } => name == DEFAULT_CASE,
            GlobOrigin::Learnt => true,
            GlobOrigin::Option | GlobOrigin::File(_) | GlobOrigin::Program => false,
        }
    }

    /// Whether it only stands for the functions that the program chooses.
    #[must_use]
    pub fn is_programs(&self) -> bool {
        self.origin == GlobOrigin::Program
    }
}

/// `-e 'tcp_*'`, `'tcp_*' of @FILE`, `'tcp_*' of use case net`: for messages.
impl fmt::Display for GlobUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            GlobOrigin::Option => write!(f, "`{}`", self.spec),
            GlobOrigin::File(path) => write!(f, "`{}` of `{}`", self.spec, path.display()),
            GlobOrigin::Case { name, .. } => write!(f, "`{}` of use case `{name}`", self.spec),
            GlobOrigin::Program => write!(f, "`{}`, chosen by the program", self.spec),
            GlobOrigin::Learnt => {
                write!(f, "`{}`, called too often in an earlier run", self.spec)
            }
        }
    }
}

/// A glob, hooks, or a file of globs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobArg {
    /// `GLOB`.
    Glob(GlobSpec),
    /// `@FILE`.
    File(PathBuf),
    /// `lsm:HOOK`.
    Lsm(Box<LsmHooks>),
}

impl FromStr for GlobArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(hook) = text.strip_prefix("lsm:") {
            return Ok(Self::Lsm(Box::new(LsmHooks::parse(hook)?)));
        }
        match text.strip_prefix('@') {
            Some("") => Err("a file name must follow the `@`".to_owned()),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => Ok(Self::Glob(text.parse()?)),
        }
    }
}

/// All globs of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    /// Functions that open sessions.
    pub entry: Vec<GlobUse>,
    /// Functions that take part in sessions; entry functions do in any case.
    pub allow: Vec<GlobUse>,
    /// Functions never to trace.
    pub deny: Vec<GlobUse>,
    /// Functions that the user names in full are traced although we advise against it.
    pub force: bool,
}

impl Globs {
    /// Whether the program chooses inner functions itself.
    #[must_use]
    pub fn is_broad(&self) -> bool {
        self.allow.iter().any(GlobUse::is_programs)
    }

    /// Whether any chooses by source file.
    #[must_use]
    pub fn name_sources(&self) -> bool {
        let all = [&self.entry, &self.allow, &self.deny];
        let is_source = |glob: &GlobUse| matches!(glob.spec.kind(), GlobKind::Source(_));
        all.into_iter().flatten().any(is_source)
    }

    /// Whether any chooses user functions or USDT probes.
    #[must_use]
    pub fn name_user_functions(&self) -> bool {
        let all = [&self.entry, &self.allow, &self.deny];
        all.into_iter().flatten().any(GlobUse::is_of_user)
    }

    /// Whether any chooses tracepoints.
    #[must_use]
    pub fn name_events(&self) -> bool {
        self.allow.iter().any(|glob| glob.event().is_some())
    }

    /// Takes out the globs of tracepoints, which only add rows to sessions.
    pub fn take_events(&mut self) -> Vec<GlobUse> {
        self.allow
            .extract_if(.., |glob| glob.event().is_some())
            .collect()
    }

    /// Takes out the globs of user functions and USDT probes, and leaves those of kernel functions.
    #[must_use]
    pub fn split_user(&self) -> (Self, Vec<(Role, GlobUse)>) {
        let mut of_kernel = Self {
            force: self.force,
            ..Self::default()
        };
        let mut of_user = Vec::new();
        for role in [Role::Entry, Role::Allow, Role::Deny] {
            for glob in self.of(role) {
                if glob.is_of_user() {
                    of_user.push((role, glob.clone()));
                } else {
                    of_kernel.add(role, glob.clone());
                }
            }
        }
        (of_kernel, of_user)
    }

    /// The globs of one role.
    #[must_use]
    pub fn of(&self, role: Role) -> &[GlobUse] {
        match role {
            Role::Entry => &self.entry,
            Role::Allow => &self.allow,
            Role::Deny => &self.deny,
        }
    }

    /// Adds a glob.
    pub fn add(&mut self, role: Role, glob: GlobUse) {
        match role {
            Role::Entry => self.entry.push(glob),
            Role::Allow => self.allow.push(glob),
            Role::Deny => self.deny.push(glob),
        }
    }

    /// Adds what was given with an option; files are read.
    pub(crate) fn add_arguments(
        &mut self,
        role: Role,
        arguments: Vec<GlobArg>,
    ) -> Result<(), UsageError> {
        for argument in arguments {
            match argument {
                GlobArg::Glob(spec) => self.add(role, GlobUse::new(spec, GlobOrigin::Option)),
                GlobArg::File(path) => self.add_file(role, &path)?,
                GlobArg::Lsm(hooks) => self.add_hooks(role, *hooks),
            }
        }
        self.check_events(role)
    }

    /// A tracepoint has no result, so it opens no session.
    fn check_events(&self, role: Role) -> Result<(), UsageError> {
        let mut globs = self.of(role).iter();
        match globs.find(|glob| role != Role::Allow && glob.event().is_some()) {
            None => Ok(()),
            Some(glob) => Err(UsageError::new(format!(
                "{glob} names tracepoints, which {} does not take",
                role.option()
            ))
            .hint("-a shows tracepoints inside the sessions of other functions")),
        }
    }

    /// Adds the function that asks the security modules, and their functions. As entry functions, the
    /// latter are inner functions: what they return is what the first one returns.
    fn add_hooks(&mut self, role: Role, hooks: LsmHooks) {
        let LsmHooks { caller, modules } = hooks;
        self.add(role, GlobUse::new(caller, GlobOrigin::Option));
        let of_modules = match role {
            Role::Entry | Role::Allow => Role::Allow,
            Role::Deny => Role::Deny,
        };
        // No kernel has every module, so a module without this hook is no reason for a warning.
        let origin = GlobOrigin::Case {
            name: "lsm".to_owned(),
            why: "the security modules that are asked".to_owned(),
        };
        self.add(of_modules, GlobUse::new(modules, origin));
    }

    /// One glob a line; blank lines and what follows a `#` do not count.
    fn add_file(&mut self, role: Role, path: &Path) -> Result<(), UsageError> {
        let shown = path.display();
        let text = fs::read(path).map_err(|error| {
            UsageError::new(format!(
                "failed to read `{shown}`, named with {}: {error}",
                role.option()
            ))
        })?;
        let text = String::from_utf8(text)
            .map_err(|_| UsageError::new(format!("`{shown}` is not a text file of globs")))?;
        let before = self.of(role).len();
        for (number, line) in text.lines().enumerate() {
            let glob = line.split('#').next().unwrap_or_default().trim();
            if glob.is_empty() {
                continue;
            }
            let spec = glob.parse().map_err(|why: String| {
                UsageError::new(format!("`{shown}`, line {}: {why}", number + 1))
            })?;
            self.add(role, GlobUse::new(spec, GlobOrigin::File(path.to_owned())));
        }
        if self.of(role).len() == before {
            return Err(UsageError::new(format!("`{shown}` has no glob in it"))
                .hint("write one glob a line, such as `vfs_*` or `xfs_* [xfs]`"));
        }
        Ok(())
    }
}
