// SPDX-License-Identifier: BSD-2-Clause
//! Globs, errnos and durations as users type them.

use std::time::Duration;

use super::errno_table::ERRNOS;
use super::{BareUnit, Errno, ErrnoSet, GlobKind, GlobSpec, Outcome, parse_duration};

fn glob(text: &str) -> GlobSpec {
    text.parse().unwrap()
}

fn glob_error(text: &str) -> String {
    text.parse::<GlobSpec>().unwrap_err()
}

#[test]
fn stars_match_any_run_of_characters_and_ends_are_anchored() {
    for (pattern, yes, no) in [
        ("bpf", &["bpf"][..], &["bpf_", "xbpf"][..]),
        ("bpf_*", &["bpf_", "bpf_map"], &["xbpf_map", "bpf"]),
        (
            "*_sys_bpf",
            &["__x64_sys_bpf", "_sys_bpf"],
            &["__x64_sys_bpf_", "sys_bpf"],
        ),
        ("*bpf*", &["bpf", "a_bpf_b"], &["btf"]),
        (
            "a*b*c",
            &["abc", "a_b_b_c", "abbcc"],
            &["acb", "ab", "abcd"],
        ),
        ("ab*ba", &["abba", "abxba"], &["aba"]),
        ("*", &["", "x.isra.0"], &[]),
    ] {
        for name in yes {
            assert!(
                glob(pattern).matches(name, None),
                "`{pattern}` matches `{name}`"
            );
        }
        for name in no {
            assert!(
                !glob(pattern).matches(name, None),
                "`{pattern}` does not match `{name}`"
            );
        }
    }
}

#[test]
fn question_marks_classes_and_alternatives_match_and_a_dot_is_a_dot() {
    assert!(glob("f?o").matches("foo", None));
    assert!(!glob("f?o").matches("fo", None));
    assert!(glob("f[a-c]o").matches("fbo", None));
    assert!(!glob("f[!a-c]o").matches("fbo", None));
    assert!(glob("{get,put}_*").matches("put_x", None));
    assert!(glob("f.isra.?").matches("f.isra.0", None));
    assert!(!glob("f.isra.?").matches("fxisra.0", None));
}

#[test]
fn a_clone_made_by_the_compiler_matches_by_its_function() {
    assert!(glob("check_cfg").matches("check_cfg.isra.0", None));
    assert!(glob("*_cfg").matches("check_cfg.part.0", None));
    assert!(!glob("check_cfg.isra.0").matches("check_cfg", None));
}

#[test]
fn a_module_part_never_matches_the_kernel_itself() {
    let xfs = glob("x* [xfs*]");
    assert!(xfs.matches("xlog", Some("xfs_core")));
    assert!(!xfs.matches("xlog", Some("ext4")));
    assert!(!xfs.matches("xlog", None));
    assert!(
        glob("x*").matches("xlog", Some("xfs")),
        "without the part: both"
    );
    assert!(glob("nft_* [nf-tables]").matches("nft_do_chain", Some("nf_tables")));
}

#[test]
fn a_colon_makes_it_a_source_path() {
    let source = glob(":kernel/bpf/*.c");
    assert!(matches!(source.kind(), GlobKind::Source(path) if path.matches("kernel/bpf/core.c")));
    assert!(!source.matches("kernel", None));
}

#[test]
fn what_cannot_match_anything_is_an_error_that_says_why() {
    assert_eq!(glob_error(""), "the function glob is empty");
    assert_eq!(glob_error("  "), "the function glob is empty");
    assert_eq!(glob_error(":"), "the source path is empty");
    assert_eq!(glob_error("f []"), "the module glob is empty");
    assert_eq!(glob_error("**"), "`**` is no more than `*` here: write one");
    assert_eq!(
        glob_error("kernel/bpf/core.c"),
        "no function name has a `/`; a source path starts with `:`"
    );
    assert_eq!(glob_error("main()"), "no function name has a '('");
    assert!(glob_error("f g").starts_with("after a blank only a module"));
    assert!(
        glob_error("f[a").contains("unclosed character class"),
        "{}",
        glob_error("f[a")
    );
}

#[test]
fn errno_numbers_are_ascending_so_that_they_can_be_searched() {
    assert!(ERRNOS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for &(number, name, meaning) in ERRNOS {
        assert_eq!(Errno::from_name(name), Some(Errno(number)));
        assert_eq!(Errno(number).name(), Some(name));
        assert_eq!(Errno(number).meaning(), Some(meaning));
    }
}

#[test]
fn an_errno_is_named_in_either_form_by_number_or_as_null() {
    let set: ErrnoSet = "EINVAL,-enoent, 13,-1,NULL".parse().unwrap();
    let numbers: Vec<u16> = set.errnos().map(|errno| errno.0).collect();
    assert_eq!(numbers, [1, 2, 13, 22]);
    assert!(set.contains(Outcome::Null));
    assert!(set.contains(Outcome::Errno(22)));
    assert!(!set.contains(Outcome::Errno(5)));
    assert!(!set.contains(Outcome::Success));
    assert!(
        "EWOULDBLOCK"
            .parse::<ErrnoSet>()
            .unwrap()
            .contains(Outcome::Errno(11))
    );
}

#[test]
fn an_unknown_errno_is_an_error_with_the_nearest_names() {
    let error = |text: &str| text.parse::<ErrnoSet>().unwrap_err();
    assert_eq!(error("EINVL"), "no errno of this name; similar: EINVAL");
    assert_eq!(error("NOENT"), "no errno of this name; similar: ENOENT");
    assert_eq!(error("qqqqqqqq"), "no errno of this name");
    assert_eq!(error("0"), "0 is success, not an errno");
    assert_eq!(error("4096"), "errnos go from 1 to 4095");
    assert_eq!(error("EIO,"), "an errno is missing");
}

#[test]
fn a_time_has_a_unit_or_the_one_of_its_option() {
    let longer = |text: &str| parse_duration(text, BareUnit::Milliseconds);
    assert_eq!(longer("500us"), Ok(Duration::from_micros(500)));
    assert_eq!(longer("0.25s"), Ok(Duration::from_millis(250)));
    assert_eq!(longer("1.5"), Ok(Duration::from_micros(1500)));
    assert_eq!(longer("1.0001us"), Ok(Duration::from_micros(1)));
    assert!(longer("1.s").unwrap_err().starts_with("a time is a number"));
    assert!(longer("1.2.3s").unwrap_err().starts_with("unknown unit"));
    assert_eq!(longer("10ms"), Ok(Duration::from_millis(10)));
    assert_eq!(longer("10"), Ok(Duration::from_millis(10)));
    assert_eq!(longer("2s"), Ok(Duration::from_secs(2)));
    assert_eq!(longer("1 m"), Ok(Duration::from_secs(60)));
    assert_eq!(
        parse_duration("10", BareUnit::Seconds),
        Ok(Duration::from_secs(10))
    );
    assert_eq!(
        longer("3h"),
        Err("unknown unit `h`; known: ns, us, ms, s, m".to_owned())
    );
    assert!(longer("fast").is_err());
    assert!(longer("-5ms").is_err());
    assert!(longer("99999999999999999999s").is_err());
}
