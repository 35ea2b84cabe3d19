// SPDX-License-Identifier: BSD-2-Clause
//! Array maps whose memory is mapped into this process.
//!
//! While a `bpf()` call reads or updates an element (`bpf_disable_instrumentation()`), the kernel
//! runs no kprobe programs on its CPU. The caller can be preempted meanwhile, and then the calls of
//! other tasks are missed. Memory needs no `bpf()` call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// The elements of an array map, which have 8 bytes each. The map must have `BPF_F_MMAPABLE`: since
/// 5.5 (fc9702273e2e, "bpf: Add `mmap()` support for `BPF_MAP_TYPE_ARRAY`").
#[derive(Debug)]
pub(in crate::bpf) struct MappedArray {
    memory: MmapRaw,
    len: usize,
}

impl MappedArray {
    /// Maps the first `len` elements of a map.
    pub(in crate::bpf) fn of(map: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new()
            .len(len * size_of::<u64>())
            .map_raw(map.as_raw_fd())?;
        Ok(Self { memory, len })
    }

    pub(in crate::bpf) fn len(&self) -> usize {
        self.len
    }

    /// Reads an element, which the programs may change at any time.
    pub(in crate::bpf) fn get(&self, index: usize) -> u64 {
        self.element(index).load(Ordering::Relaxed)
    }

    pub(in crate::bpf) fn set(&self, index: usize, value: u64) {
        self.element(index).store(value, Ordering::Relaxed);
    }

    fn element(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len, "no such element");
        // SAFETY: the mapping is page-aligned, `len` elements long, and lives as long as `self`.
        let element = unsafe { self.memory.as_mut_ptr().cast::<u64>().add(index) };
        // SAFETY: aligned and valid as above. All accesses of this process are atomic.
        unsafe { AtomicU64::from_ptr(element) }
    }
}
