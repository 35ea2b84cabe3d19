// SPDX-License-Identifier: BSD-2-Clause
//! Makes of a template the program that is loaded: for this kernel, these functions and this run.

use libbpf_sys::bpf_insn;

use super::patch::{Copy, patched};
use super::settings::Layout;
use super::specialize::{Constants, specialized};

/// What all copies of a run have in common.
#[derive(Debug)]
pub(super) struct Copier {
    pub(super) layout: Layout,
    pub(super) constants: Constants,
}

impl Copier {
    /// The program, or, where each function has one of its own, what these are made of.
    pub(super) fn copy(&self, template: &[bpf_insn], copy: Copy) -> Vec<bpf_insn> {
        specialized(&patched(template, &self.layout, copy), &self.constants)
    }
}
