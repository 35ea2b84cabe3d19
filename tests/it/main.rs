// SPDX-License-Identifier: BSD-2-Clause
//! The one integration crate: command line goldens, replays, and (module `root`) guest tests.
