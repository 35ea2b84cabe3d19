// SPDX-License-Identifier: BSD-2-Clause
//! Globs over user functions: `u:libc:getaddrinfo`, `u:/usr/bin/app:parse_*:int`, `p:1234:*_open`,
//! `p:1234:libssl:SSL_*`.

use std::str::FromStr;

use super::ids::Pid;
use super::name_glob::{NameGlob, Subject};
use super::result::ResultType;

/// A glob over the functions of an executable or a library.
#[derive(Clone, Debug)]
pub struct UserGlob {
    /// The file that has the functions.
    pub object: UserObject,
    /// The names of the functions.
    pub name: NameGlob,
    /// How their results are judged; `None` if the user does not say it.
    pub result: Option<ResultType>,
}

/// The file that a user function belongs to, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserObject {
    /// A path, or the name of a library such as `libc`, `libssl.so.3`.
    File(String),
    /// The executable of a process.
    Process(Pid),
    /// A file that a process has mapped: its path, or the name of a library.
    Mapped(Pid, String),
}

/// What may follow a user glob, and the result type that it stands for.
const RESULT_SUFFIXES: [(&str, ResultType); 4] = [
    ("int", ResultType::Signed(4)),
    ("ptr", ResultType::Pointer),
    ("neg1", ResultType::MinusOne),
    ("bool", ResultType::False),
];

impl UserGlob {
    /// Parses a glob of user functions. Returns `None` if the text begins like none.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "u" => Some(Self::of_file(rest)),
            "p" => Some(Self::of_process(rest)),
            _ => None,
        }
    }

    fn of_file(rest: &str) -> Result<Self, String> {
        let (file, functions) = parts(rest, "u:PATH:GLOB, such as `u:libc:getaddrinfo`")?;
        Self::new(UserObject::File(file.to_owned()), functions)
    }

    fn of_process(rest: &str) -> Result<Self, String> {
        let form = "p:PID:GLOB or p:PID:LIBRARY:GLOB, such as `p:1234:parse_*`";
        let (pid, functions) = parts(rest, form)?;
        let pid = Pid::from_str(pid)?;
        // What stands behind a lone colon may be the result type of a function of the executable.
        match split_library(functions) {
            Some((library, functions)) if !is_result_suffix(functions) => {
                Self::new(UserObject::Mapped(pid, library.to_owned()), functions)
            }
            _ => Self::new(UserObject::Process(pid), functions),
        }
    }

    fn new(object: UserObject, functions: &str) -> Result<Self, String> {
        let (name, result) = split_result(functions)?;
        Ok(Self {
            object,
            name: NameGlob::new(name, Subject::UserFunction)?,
            result,
        })
    }
}

fn parts<'t>(rest: &'t str, form: &str) -> Result<(&'t str, &'t str), String> {
    match rest.split_once(':') {
        Some((object, functions)) if !object.is_empty() && !functions.is_empty() => {
            Ok((object, functions))
        }
        _ => Err(format!("user functions are written {form}")),
    }
}

/// Splits `libssl:SSL_*` at the first colon that is not a part of `::`.
fn split_library(text: &str) -> Option<(&str, &str)> {
    let mut colons = text.match_indices(':').map(|(at, _)| at);
    let is_lone = |at: &usize| {
        let (before, behind) = (&text[..*at], &text[*at + 1..]);
        !before.is_empty()
            && !behind.is_empty()
            && !before.ends_with(':')
            && !behind.starts_with(':')
    };
    let at = colons.find(is_lone)?;
    Some((&text[..at], &text[at + 1..]))
}

fn is_result_suffix(text: &str) -> bool {
    RESULT_SUFFIXES.iter().any(|(suffix, _)| *suffix == text)
}

/// Splits `parse_*:int`. In `ns::parse` the colons belong to the name.
fn split_result(functions: &str) -> Result<(&str, Option<ResultType>), String> {
    let Some((name, suffix)) = functions.rsplit_once(':') else {
        return Ok((functions, None));
    };
    if name.ends_with(':') {
        return Ok((functions, None));
    }
    let known = RESULT_SUFFIXES.iter().find(|(text, _)| *text == suffix);
    match known {
        Some((_, result)) => Ok((name, Some(*result))),
        None => {
            let all = RESULT_SUFFIXES.map(|(text, _)| format!("`:{text}`"));
            Err(format!(
                "`:{suffix}` is no result type: use one of {}",
                all.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{UserGlob, UserObject};
    use crate::spec::{Pid, ResultType};

    fn parse(text: &str) -> Result<UserGlob, String> {
        UserGlob::parse(text).unwrap()
    }

    #[test]
    fn a_glob_names_file_functions_and_result() {
        let glob = parse("u:libc:getaddr*").unwrap();
        assert_eq!(glob.object, UserObject::File("libc".to_owned()));
        assert!(glob.name.matches("getaddrinfo"));
        assert_eq!(glob.result, None);
        let glob = parse("u:/usr/bin/app:open_*:neg1").unwrap();
        assert_eq!(glob.object, UserObject::File("/usr/bin/app".to_owned()));
        assert_eq!(glob.result, Some(ResultType::MinusOne));
        assert_eq!(glob.name.text(), "open_*");
    }

    #[test]
    fn colons_of_a_name_are_no_result_type() {
        let glob = parse("u:app:app::config::read").unwrap();
        assert!(glob.name.matches("app::config::read"));
        assert_eq!(glob.result, None);
        let glob = parse("u:app:app::config::*:bool").unwrap();
        assert_eq!(glob.result, Some(ResultType::False));
    }

    #[test]
    fn a_process_is_named_by_its_id() {
        let glob = parse("p:17:main").unwrap();
        assert_eq!(glob.object, UserObject::Process(Pid(17)));
        assert!(parse("p:self:main").unwrap_err().contains("a number"));
    }

    #[test]
    fn a_library_of_a_process_stands_before_a_lone_colon() {
        let glob = parse("p:17:libssl.so.3:SSL_*").unwrap();
        let library = UserObject::Mapped(Pid(17), "libssl.so.3".to_owned());
        assert_eq!(glob.object, library);
        assert!(glob.name.matches("SSL_new"));
        let glob = parse("p:17:/opt/a/libx.so:ns::f:ptr").unwrap();
        assert_eq!(
            glob.object,
            UserObject::Mapped(Pid(17), "/opt/a/libx.so".to_owned())
        );
        assert_eq!(glob.result, Some(ResultType::Pointer));
        assert!(glob.name.matches("ns::f"));
        for of_executable in ["p:17:main:int", "p:17:app::config::read", "p:17:a::b:neg1"] {
            let glob = parse(of_executable).unwrap();
            assert_eq!(glob.object, UserObject::Process(Pid(17)), "{of_executable}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for text in ["u:libc", "u::f", "u:libc:", "p:1"] {
            let why = parse(text).unwrap_err();
            assert!(why.contains("are written"), "{text}: {why}");
        }
        let why = parse("u:libc:open:long").unwrap_err();
        assert!(why.contains("`:long` is no result type"), "{why}");
        assert!(UserGlob::parse("vfs_*").is_none());
        assert!(UserGlob::parse(":fs/*.c").is_none());
    }
}
