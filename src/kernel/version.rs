// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's version, for features that no symbol or type shows.

use std::fmt;

/// Major and minor number of a kernel's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The major number: 6 in 6.12.
    pub major: u16,
    /// The minor number: 12 in 6.12.
    pub minor: u16,
}

impl KernelVersion {
    /// The oldest supported kernel. It is assumed if a release cannot be parsed.
    pub const OLDEST: Self = Self {
        major: 5,
        minor: 10,
    };

    /// Parses a release such as `6.12.117+deb12-cloud-amd64`; `None` if it has no two numbers.
    #[must_use]
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::KernelVersion;

    #[test]
    fn major_and_minor_are_read_from_a_release() {
        let version = |text| KernelVersion::of_release(text).map(|version| version.to_string());
        assert_eq!(
            version("6.12.117+deb12-cloud-amd64").as_deref(),
            Some("6.12")
        );
        assert_eq!(version("7.2-rc1").as_deref(), Some("7.2"));
        assert_eq!(version("linux"), None);
        assert!(KernelVersion::of_release("6.9.1") < KernelVersion::of_release("6.12.0"));
    }
}
