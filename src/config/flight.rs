// SPDX-License-Identifier: BSD-2-Clause
//! What the flight recorder keeps, and when it is written out.

use std::str::FromStr;

use crate::spec::{ErrnoSet, GlobKind, GlobSpec};

/// Settings of the flight recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightConfig {
    /// Size of its memory in bytes.
    pub bytes: u32,
    /// Failures that it is written out at.
    pub on: Vec<DumpTrigger>,
    /// After how many shown sessions it is written out, each time; `None`: not for their number.
    pub after: Option<u64>,
}

/// A failure at which the flight recorder is written out: `error`, `error:GLOB`,
/// `error:GLOB=ERRNO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpTrigger {
    /// The function that fails; `None`: the session does.
    pub function: Option<GlobSpec>,
    /// The errors that count; `None`: all.
    pub errors: Option<ErrnoSet>,
}

impl FromStr for DumpTrigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let forms = "one of `error`, `error:GLOB`, `error:GLOB=ERRNO`";
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        if kind != "error" {
            return Err(format!("a trigger is {forms}"));
        }
        let Some(rest) = rest else {
            return Ok(Self {
                function: None,
                errors: None,
            });
        };
        let (glob, errors) = match rest.split_once('=') {
            Some((glob, errors)) => (glob, Some(errors.parse()?)),
            None => (rest, None),
        };
        if glob.is_empty() {
            return Err(format!(
                "there is no GLOB: a trigger is {forms}, such as `error:*=EPERM`"
            ));
        }
        let function: GlobSpec = glob.parse()?;
        if !matches!(function.kind(), GlobKind::Function { .. }) {
            return Err("GLOB is the name of a traced function, with `*`".to_owned());
        }
        Ok(Self {
            function: Some(function),
            errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::DumpTrigger;
    use crate::spec::Outcome;

    fn trigger(text: &str) -> DumpTrigger {
        text.parse().unwrap()
    }

    fn problem(text: &str) -> String {
        text.parse::<DumpTrigger>().unwrap_err()
    }

    #[test]
    fn a_trigger_is_a_failure_of_a_function_by_an_error() {
        assert_eq!(trigger("error").function, None);
        let by_name = trigger("error:map_*");
        let glob = by_name.function.unwrap();
        assert!(glob.matches("map_create", None) && !glob.matches("close", None));
        assert_eq!(by_name.errors, None);
        let by_errno = trigger("error:*=EPERM,einval").errors.unwrap();
        assert!(by_errno.contains(Outcome::Errno(22)));
        assert!(!by_errno.contains(Outcome::Errno(2)));
    }

    #[test]
    fn what_is_no_trigger_is_said_with_what_is_one() {
        assert!(problem("errors").contains("`error:GLOB=ERRNO`"));
        assert!(problem("signal:USR1").contains("`error:GLOB=ERRNO`"));
        assert!(problem("error:").contains("there is no GLOB"));
        assert!(problem("error:=EPERM").contains("there is no GLOB"));
        assert!(problem("error:*=EPREM").contains("no errno of this name; similar: EPERM"));
        assert!(problem("error:*=0").contains("0 is success"));
        assert!(problem("error:u:libc:open").contains("traced function"));
    }
}
