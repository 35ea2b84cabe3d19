// SPDX-License-Identifier: BSD-2-Clause
//! Inflates compressed sections into an unlinked temporary file. The heap is not used, because a
//! kernel's debug information has hundreds of megabytes. The page cache can drop them, a heap
//! cannot.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use object::CompressionFormat;
use object::read::CompressedData;
use ruzstd::decoding::StreamingDecoder;

/// Maximum window of a zstd decoder in bytes. Compressors use 2 MiB by default, and 8 MiB at their
/// highest usual level (19).
const LARGEST_WINDOW: u64 = 8 << 20;

/// Writes the uncompressed bytes of a section.
pub(super) fn write_plain(section: &CompressedData<'_>, to: &mut File) -> io::Result<()> {
    let size = section.uncompressed_size;
    let mut to = BufWriter::with_capacity(1 << 20, to);
    let written = match section.format {
        CompressionFormat::None => {
            to.write_all(section.data)?;
            section.data.len() as u64
        }
        CompressionFormat::Zlib => copy(ZlibDecoder::new(section.data), size, &mut to)?,
        CompressionFormat::Zstandard => {
            let decoder = StreamingDecoder::new_with_max_window_size(section.data, LARGEST_WINDOW);
            copy(decoder.map_err(io::Error::other)?, size, &mut to)?
        }
        _ => return Err(io::Error::other("its compression is not known")),
    };
    to.flush()?;
    if written == size {
        Ok(())
    } else {
        Err(io::Error::other("its size is not what its header says"))
    }
}

/// Copies at most one byte more than `size`, which is enough to detect a wrong header.
fn copy(from: impl Read, size: u64, to: &mut impl Write) -> io::Result<u64> {
    io::copy(&mut from.take(size.saturating_add(1)), to)
}

/// Creates a file without a name in `/var/tmp`, which is on a disk, while `/tmp` is often in
/// memory. Falls back to the directory for temporary files.
pub(super) fn temporary_file() -> io::Result<File> {
    unlinked_file(&PathBuf::from("/var/tmp")).or_else(|_| unlinked_file(&env::temp_dir()))
}

fn unlinked_file(directory: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(directory)
}
