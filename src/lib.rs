// SPDX-License-Identifier: BSD-2-Clause
//! Which kernel function failed, at which line, and how the error travelled up.
//!
//! ```text
//! argv ─ cli ─▶ config ─▶ select ─▶ bpf ──bytes──▶ events ─▶ session ─▶ symbolize ─▶ render
//!                 ▲          ▲
//!             usecases/   kernel (facts), target (cgroups, containers), command (what is run)
//! ```
//!
//! One way, no back and forth: each arrow is an owned value. Everything to the right of
//! `events` is a pure function of bytes and facts, so a recorded stream gives the same text on
//! any machine.
//!
//! The stages are put together in a few modules above them: `prepare` makes the selection, `run`
//! traces, `scope` says which tasks, `live` reads what is known of the running kernel, `output`
//! writes. `doctor` and `places` (the command `symbolize`) are commands of their own; `app` chooses
//! between all of them.

pub mod spec;

mod knowledge;

pub mod syscalls;

pub mod diag;

pub mod trusted;

pub mod cache;

pub mod cli;

pub mod config;

pub mod kernel;

pub mod target;

pub mod code;

pub mod select;

pub mod user;

#[allow(unsafe_code)]
pub mod bpf;

pub mod command;

pub mod events;

pub mod session;

pub mod explain;

pub mod symbolize;

pub mod debuginfod;

pub mod capture;

pub mod render;

mod failure;

mod scope;

mod live;

mod output;

mod prepare;

mod run;

mod doctor;

mod places;

pub mod app;

#[cfg(test)]
mod architecture_tests;

#[cfg(test)]
#[path = "../tests/forge.rs"]
mod forge;
