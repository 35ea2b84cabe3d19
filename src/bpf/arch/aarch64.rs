// SPDX-License-Identifier: BSD-2-Clause
//! arm64: the addresses that programs see. This file is type-checked (`scripts/check-arm64`), and
//! nothing of it was run.

/// The largest distance, in bytes, from a function's start to the address that its program sees:
/// `bti`, an instruction that saves the return address, and a call of ftrace.
pub(in crate::bpf) const FURTHEST_PROBE: u64 = 3 * 4;

/// Slots of arguments that are in registers (`REGISTER_ARGS` of `arch_arm64.bpf.h`).
pub(in crate::bpf) const REGISTER_ARGS: u8 = 7;
