// SPDX-License-Identifier: BSD-2-Clause
//! Chains, provenance and merging over hand-made sessions.
