// SPDX-License-Identifier: BSD-2-Clause
//! Files of user functions that come and go while we trace: those of containers.

use std::fs::File;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::attach::Link;
use super::detach::functions_of;
use super::tracer::Tracer;
use crate::spec::{ErrnoPlace, HookId, ObjectId};

/// `enum errno_kind` of `errno.bpf.h`.
pub(super) const DISTANCE: u64 = 1;
pub(super) const SLOT: u64 = 2;

impl Tracer<'_> {
    /// Sets where functions have their errno. [`ReadMemory::errno`](super::ReadMemory::errno) must
    /// be set.
    ///
    /// # Errors
    /// If an id is not one of the functions.
    pub fn set_errno_places(&self, places: &[(HookId, ErrnoPlace)]) -> Result<()> {
        for (id, place) in places {
            let (value, kind) = match place {
                ErrnoPlace::Distance(distance) => (*distance, DISTANCE),
                ErrnoPlace::Slot(distance) => (*distance, SLOT),
            };
            let bytes = [value.to_ne_bytes(), kind.to_ne_bytes()].concat();
            let map = &self.loaded.skel.maps.errno_places;
            map.update(&id.0.to_ne_bytes(), &bytes, MapFlags::ANY)
                .context("failed to write where functions have their errno")?;
        }
        Ok(())
    }

    /// Adds a file. Functions with this object can be attached to from then on.
    pub fn add_file(&mut self, file: File) -> ObjectId {
        let files = &mut self.loaded.user_files;
        files.push(Some(file));
        ObjectId(files.len() as u32 - 1)
    }

    /// Detaches from all functions of a file, and closes it. Until then the kernel keeps its file system
    /// in use.
    pub fn remove_file(&mut self, object: ObjectId) {
        let is_of_file = |link: &mut Link| link.object == Some(object);
        let mut taken = Vec::new();
        for (backend, links) in &mut self.links {
            let gone: Vec<Link> = links.links.extract_if(.., is_of_file).collect();
            if gone.is_empty() {
                continue;
            }
            links.n_attached = links.n_attached.saturating_sub(functions_of(&gone).len());
            taken.push((*backend, gone));
        }
        for (backend, links) in taken {
            self.close(backend, links);
        }
        if let Some(file) = self.loaded.user_files.get_mut(object.0 as usize) {
            *file = None;
        }
    }
}
