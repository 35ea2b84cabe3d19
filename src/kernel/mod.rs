// SPDX-License-Identifier: BSD-2-Clause
//! Facts about a kernel, live or recorded: symbols, types, traceable functions.

pub mod absent;
mod arch;
pub mod btf;
pub mod facts;
pub mod host_settings;
pub mod images;
pub mod kallsyms;
pub mod kcore;
mod preemption;
pub mod privileges;
pub mod symbols;
pub mod trace_event;
pub mod traceable;
pub mod version;
