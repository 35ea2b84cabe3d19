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
//! any machine. `app` is the only place that wires the stages together.

pub mod spec;

pub mod diag;

pub mod trusted;

pub mod cache;

pub mod cli;

pub mod config;

pub mod kernel;

pub mod target;

pub mod code;

pub mod select;

#[allow(unsafe_code)]
pub mod bpf;

pub mod command;

pub mod events;

pub mod session;

pub mod symbolize;

pub mod debuginfod;

pub mod capture;

pub mod render;

pub mod app;

#[cfg(test)]
mod architecture_tests;

#[cfg(test)]
#[path = "../tests/forge.rs"]
mod forge;
