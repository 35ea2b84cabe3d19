// SPDX-License-Identifier: BSD-2-Clause
//! Results as they are shown.

use super::{push_decimal, push_duration, push_hex, result_text};
use crate::spec::ResultType;

fn check(result_type: ResultType, raw: u64, expected: &str) {
    assert_eq!(
        result_text(result_type, raw, result_type.judge(raw)),
        expected
    );
}

#[test]
fn results_read_as_their_type_says() {
    use ResultType as T;
    check(T::Void, 0x1234, "void");
    check(T::Bool, 1, "true");
    check(T::Bool, 0xff00, "false");
    check(T::Pointer, 0, "NULL");
    check(T::Pointer, 0xffff_8880_03f2_c000, "0xffff888003f2c000");
    check(T::Pointer, -12_i64 as u64, "-ENOMEM");
    check(T::Signed(4), 0xffff_ffea, "-EINVAL");
    check(T::Signed(4), 22, "22");
    check(T::Signed(4), 0x8000_0000, "0x80000000");
    check(T::Signed(8), 0x10_0000, "0x100000");
    check(T::Signed(8), -524_i64 as u64, "-ENOTSUPP");
    check(T::Signed(8), -2000_i64 as u64, "-2000");
    check(T::Signed(8), -5000_i64 as u64, "-5000");
    check(T::Unsigned(4), 0xffff_ffea, "0xffffffea");
    check(T::Unsigned(8), 7, "7");
    check(T::Unsigned(8), u64::MAX, "0xffffffffffffffff");
    check(T::UlongErrno, 0x7f00_0000_0000, "0x7f0000000000");
    check(T::UlongErrno, -13_i64 as u64, "-EACCES");
    check(T::BlkStatus, 10, "BLK_STS_IOERR");
    check(T::BlkStatus, 200, "BLK_STS 200");
    check(T::VmFault, 0x3, "VM_FAULT_OOM|VM_FAULT_SIGBUS");
    check(T::VmFault, 0x100, "256");
    check(T::Unknown, 0xffff_fffe, "-ENOENT");
}

fn said(push: impl Fn(&mut String)) -> String {
    let mut text = "before ".to_owned();
    push(&mut text);
    text.split_off("before ".len())
}

#[test]
fn durations_are_whole_microseconds() {
    assert_eq!(said(|text| push_duration(text, 999)), "0us");
    assert_eq!(said(|text| push_duration(text, 24_500)), "24us");
}

#[test]
fn numbers_are_written_as_the_standard_library_writes_them() {
    let around = |number: u64| [number.wrapping_sub(1), number, number.wrapping_add(1)];
    let powers = (0..64).map(|bits| 1 << bits);
    let tens = (0..20).map(|zeros| 10_u64.pow(zeros));
    for number in powers.chain(tens).flat_map(around).chain(0..1100) {
        assert_eq!(said(|text| push_decimal(text, number)), number.to_string());
        assert_eq!(said(|text| push_hex(text, number)), format!("{number:#x}"));
    }
}
