// SPDX-License-Identifier: BSD-2-Clause
//! Tests with real processes. The test harness has threads, but the children need none of their
//! locks between fork and exec.

use std::ffi::{CString, OsString};
use std::fs;

use nix::unistd::Uid;

use super::identity::environment;
use super::{CommandEnd, Held, Invoker, RequestedUser, Terminal};

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn ends(words: &[&str]) -> CommandEnd {
    let held = Held::fork(&command(words), None, Terminal::Shared).unwrap();
    held.release().unwrap().wait().unwrap()
}

fn refused(words: &[&str]) -> u8 {
    let held = Held::fork(&command(words), None, Terminal::Shared).unwrap();
    held.release().unwrap_err().status
}

#[test]
fn the_status_is_the_commands() {
    assert_eq!(ends(&["true"]).status(), 0);
    assert_eq!(ends(&["sh", "-c", "exit 77"]).status(), 77);
    assert_eq!(ends(&["sh", "-c", "kill -TERM $$"]), CommandEnd::Killed(15));
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
    let held = Held::fork(&command(&words), None, Terminal::Shared).unwrap();
    let pid = held.pid();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    drop(held);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(!mark.exists());
}

#[test]
fn a_user_is_a_name_or_a_number() {
    let nobody = Invoker::default();
    assert_eq!(RequestedUser::Ourselves.resolve(&nobody).unwrap(), None);
    for name in ["root", "0"] {
        let root = RequestedUser::User(name.to_owned())
            .resolve(&nobody)
            .unwrap();
        let root = root.unwrap();
        assert!(root.uid.is_root());
        assert_eq!(root.variables[1], ("USER", OsString::from("root")));
    }
    let error = RequestedUser::User("no-such-user".to_owned()).resolve(&nobody);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "there is no user `no-such-user`");
    let error = RequestedUser::Invoker
        .resolve(&nobody)
        .unwrap_err()
        .to_string();
    assert!(error.contains("SUDO_UID"), "{error}");
    let invoker = Invoker {
        uid: Some(OsString::from("0")),
        name: None,
    };
    assert!(RequestedUser::Invoker.resolve(&invoker).unwrap().is_some());
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

#[test]
fn the_number_of_who_called_sudo_is_not_taken_for_a_name() {
    let invoked = |uid: &str| {
        let invoker = Invoker {
            uid: Some(OsString::from(uid)),
            name: None,
        };
        RequestedUser::Invoker.resolve(&invoker)
    };
    // An existing user name in place of a number.
    let error = invoked("root").unwrap_err().to_string();
    assert_eq!(error, "`root` is no user id");
    assert!(invoked("0").unwrap().unwrap().uid.is_root());
}

#[test]
fn sockets_of_ours_are_not_for_another_user() {
    let names = [
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "SSH_AUTH_SOCK",
        "MAIL",
        "PATH",
    ];
    let ours = || {
        names
            .map(|name| (OsString::from(name), OsString::from("/x")))
            .into_iter()
    };
    let theirs = [("HOME", OsString::from("/home/me"))];
    assert_eq!(
        environment(ours(), &theirs),
        [c"PATH=/x".into(), c"HOME=/home/me".into()] as [CString; 2]
    );
    assert_eq!(environment(ours(), &[]).len(), names.len());
}

#[test]
fn a_command_that_left_the_terminal_leads_a_session() {
    let words = command(&[
        "sh",
        "-c",
        "read -r _ _ _ _ _ session _ < /proc/self/stat; [ $session = $$ ]",
    ]);
    let held = Held::fork(&words, None, Terminal::Left).unwrap();
    assert!(held.signaller().has_left_terminal());
    let ended = held.release().unwrap().wait().unwrap();
    assert_eq!(ended.status(), 0);
}

#[test]
fn another_user_gets_no_capabilities_of_ours() {
    if !Uid::effective().is_root() {
        return;
    }
    let nobody = RequestedUser::User("nobody".to_owned());
    let nobody = nobody.resolve(&Invoker::default()).unwrap();
    let script = "while read -r name set; do case $name in CapInh:|CapPrm:|CapAmb:) \
                  [ $set = 0000000000000000 ] || exit 3;; esac; done < /proc/self/status";
    let words = command(&["sh", "-c", script]);
    let held = Held::fork(&words, nobody.as_ref(), Terminal::Shared).unwrap();
    let ended = held.release().unwrap().wait().unwrap();
    assert_eq!(ended.status(), 0);
}
