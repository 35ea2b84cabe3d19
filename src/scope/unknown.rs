// SPDX-License-Identifier: BSD-2-Clause
//! Errors for unknown names, with similar names as a hint.

use std::fs;

use crate::failure::Failure;
use crate::spec::nearest;

/// Maximum number of similar names in a hint.
const MAX_SIMILAR_NAMES: usize = 3;

/// Returns the names in `/etc/passwd` or `/etc/group`; empty if the file cannot be read.
pub(crate) fn accounts(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split(':').next());
    names.map(str::to_owned).collect()
}

/// Creates the error for a name that does not exist, with similar names or other advice as the
/// hint.
pub(crate) fn unknown(what: &str, named: &str, names: &[String]) -> anyhow::Error {
    let hint = similar(named, names).unwrap_or_else(|| {
        let elsewhere = match what {
            "user" | "group" => "a number does as well",
            "container" => "`retsnoop-rs list containers` shows those that run",
            _ => "`systemd-cgls` shows control groups with their units",
        };
        elsewhere.to_owned()
    });
    Failure::hinted(format!("there is no {what} `{named}`"), hint)
}

/// Formats the most similar names; `None` if none is similar. Untrusted users may have chosen them,
/// so names with control characters are excluded: they could imitate a message of ours.
pub(crate) fn similar(named: &str, names: &[String]) -> Option<String> {
    let names = names.iter().map(String::as_str);
    let plain = names.filter(|name| !name.contains(char::is_control));
    let near = nearest(named, plain, MAX_SIMILAR_NAMES);
    (!near.is_empty()).then(|| format!("similar: `{}`", near.join("`, `")))
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn a_name_that_would_make_a_line_of_its_own_is_not_offered() {
        let names = ["web-1", "web\nretsnoop-rs: error: no"].map(str::to_owned);
        assert_eq!(similar("web", &names).as_deref(), Some("similar: `web-1`"));
        assert_eq!(similar("other", &names), None);
    }
}
