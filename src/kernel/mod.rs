// SPDX-License-Identifier: BSD-2-Clause
//! Facts about a kernel, live or recorded: symbols, images, types, what can be traced.

pub mod kallsyms;
