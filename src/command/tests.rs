// SPDX-License-Identifier: BSD-2-Clause
//! Real processes. (The harness has threads; what the children do between fork and exec needs no
//! lock of theirs.)

use std::ffi::{CString, OsString};
use std::fs;

use super::identity::environment;
use super::{Ended, Held, Invoker, RunAs};

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn ends(words: &[&str]) -> Ended {
    let held = Held::fork(&command(words), None).unwrap();
    held.release().unwrap().wait().unwrap()
}

fn refused(words: &[&str]) -> u8 {
    let held = Held::fork(&command(words), None).unwrap();
    held.release().unwrap_err().status
}

#[test]
fn the_status_is_the_commands() {
    assert_eq!(ends(&["true"]).status(), 0);
    assert_eq!(ends(&["sh", "-c", "exit 77"]).status(), 77);
    assert_eq!(ends(&["sh", "-c", "kill -TERM $$"]), Ended::Killed(15));
    assert_eq!(ends(&["sh", "-c", "kill -KILL $$"]).status(), 137);
}

#[test]
fn what_cannot_be_executed_has_the_statuses_of_env() {
    assert_eq!(refused(&["/nowhere/at/all"]), 127);
    assert_eq!(refused(&["no-such-command-anywhere"]), 127);
    assert_eq!(refused(&["/etc/passwd"]), 126);
    assert_eq!(refused(&["/"]), 126);
}

#[test]
fn what_is_not_released_never_runs() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let words = ["touch", mark.to_str().unwrap()];
    let held = Held::fork(&command(&words), None).unwrap();
    let pid = held.pid();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    drop(held);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(!mark.exists());
}

#[test]
fn a_user_is_a_name_or_a_number() {
    let nobody = Invoker::default();
    assert_eq!(RunAs::Ourselves.resolve(&nobody).unwrap(), None);
    for name in ["root", "0"] {
        let root = RunAs::User(name.to_owned()).resolve(&nobody).unwrap();
        let root = root.unwrap();
        assert!(root.uid.is_root());
        assert_eq!(root.variables[1], ("USER", OsString::from("root")));
    }
    let error = RunAs::User("no-such-user".to_owned()).resolve(&nobody);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "there is no user `no-such-user`");
    let error = RunAs::Invoker.resolve(&nobody).unwrap_err().to_string();
    assert!(error.contains("SUDO_UID"), "{error}");
    let invoker = Invoker {
        uid: Some(OsString::from("0")),
        name: None,
    };
    assert!(RunAs::Invoker.resolve(&invoker).unwrap().is_some());
}

#[test]
fn variables_take_the_place_of_others() {
    let ours = [("HOME", "/root"), ("PATH", "/bin"), ("A", "b=c")];
    let ours = ours.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let theirs = [("HOME", OsString::from("/home/me"))];
    let all = environment(ours.into_iter(), &theirs);
    assert_eq!(
        all,
        [
            c"PATH=/bin".into(),
            c"A=b=c".into(),
            c"HOME=/home/me".into()
        ] as [CString; 3]
    );
}
