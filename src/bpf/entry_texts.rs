// SPDX-License-Identifier: BSD-2-Clause
//! Tells the programs which arguments of entry functions are texts.

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::tracer::Tracer;
use super::wire::MAX_AREAS;
use crate::select::TracedFunction;
use crate::spec::{MAX_ARGUMENT_WORDS, ParameterKind};

impl Tracer<'_> {
    /// Has the texts read that arguments of these functions point to.
    /// [`Settings::n_entry_texts`](super::Settings::n_entry_texts) must be the number of functions that
    /// have some.
    ///
    /// # Errors
    /// If the kernel refuses to store it.
    pub fn set_entry_texts(&self, functions: &[TracedFunction]) -> Result<()> {
        for function in functions {
            let texts = entry_texts(function);
            if texts == 0 {
                continue;
            }
            let map = &self.loaded.skel.maps.entry_texts;
            let (key, value) = (function.id.0.to_ne_bytes(), texts.to_ne_bytes());
            map.update(&key, &value, MapFlags::ANY)
                .context("failed to write which arguments are texts")?;
        }
        Ok(())
    }
}

/// Returns the arguments of a function that are texts, a byte each, counted from 1; 0 if there are
/// none.
pub(crate) fn entry_texts(function: &TracedFunction) -> u32 {
    let words = function.parameters.iter().filter_map(|parameter| {
        let is_kept = usize::from(parameter.word) < MAX_ARGUMENT_WORDS;
        (parameter.kind == ParameterKind::Text && is_kept).then_some(parameter.word)
    });
    let mut texts = 0;
    for (place, word) in words.take(MAX_AREAS).enumerate() {
        texts |= (u32::from(word) + 1) << (8 * place);
    }
    texts
}
