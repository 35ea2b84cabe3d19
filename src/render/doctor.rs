// SPDX-License-Identifier: BSD-2-Clause
//! The report of `doctor`, as text for people or as one JSON object for programs.
//!
//! In JSON, `checks` is an object with one key per check. The keys are the same on every kernel, so
//! that `jq .checks.btf.state` works everywhere.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::escape;

/// Version of the report's JSON. It is raised when a key is removed or changes its meaning.
const SCHEMA: u32 = 1;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Fully available.
    Ok,
    /// Available with restrictions.
    Limited,
    /// Not available.
    Missing,
    /// Could not be determined.
    Unknown,
}

/// The heading of the text that a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckSection {
    /// What this process is allowed to do.
    Permissions,
    /// What the kernel supports.
    Kernel,
    /// Back ends, best first.
    Backends,
    /// Sources of symbols and lines.
    Symbols,
    /// Resource limits of this process.
    Limits,
}

impl CheckSection {
    const ALL: [Self; 5] = [
        Self::Permissions,
        Self::Kernel,
        Self::Backends,
        Self::Symbols,
        Self::Limits,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Permissions => "Permissions",
            Self::Kernel => "Kernel",
            Self::Backends => "Back ends (ways to attach, best first)",
            Self::Symbols => "Names and source lines",
            Self::Limits => "Limits",
        }
    }
}

/// One property that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Key in the JSON object.
    #[serde(skip)]
    pub id: String,
    /// Title in the text.
    pub title: String,
    /// Heading that it belongs to.
    pub section: CheckSection,
    /// Result.
    pub state: CheckState,
    /// Whether tracing is impossible without it.
    pub essential: bool,
    /// What was found, or why it is not available.
    pub found: String,
    /// What the user loses by the current state.
    pub cost: Option<String>,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Check {
    /// Creates a check that is not essential and has neither cost nor hint.
    #[must_use]
    pub fn new(
        section: CheckSection,
        id: impl Into<String>,
        title: impl Into<String>,
        state: CheckState,
        found: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            section,
            state,
            essential: false,
            found: found.into(),
            cost: None,
            hint: None,
        }
    }

    /// Marks the check as essential: tracing is impossible without it.
    #[must_use]
    pub fn essential(mut self) -> Self {
        self.essential = true;
        self
    }

    /// Sets what the user loses, unless the state is [`CheckState::Ok`].
    #[must_use]
    pub fn cost(mut self, cost: &str) -> Self {
        if self.state != CheckState::Ok {
            self.cost = Some(cost.to_owned());
        }
        self
    }

    /// Sets how to fix it, unless the state is [`CheckState::Ok`].
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        if self.state != CheckState::Ok {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    fn is_in_the_way(&self) -> bool {
        self.essential && matches!(self.state, CheckState::Missing | CheckState::Unknown)
    }
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// Version of retsnoop-rs.
    pub version: &'static str,
    /// Release of the kernel; `None` if it cannot be read.
    pub kernel: Option<String>,
    /// Name of the processor; `None` if it cannot be read.
    pub processor: Option<String>,
    /// Name of the back end that would be used by default; `None` if there is none.
    pub backend: Option<String>,
    /// All checks, in the order of the text.
    pub checks: Vec<Check>,
}

impl Checkup {
    /// Whether tracing works: no essential check is missing or unknown.
    #[must_use]
    pub fn can_trace(&self) -> bool {
        !self.checks.iter().any(Check::is_in_the_way)
    }

