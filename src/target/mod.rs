// SPDX-License-Identifier: BSD-2-Clause
//! Facts about processes: cgroups, namespaces, containers. Read from files only: no daemon is
//! asked, and none of what is read is trusted.

pub mod cgroups;
pub mod containers;
mod files;
pub mod namespaces;
mod owner;

pub use files::HostFiles;
pub use owner::Owner;
