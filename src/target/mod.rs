// SPDX-License-Identifier: BSD-2-Clause
//! Facts about processes: cgroups, namespaces, containers. They are read from files only. No daemon
//! is asked, and nothing that is read is trusted.

pub mod cgroups;
pub mod containers;
mod files;
pub mod namespaces;
mod owner;

pub use files::HostFiles;
pub use owner::Owner;
