// SPDX-License-Identifier: BSD-2-Clause
//! What a run is asked to do, as values: settings, use cases, globs. Knows nothing of the command
//! line, which `cli` turns into these values.
//!
//! Files that are read here are those the user named and the use cases.

mod error;
mod flight;
mod globs;
mod listing;
mod lsm;
mod scope;
mod settings;
mod usecases;

pub use error::UsageError;
pub use flight::{DumpTrigger, FlightConfig};
pub use globs::{GlobArg, GlobOrigin, GlobUse, Globs, Role};
pub use listing::{ContainersConfig, ListConfig, ListFormat, UsdtConfig};
pub use lsm::LsmHooks;
pub use scope::{Choice, Comm, NamespaceRef};
pub use settings::{
    BackendChoice, Chosen, ColorChoice, Config, DEFAULT_MAX_RATE, DoctorConfig, Download,
    Environment, Errors, Limits, OnLoadModules, Optimizations, OutputFile, OutputFormat, RunAs,
    RunSettings, Scope, Sessions, Symbolization, SymbolizeConfig, Telling, TracedCommand,
};
#[cfg(test)]
pub(crate) use usecases::BUILT_IN;
pub(crate) use usecases::DEFAULT_CASE;
pub use usecases::{UseCase, UseCases};
