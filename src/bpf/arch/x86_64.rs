// SPDX-License-Identifier: BSD-2-Clause
//! x86-64: the addresses that programs see.

/// The largest distance, in bytes, from a function's start to the address that its program sees:
/// `endbr64` and a call of ftrace.
pub(in crate::bpf) const FURTHEST_PROBE: u64 = 4 + 5;

/// Slots of arguments that are in registers (`REGISTER_ARGS` of `arch_x86_64.bpf.h`).
pub(in crate::bpf) const REGISTER_ARGS: u8 = 6;
