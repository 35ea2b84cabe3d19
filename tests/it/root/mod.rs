// SPDX-License-Identifier: BSD-2-Clause
//! Tests that trace a real kernel: run as root in a guest of each kernel (see scripts/test), one
//! after the other. Each asserts something on every kernel; where kernels differ, it asserts what
//! is documented for the one it runs on.

#![allow(
    clippy::absolute_paths,
    clippy::print_stdout,
    clippy::redundant_closure_for_method_calls,
    reason = "tests: what is called once is named in full"
)]

mod cgroup;
mod harness;
#[allow(unsafe_code)]
mod probed;
mod setting;
#[allow(unsafe_code)]
mod sys;
mod syscalls;
mod table;
mod view;

mod backends;
mod broad;
mod command;
mod command_signals;
mod container_files;
mod containers;
mod debuginfod;
mod deny;
mod deny_modules;
mod doctor;
mod endings;
mod environment;
mod fates;
mod faults;
mod faults_attach;
mod faults_tasks;
mod filters;
mod flight;
mod governor;
mod kept;
mod legacy_cgroups;
mod lifecycle;
mod limits;
mod listing;
mod main_job;
mod messages;
mod misses;
mod modules;
mod not_started;
mod on_load;
mod output;
mod reach;
mod scope;
mod selinux;
mod stalled;
mod symbols;
mod terminal;
mod told;
mod trail;
mod unexamined;
mod usdt;
mod use_cases;
mod user_functions;
mod warm;
mod why;
mod zz_btrfs;
mod zz_lockdown;
