// SPDX-License-Identifier: BSD-2-Clause
//! Maps files into memory, which needs unsafe code. Images have hundreds of megabytes, of which a
//! run touches a few, so reading them into the heap is not an alternative.

use std::fs::File;
use std::io;

use memmap2::{Advice, Mmap, MmapMut};

/// Maps a file for scattered reads.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    let mapping = map_ahead(file)?;
    // Units are read in random order. Read-ahead would load most of the image from the disk. This
    // is only advice, so a failure does not matter.
    let _ = mapping.advise(Advice::Random);
    Ok(mapping)
}

/// Maps an unlinked temporary file of ours for writing.
pub(super) fn map_writable(file: &File) -> io::Result<MmapMut> {
    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature")]
    // SAFETY: the file has no name and belongs to us alone. Nobody else truncates or changes it.
    let mapping = unsafe { MmapMut::map_mut(file)? };
    Ok(mapping)
}

/// Maps a file of which most is read.
pub(super) fn map_ahead(file: &File) -> io::Result<Mmap> {
    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature")]
    // SAFETY: the mapping is private and read-only, and its readers do not trust its bytes. Images
    // are replaced by renaming, which does not affect the mapped inode. Our own temporary files are
    // unlinked. If somebody truncates an image in place, we are killed by SIGBUS, like any other
    // reader of a mapped file. No memory is corrupted.
    let mapping = unsafe { Mmap::map(file)? };
    Ok(mapping)
}
