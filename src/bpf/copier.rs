// SPDX-License-Identifier: BSD-2-Clause
//! Makes the program that is loaded from a template: for this kernel, these functions and this run.

use super::body::Body;
use super::patch::{Copy, patched};
use super::settings::KernelLayout;
use super::specialize::{Constants, specialized};

/// What all copies of a run have in common.
#[derive(Debug)]
pub(super) struct Copier {
    pub(super) layout: KernelLayout,
    pub(super) constants: Constants,
    /// Whether programs are specialized.
    pub(super) specializes: bool,
}

impl Copier {
    /// Patches and specializes a template. If each function has a program of its own, the marks of
    /// [`OF_SINGLE`](super::patch::OF_SINGLE) are still to be replaced.
    pub(super) fn copy(&self, template: &Body, copy: Copy) -> Body {
        let patched = template.replaced(patched(template, &self.layout, copy));
        if self.specializes {
            specialized(&patched, &self.constants)
        } else {
            patched
        }
    }
}
