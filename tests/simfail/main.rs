// SPDX-License-Identifier: BSD-2-Clause
//! Failure simulator (being built).

fn main() {}