    /// Writes the report as text.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let kernel = self.kernel.as_deref().unwrap_or("an unknown kernel");
        writeln!(
            out,
            "retsnoop-rs {} on Linux {}",
            self.version,
            shown(kernel)
        )?;
        for section in CheckSection::ALL {
            writeln!(out, "\n{}", section.heading())?;
            for check in self.checks.iter().filter(|check| check.section == section) {
                self.write_check(check, out)?;
            }
        }
        writeln!(out, "\n{}", self.verdict())
    }

    fn write_check(&self, check: &Check, out: &mut dyn Write) -> io::Result<()> {
        let is_used = check.section == CheckSection::Backends
            && self.backend.as_deref() == Some(&check.title)
            && check.state == CheckState::Ok;
        let state = match check.state {
            CheckState::Ok if is_used => "used",
            CheckState::Ok => "ok",
            CheckState::Limited => "limited",
            CheckState::Missing if check.essential => "MISSING",
            CheckState::Missing => "missing",
            CheckState::Unknown => "unknown",
        };
        writeln!(
            out,
            "  {state:<8} {:<20} {}",
            check.title,
            shown(&check.found)
        )?;
        for (label, text) in [("costs", &check.cost), ("hint", &check.hint)] {
            if let Some(text) = text {
                writeln!(out, "{:32}{label}: {}", "", shown(text))?;
            }
        }
        Ok(())
    }

    fn verdict(&self) -> String {
        if self.can_trace() {
            let backend = self.backend.as_deref().unwrap_or("none");
            return format!("Tracing works here, by default with back end {backend}.");
        }
        let in_the_way = self.checks.iter().filter(|check| check.is_in_the_way());
        let titles: Vec<_> = in_the_way.map(|check| check.title.as_str()).collect();
        format!("Tracing does not work here: {}.", titles.join(", "))
    }

    /// Writes the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn write_json(&self, mut out: &mut dyn Write) -> io::Result<()> {
        let object = CheckupObject {
            schema: SCHEMA,
            kind: "doctor",
            version: self.version,
            kernel: self.kernel.as_deref(),
            processor: self.processor.as_deref(),
            can_trace: self.can_trace(),
            backend: self.backend.as_deref(),
            checks: Checks(&self.checks),
        };
        serde_json::to_writer(&mut out, &object)?;
        out.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct CheckupObject<'a> {
    schema: u32,
    kind: &'static str,
    version: &'a str,
    kernel: Option<&'a str>,
    processor: Option<&'a str>,
    can_trace: bool,
    backend: Option<&'a str>,
    checks: Checks<'a>,
}

/// Serializes as a JSON object whose keys have the order of the text.
struct Checks<'a>(&'a [Check]);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for check in self.0 {
            map.serialize_entry(&check.id, check)?;
        }
        map.end()
    }
}

/// Escapes paths and names, which come from others.
fn shown(text: &str) -> String {
    escape(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Check, CheckSection, CheckState, Checkup};

    fn checkup(state: CheckState) -> Checkup {
        Checkup {
            version: "1.2.3",
            kernel: Some("6.12.0\x1b".to_owned()),
            processor: None,
            backend: Some("fentry".to_owned()),
            checks: vec![
                Check::new(CheckSection::Kernel, "btf", "BTF", state, "130000 types")
                    .essential()
                    .cost("everything")
                    .hint("another kernel"),
                Check::new(
                    CheckSection::Backends,
                    "backend_fentry",
                    "fentry",
                    CheckState::Ok,
                    "two programs a function",
                )
                .cost("never told"),
            ],
        }
    }

    fn text(checkup: &Checkup) -> String {
        let mut out = Vec::new();
        checkup.write_text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_missing_is_told_with_its_cost_and_a_hint() {
        let text = text(&checkup(CheckState::Missing));
        assert!(
            text.starts_with("retsnoop-rs 1.2.3 on Linux 6.12.0\\x1b\n"),
            "{text}"
        );
        assert!(
            text.contains("  MISSING  BTF                  130000 types\n"),
            "{text}"
        );
        assert!(text.contains("costs: everything\n"), "{text}");
        assert!(text.contains("hint: another kernel\n"), "{text}");
        assert!(text.contains("  used     fentry "), "{text}");
        assert!(!text.contains("never told"), "{text}");
        assert!(
            text.ends_with("\nTracing does not work here: BTF.\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_essential_and_unknown_is_in_the_way_and_what_is_limited_is_not() {
        assert!(!checkup(CheckState::Unknown).can_trace());
        assert!(checkup(CheckState::Limited).can_trace());
        let text = text(&checkup(CheckState::Ok));
        assert!(text.contains("  ok       BTF"), "{text}");
        assert!(text.ends_with("with back end fentry.\n"), "{text}");
    }

    #[test]
    fn json_has_a_key_for_each_check() {
        let mut out = Vec::new();
        checkup(CheckState::Missing).write_json(&mut out).unwrap();
        let json: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["kind"], "doctor");
        assert_eq!(json["can_trace"], false);
        assert_eq!(json["checks"]["btf"]["state"], "missing");
        assert_eq!(json["checks"]["btf"]["cost"], "everything");
        assert_eq!(json["checks"]["backend_fentry"]["cost"], Value::Null);
        assert_eq!(json["checks"]["btf"]["section"], "kernel");
    }
}
