// SPDX-License-Identifier: BSD-2-Clause
//! The only writer of stderr: warnings, notes, hints, progress.
