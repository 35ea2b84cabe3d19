// SPDX-License-Identifier: BSD-2-Clause
//! What is known of the running kernel while tracing: symbols, source lines, machine code, and the
//! workloads that tasks belong to. Read when it is needed, beside the reader where it takes long.

pub(crate) mod behind;
pub(crate) mod fetching;
pub(crate) mod kernel_symbols;
pub(crate) mod lines;
pub(crate) mod naming;
pub(crate) mod roles;
pub(crate) mod symbols;
pub(crate) mod trails;
pub(crate) mod workloads;
