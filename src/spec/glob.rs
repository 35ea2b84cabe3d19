// SPDX-License-Identifier: BSD-2-Clause
//! Globs over functions: `tcp_*`, `*_sys_bpf`, `xfs_* [xfs]`, `:kernel/bpf/*.c`, `u:libc:open*`,
//! and over tracepoints: `tp:sched:*`.
//!
//! Parsing rejects a glob that cannot match any function, so that the user gets an error and not an
//! empty result.

use std::fmt;
use std::str::FromStr;

use super::event_glob::EventGlob;
use super::name_glob::{NameGlob, Subject};
use super::usdt::UsdtGlob;
use super::user_glob::UserGlob;

/// The argument of `-e`, `-a` or `-d`.
#[derive(Clone, Debug)]
pub struct GlobSpec {
    text: String,
    kind: GlobKind,
}

/// The property that a glob is matched against.
#[derive(Clone, Debug)]
pub enum GlobKind {
    /// The name of the function, and optionally its module.
    Function {
        /// The name of the function.
        name: NameGlob,
        /// The module in `name [module]`. With it, functions of the kernel itself do not match.
        module: Option<NameGlob>,
    },
    /// The source file that defines the function, written `:path`.
    Source(NameGlob),
    /// Functions of an executable or a library, written `u:PATH:GLOB` or `p:PID:GLOB`.
    User(UserGlob),
    /// Tracepoints, written `tp:CATEGORY:NAME` or `rawtp:NAME`.
    Event(EventGlob),
    /// USDT probes of an executable or a library, written `usdt:PATH:PROVIDER:NAME`.
    Usdt(Box<UsdtGlob>),
}

impl GlobSpec {
    /// The text that the user wrote.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The property that it is matched against.
    #[must_use]
    pub fn kind(&self) -> &GlobKind {
        &self.kind
    }

    /// Whether the function `name` of `module` (`None` for the kernel itself) matches; see
    /// [`GlobSpec::matches_function`].
    #[must_use]
    pub fn matches(&self, name: &str, module: Option<&str>) -> bool {
        self.matches_function(&FunctionName::new(name, module))
    }

    /// Whether a function matches. A clone also matches by the name of the function that it was
    /// made from: `f` matches `f.isra.0`.
    ///
    /// A source glob matches nothing here; it is replaced by names before the selection. Globs of
    /// user functions, of USDT probes and of tracepoints match nothing either.
    #[must_use]
    pub fn matches_function(&self, function: &FunctionName<'_>) -> bool {
        let GlobKind::Function { name, module } = &self.kind else {
            return false;
        };
        let module_matches = match (module, function.module) {
            (None, _) => true,
            (Some(wanted), Some(module)) => wanted.matches(module),
            (Some(_), None) => false,
        };
        module_matches
            && (name.matches(function.name) || function.base.is_some_and(|base| name.matches(base)))
    }
}

/// The name of a function, parsed once and matched against many globs.
#[derive(Clone, Copy, Debug)]
pub struct FunctionName<'a> {
    name: &'a str,
    /// The name of the function that it is a clone of; `None` if it is not a clone.
    base: Option<&'a str>,
    module: Option<&'a str>,
}

impl<'a> FunctionName<'a> {
    /// Parses the name of a function of `module`, which is `None` for the kernel itself.
    #[must_use]
    pub fn new(name: &'a str, module: Option<&'a str>) -> Self {
        let dot = memchr::memchr(b'.', name.as_bytes());
        Self {
            name,
            base: dot.map(|dot| &name[..dot]),
            module,
        }
    }

    /// The first byte of the name.
    #[must_use]
    pub fn first_byte(&self) -> Option<u8> {
        self.name.bytes().next()
    }

    /// The last byte of the name, and that of its base name if it differs.
    #[must_use]
    pub fn last_bytes(&self) -> (Option<u8>, Option<u8>) {
        let last = self.name.bytes().last();
        let base = self.base.and_then(|base| base.bytes().last());
        (last, base.filter(|_| base != last))
    }
}

/// Two globs are equal if their texts are.
impl PartialEq for GlobSpec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for GlobSpec {}

impl fmt::Display for GlobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for GlobSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let kind = if let Some(path) = text.strip_prefix(':') {
            GlobKind::Source(NameGlob::new(path, Subject::Path)?)
        } else if let Some(probes) = text.strip_prefix("usdt:") {
            GlobKind::Usdt(Box::new(UsdtGlob::parse(probes)?))
        } else if let Some(event) = EventGlob::parse(text) {
            GlobKind::Event(event?)
        } else if let Some(user) = UserGlob::parse(text) {
            GlobKind::User(user?)
        } else {
            parse_function(text)?
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

/// Parses `name` or `name [module]`. Only a bracket after a blank begins a module; `f[ab]` is a
/// character class.
fn parse_function(text: &str) -> Result<GlobKind, String> {
    let Some((name, rest)) = text.split_once(char::is_whitespace) else {
        return Ok(GlobKind::Function {
            name: NameGlob::new(text, Subject::Function)?,
            module: None,
        });
    };
    let module = rest
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let Some(module) = module else {
        return Err(
            "after a blank only a module in brackets may follow: `name [module]`".to_owned(),
        );
    };
    // The kernel calls the module of `nf-tables.ko` `nf_tables`.
    let module = if module.contains('[') {
        module.to_owned()
    } else {
        module.replace('-', "_")
    };
    Ok(GlobKind::Function {
        name: NameGlob::new(name, Subject::Function)?,
        module: Some(NameGlob::new(module.trim(), Subject::Module)?),
    })
}
