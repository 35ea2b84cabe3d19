// SPDX-License-Identifier: BSD-2-Clause
//! User functions and USDT probes: which file a glob names, which functions and probes the file has,
//! and where they are in it.
//!
//! Files may belong to anybody. Only headers and symbol tables are read, into buffers of bounded
//! size, and nothing is mapped into memory.

mod arch;
mod demangle;
mod denied;
mod dynamic;
mod elf;
mod errno;
mod files;
mod found;
mod go;
mod ld_cache;
mod loader;
mod locate;
mod mapped;
mod root;
mod selecting;
mod symbol_table;
mod symbols;
mod types;
mod usdt;

pub use files::UserFile;
pub use found::{FoundFunctions, find_functions};
pub use locate::{FileSearch, Surroundings};
pub use selecting::{UserReport, UserSelection, select_user};
pub use usdt::{FileProbes, ListedProbe, ListedSite, list_probes};
