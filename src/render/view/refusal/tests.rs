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
