// SPDX-License-Identifier: BSD-2-Clause
//! What is known about the functions of the kernel, as tables: each with its reason, and version and
//! commit where they matter. A new kernel is looked at here first; `docs/kernels.md` has what
//! depends on versions.

pub(crate) mod blind;
pub(crate) mod callees;
pub(crate) mod denied;
pub(crate) mod frames;
pub(crate) mod helpers;
pub(crate) mod reasons;
pub(crate) mod requests;
pub(crate) mod results;
