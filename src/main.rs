// SPDX-License-Identifier: BSD-2-Clause
//! `retsnoop-rs`: parse, run, exit code.

fn main() {}
