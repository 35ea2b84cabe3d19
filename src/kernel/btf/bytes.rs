// SPDX-License-Identifier: BSD-2-Clause
//! The bytes of type information: a copy, or a mapping of the kernel's memory.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Mmap, MmapOptions};
use nix::sys::statfs::{SYSFS_MAGIC, fstatfs};

/// The owner of the bytes of a BTF.
#[derive(Debug)]
pub enum BtfBytes {
    /// A copy on the heap.
    Read(Vec<u8>),
    /// A mapping; see [`BtfBytes::of_kernel`].
    Mapped(Mmap),
}

impl BtfBytes {
    /// Maps the kernel's own BTF without a copy. Copying its 6 MB takes a tenth of a short start.
    ///
    /// # Errors
    ///
    /// Before 6.16 (a539e2a6d51d, "btf: Allow mmap of vmlinux btf") the kernel refuses to map this
    /// file. Files of other file systems are not mapped, because another process could truncate
    /// them while we read.
    pub fn of_kernel(file: &File) -> io::Result<Self> {
        if fstatfs(file)?.filesystem_type() != SYSFS_MAGIC {
            return Err(io::ErrorKind::Unsupported.into());
        }
        #[allow(unsafe_code, reason = "mapping a file is unsafe by nature")]
        // SAFETY: the mapping is private and read-only. The kernel never changes or frees the
        // mapped memory.
        let mapping = unsafe { MmapOptions::new().map_copy_read_only(file)? };
        Ok(Self::Mapped(mapping))
    }
}

impl From<Vec<u8>> for BtfBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Read(bytes)
    }
}

impl Deref for BtfBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(mapping) => mapping,
        }
    }
}
