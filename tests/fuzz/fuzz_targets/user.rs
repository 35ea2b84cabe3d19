// SPDX-License-Identifier: BSD-2-Clause
#![no_main]
#![allow(dead_code, missing_docs, reason = "each takes one of the targets")]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::user(bytes));
