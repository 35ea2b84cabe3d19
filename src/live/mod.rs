// SPDX-License-Identifier: BSD-2-Clause
//! Facts about the running kernel while tracing: symbols, source lines, machine code, and the
//! workloads of tasks. They are read on demand, and by other threads if that takes long.

pub(crate) mod behind;
pub(crate) mod fetching;
pub(crate) mod kernel_symbols;
pub(crate) mod lines;
pub(crate) mod naming;
pub(crate) mod roles;
pub(crate) mod symbols;
pub(crate) mod trails;
pub(crate) mod workloads;
