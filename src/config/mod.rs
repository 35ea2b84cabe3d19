// SPDX-License-Identifier: BSD-2-Clause
//! What the command line means: defaults, conflicts, use cases, globs from files.
//!
//! [`Cli`](crate::cli::Cli) → [`Action`], with everything typed and no option left as text.
//! Files that are read here are those the user named and the use cases.

mod globs;
mod listing;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;
mod usecases;

pub use crate::cli::{
    BackendChoice, ColorChoice, DoctorOptions, Generated, PlacesOptions, UsageError,
};
pub use globs::{GlobOrigin, GlobUse, Globs, Role};
pub use listing::{ContainersConfig, ListConfig, ListFormat};
pub use settings::{
    Action, Chosen, Command, Config, Environment, Errors, Limits, OnLoad, Optimizations,
    OutputFile, OutputFormat, Run, RunAs, Scope, Sessions, Symbolization,
};
pub use usecases::{UseCase, UseCases};
