// SPDX-License-Identifier: BSD-2-Clause
//! What is said of a name that nothing has: the nearest names.

use std::fs;

use crate::failure::Failure;
use crate::spec::nearest;

/// Names that are offered in the place of one that is not there.
const OFFERED: usize = 3;

/// The names of `/etc/passwd` or `/etc/group`.
pub(crate) fn accounts(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split(':').next());
    names.map(str::to_owned).collect()
}

/// There is no such thing; the nearest names are.
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

/// The nearest names, if any is near. Others gave them: none may pass for a line of ours.
pub(crate) fn similar(named: &str, names: &[String]) -> Option<String> {
    let names = names.iter().map(String::as_str);
    let plain = names.filter(|name| !name.contains(char::is_control));
    let near = nearest(named, plain, OFFERED);
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
