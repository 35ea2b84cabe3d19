// SPDX-License-Identifier: BSD-2-Clause
//! Which note explains a refusal, and in which words.

use super::decide::{Facts, decide};
use crate::knowledge::refusals::RefusalClass;
use crate::spec::{FieldFormat, NoteField, NoteKind, NoteSource, NoteValue};

fn decided(
    source: &str,
    errno: u16,
    values: &[(&str, NoteValue)],
) -> Option<(RefusalClass, String)> {
    let field = |(name, _): &(&str, NoteValue)| NoteField {
        name: (*name).to_owned(),
        offset: 0,
        size: 8,
        format: FieldFormat::Unsigned,
    };
    let source = NoteSource {
        name: source.to_owned(),
        kind: NoteKind::Refusal,
        fields: values.iter().map(field).collect(),
    };
    let values: Vec<NoteValue> = values.iter().map(|(_, value)| value.clone()).collect();
    decide(&source.name, errno, &Facts::new(&source, &values))
}

fn words(source: &str, errno: u16, values: &[(&str, NoteValue)]) -> String {
    decided(source, errno, values).unwrap().1
}

fn number(number: u64) -> NoteValue {
    NoteValue::Unsigned(number)
}

fn text(text: &str) -> NoteValue {
    NoteValue::Text(text.as_bytes().to_vec())
}

#[test]
fn mode_bits_name_file_owner_and_asker() {
    let shadow = [
        ("mode", NoteValue::Octal(0o100_640)),
        ("uid", number(0)),
        ("gid", number(42)),
        ("mask", number(4)),
        ("fsuid", number(1000)),
        ("fsgid", number(1000)),
        ("name", text("shadow")),
    ];
    assert_eq!(
        words("generic_permission", 13, &shadow),
        "mode 0640 of \"shadow\", owner 0:42; reading wanted by uid 1000, gid 1000"
    );
    assert_eq!(decided("generic_permission", 1, &shadow), None);
}

#[test]
fn a_capability_is_named_with_its_user_namespace() {
    let admin = |level| {
        [
            (
                "capability",
                NoteValue::Named(21, "CAP_SYS_ADMIN".to_owned()),
            ),
            ("userns", number(4_026_531_837)),
            ("level", number(level)),
            ("euid", number(1000)),
        ]
    };
    assert_eq!(
        words("cap_capable", 1, &admin(0)),
        "CAP_SYS_ADMIN in the initial user namespace; asked with effective uid 1000"
    );
    assert_eq!(
        words("cap_capable", 1, &admin(1)),
        "CAP_SYS_ADMIN in user namespace 4026531837; asked with effective uid 1000"
    );
}

#[test]
fn flags_decide_only_what_they_forbid() {
    let file = |iflags, mask| {
        [
            ("iflags", NoteValue::Hex(iflags)),
            ("mask", number(mask)),
            ("sbflags", NoteValue::Hex(1)),
            ("fs", text("ext4")),
            ("name", text("x")),
        ]
    };
    let class = |errno, iflags, mask| {
        decided("inode_permission", errno, &file(iflags, mask)).map(|(class, _)| class)
    };
    assert_eq!(class(1, 8, 2), Some(RefusalClass::Immutable));
    assert_eq!(class(30, 0, 2), Some(RefusalClass::ReadOnly));
    assert_eq!(class(13, 8, 2), None);
    assert_eq!(class(1, 8, 4), None);
    assert_eq!(class(1, 0, 2), None);
}

#[test]
fn what_is_missing_is_a_question_mark_and_never_a_guess() {
    let words = words("generic_permission", 13, &[("mode", NoteValue::Unread)]);
    assert_eq!(words, "mode ?, owner ?:? by uid ?, gid ?");
    assert_eq!(decided("may_open", 13, &[]), None);
    assert_eq!(decided("may_delete", 1, &[]), None);
    assert_eq!(decided("printk:console", 1, &[]), None);
}

#[test]
fn a_filter_is_told_with_system_call_and_answer() {
    let call = ("syscall", NoteValue::Named(83, "mkdir".to_owned()));
    let listener = |address| ("listener", NoteValue::Hex(address));
    assert_eq!(
        words("__seccomp_filter", 13, &[call.clone(), listener(0)]),
        "system call mkdir was answered with EACCES (SECCOMP_RET_ERRNO)"
    );
    assert_eq!(
        words(
            "__seccomp_filter",
            1,
            &[call.clone(), listener(0xffff_8000)]
        ),
        "system call mkdir was answered with EPERM (SECCOMP_RET_ERRNO, or by the filter's listener)"
    );
    // `TS_COMPAT`: the numbers of 32-bit system calls are others.
    let status = ("status", NoteValue::Hex(2));
    assert_eq!(
        words("__seccomp_filter", 1, &[call.clone(), status]),
        "32-bit system call number 83 was answered with EPERM (SECCOMP_RET_ERRNO)"
    );
    // A call that is allowed may be logged, and other signals are sent, too.
    let logged = ("action", NoteValue::Hex(0x7ffc_0000));
    assert_eq!(decided("audit_seccomp", 1, &[call.clone(), logged]), None);
    let signal = [call, ("signal", number(11)), ("code", number(1))];
    assert_eq!(decided("force_sig_info", 1, &signal), None);
}

#[test]
fn modules_are_told_with_what_they_know() {
    let values = [
        ("profile", text("p")),
        ("operation", text("open")),
        ("name", text("/etc/shadow")),
        ("request", number(0b100_0110)),
    ];
    assert_eq!(
        words("aa_audit_file", 13, &values),
        "profile \"p\", operation \"open\", name \"/etc/shadow\", permissions write read open"
    );
    // `aa_capable` says the same, and which capability it is.
    assert_eq!(
        decided("aa_audit", 1, &[("operation", text("capable"))]),
        None
    );
    let values = [
        ("denied", number(0x80_0002)),
        ("scontext", text("a:b:c")),
        ("tcontext", text("d:e:f")),
        ("tclass", text("file")),
    ];
    assert_eq!(
        words("avc:selinux_audited", 13, &values),
        "permission read watch_with_perm of class file for a:b:c on d:e:f"
    );
    let access = |mode, granted| {
        [
            ("mode", number(mode)),
            ("granted", number(granted)),
            ("kind", number(0)),
            ("operation", number(6)),
            ("name", text("/d/")),
            ("domain", text("<kernel>")),
        ]
    };
    assert_eq!(
        words("tomoyo_supervisor", 1, &access(3, 0)),
        "file rmdir /d/ in domain \"<kernel>\""
    );
    // Permissive, and granted.
    assert_eq!(decided("tomoyo_supervisor", 1, &access(2, 0)), None);
    assert_eq!(decided("tomoyo_supervisor", 1, &access(3, 1)), None);
}
