// SPDX-License-Identifier: BSD-2-Clause
//! A traced run: attach, read records until the end, report the totals, detach.

pub(crate) mod again;
pub(crate) mod arming;
pub(crate) mod attaching;
pub(crate) mod consumer;
pub(crate) mod flight;
pub(crate) mod governor;
pub(crate) mod later_files;
mod lines;
mod looking;
mod not_started;
pub(crate) mod reading;
pub(crate) mod record;
pub(crate) mod settings;
pub(crate) mod spawned;
mod telling;
pub(crate) mod totals;
pub(crate) mod trace;
pub(crate) mod tracing;
mod unexamined;
mod watch;
