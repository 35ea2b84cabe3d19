// SPDX-License-Identifier: BSD-2-Clause
//! Functions with USDT probes, written as `<sys/sdt.h>` writes them, and with failing system calls.

use std::arch::asm;
use std::hint::black_box;
use std::sync::atomic::AtomicU16;

use super::sys;

/// What the kernel counts who traces the probe `request` in.
#[used]
#[unsafe(link_section = ".probes")]
pub(super) static SEMAPHORE: AtomicU16 = AtomicU16::new(0);

/// A probe of the provider `it`: its name, its arguments, its semaphore, and the operands.
macro_rules! probe {
    ($name:literal, $arguments:literal, $semaphore:literal $(, $($operand:tt)*)?) => {
        asm!(
            "990: nop",
            ".pushsection .note.stapsdt, \"?\", \"note\"",
            ".balign 4",
            ".4byte 992f-991f, 994f-993f, 3",
            "991: .asciz \"stapsdt\"",
            "992: .balign 4",
            "993: .8byte 990b",
            ".8byte 0",
            concat!(".8byte ", $semaphore),
            ".asciz \"it\"",
            concat!(".asciz \"", $name, "\""),
            concat!(".asciz \"", $arguments, "\""),
            "994: .balign 4",
            ".popsection",
            $($($operand)*,)?
            options(att_syntax, nostack, preserves_flags),
        )
    };
}

/// A request that fails in the kernel, at the first of two sites of the probe.
#[inline(never)]
pub(super) fn request(number: i32) -> i32 {
    // SAFETY: the probe is a `nop`.
    unsafe {
        probe!("request", "-4@{number:e}", "{semaphore}",
               number = in(reg) number, semaphore = sym SEMAPHORE);
    }
    black_box(sys::fail_close() + number)
}

/// The same in another function, with more on its stack.
#[inline(never)]
pub(super) fn other_request(number: i32) -> i32 {
    let room = black_box([number; 64]);
    // SAFETY: the probe is a `nop`.
    unsafe {
        probe!("request", "-4@{number:e}", "{semaphore}",
               number = in(reg) number, semaphore = sym SEMAPHORE);
    }
    black_box(sys::fail_close() + room[63])
}

/// A request that succeeds.
#[inline(never)]
pub(super) fn quiet(number: i32) -> i32 {
    // SAFETY: the probe is a `nop`.
    unsafe { probe!("quiet", "-4@{number:e}", "0", number = in(reg) number) };
    black_box(number)
}

/// A loop: each iteration hits the probe, and those with an even number fail.
#[inline(never)]
pub(super) fn iterate(count: i32) {
    for number in 1..=black_box(count) {
        // SAFETY: the probe is a `nop`.
        unsafe { probe!("iteration", "-4@{number:e}", "0", number = in(reg) number) };
        if number % 2 == 0 {
            sys::fail_close();
        }
    }
}

/// Two probes, and a failure. The second one has arguments of every kind; one cannot be read.
#[inline(never)]
pub(super) fn with_values(number: i32) -> i32 {
    let table = black_box([1, -2, 3, -70_000]);
    // SAFETY: the probe is a `nop`.
    unsafe { probe!("outer", "-4@{number:e}", "0", number = in(reg) number) };
    // SAFETY: as above.
    unsafe {
        probe!("values",
               "-4@4({table},{index},4) 8@({table}) -2@$-3 4@$5 1@{byte} 8@8({zero}) -8@{wide}",
               "0",
               table = in(reg) table.as_ptr(), index = in(reg) 2_u64, byte = in(reg_byte) 200_u8,
               zero = in(reg) 0_u64, wide = in(reg) -(1_i64 << 40));
    }
    black_box(sys::fail_close() + table[1])
}

#[inline(never)]
pub(super) fn start(number: i32) -> i32 {
    // SAFETY: the probe is a `nop`.
    unsafe { probe!("start", "-4@{number:e}", "0", number = in(reg) number) };
    black_box(number)
}

#[inline(never)]
pub(super) fn done(number: i32) -> i32 {
    // SAFETY: the probe is a `nop`.
    unsafe { probe!("done", "-4@{number:e}", "0", number = in(reg) number) };
    black_box(number)
}

/// Goes on until it is told to end; hits a probe meanwhile.
#[inline(never)]
pub(super) fn wait_in_a_call(hit: impl Fn() -> bool) {
    while hit() {
        // SAFETY: the probe is a `nop`.
        unsafe { probe!("waiting", "", "0") };
        sys::fail_close();
    }
}
