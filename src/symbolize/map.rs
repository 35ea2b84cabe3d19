// SPDX-License-Identifier: BSD-2-Clause
//! Files as memory, which takes unsafe code: images have hundreds of megabytes of which a run
//! touches a few, so that reading them into the heap is no alternative.

use std::fs::File;
use std::io;

use memmap2::{Advice, Mmap, MmapMut};

/// Maps a file for scattered reads.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    let mapping = map_ahead(file)?;
    // Units are read here and there: reading ahead would pull most of the image from the disk.
    // It is advice only, so that a failure does not matter.
    let _ = mapping.advise(Advice::Random);
    Ok(mapping)
}

/// Maps a file of ours that is changed: an unlinked temporary one.
pub(super) fn map_writable(file: &File) -> io::Result<MmapMut> {
    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature")]
    // SAFETY: the file is ours alone, for it has no name: nobody truncates or changes it.
    let mapping = unsafe { MmapMut::map_mut(file)? };
    Ok(mapping)
}

/// Maps a file of which most is read.
pub(super) fn map_ahead(file: &File) -> io::Result<Mmap> {
    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature")]
    // SAFETY: the mapping is private and read only, and everything that reads it takes its bytes
    // for hostile. Images are replaced by renaming, which leaves the mapped inode alone; our own
    // temporary files are unlinked. Whoever truncates an image in place under us ends us by
    // SIGBUS, as any other reader of a mapped file; no memory is corrupted.
    let mapping = unsafe { Mmap::map(file)? };
    Ok(mapping)
}
