// SPDX-License-Identifier: BSD-2-Clause
//! Whether the kernel lets us trace: capabilities and lockdown. Both are parsed from text, so that
//! tests can use any values.

/// Bits of `CapEff` (include/uapi/linux/capability.h).
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;
const CAP_SYSLOG: u32 = 34;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The lockdown mode of the kernel (`/sys/kernel/security/lockdown`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Not locked down, or the kernel does not support lockdown.
    None,
    /// User space may not change the kernel; tracing is allowed.
    Integrity,
    /// User space may not read the kernel's memory either, so that tracing is impossible.
    Confidentiality,
}

impl Lockdown {
    /// Parses the text of the file, which has the active mode in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.contains("[confidentiality]") {
            Self::Confidentiality
        } else if text.contains("[integrity]") {
            Self::Integrity
        } else {
            Self::None
        }
    }
}

/// The effective capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Parses the text of `/proc/self/status`; without a valid `CapEff` line there are none.
    #[must_use]
    pub fn parse(status: &str) -> Self {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(
            line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
                .unwrap_or(0),
        )
    }

    /// The capabilities that matter for tracing, each with whether it is effective.
    #[must_use]
    pub fn relevant(self) -> [(&'static str, bool); 6] {
        [
            ("CAP_SYS_ADMIN", CAP_SYS_ADMIN),
            ("CAP_BPF", CAP_BPF),
            ("CAP_PERFMON", CAP_PERFMON),
            ("CAP_SYSLOG", CAP_SYSLOG),
            ("CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH),
            ("CAP_SYS_RESOURCE", CAP_SYS_RESOURCE),
        ]
        .map(|(name, bit)| (name, self.has(bit)))
    }

    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Names of the capabilities that tracing needs and that are not effective.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        if self.has(CAP_SYS_ADMIN) {
            return Vec::new();
        }
        // CAP_SYSLOG is needed for the addresses in /proc/kallsyms.
        [
            ("CAP_BPF", CAP_BPF),
            ("CAP_PERFMON", CAP_PERFMON),
            ("CAP_SYSLOG", CAP_SYSLOG),
        ]
        .into_iter()
        .filter(|(_, bit)| !self.has(*bit))
        .map(|(name, _)| name)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Lockdown};

    #[test]
    fn lockdown_is_what_stands_in_brackets() {
        assert_eq!(
            Lockdown::parse("[none] integrity confidentiality\n"),
            Lockdown::None
        );
        assert_eq!(
            Lockdown::parse("none [integrity] confidentiality"),
            Lockdown::Integrity
        );
        assert_eq!(
            Lockdown::parse("none integrity [confidentiality]"),
            Lockdown::Confidentiality
        );
        assert_eq!(Lockdown::parse(""), Lockdown::None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |bits: &str| Capabilities::parse(&format!("CapEff:\t{bits}\n")).missing();
        assert_eq!(missing("000001ffffffffff"), Vec::<&str>::new());
        assert_eq!(missing("0000000000200000"), Vec::<&str>::new());
        assert_eq!(missing("0000008000000000"), ["CAP_PERFMON", "CAP_SYSLOG"]);
        assert_eq!(Capabilities::parse("").missing().len(), 3);
        let relevant = Capabilities::parse("CapEff:\t0000008000000000\n").relevant();
        assert!(relevant.contains(&("CAP_BPF", true)));
        assert!(relevant.contains(&("CAP_SYS_ADMIN", false)));
    }
}
