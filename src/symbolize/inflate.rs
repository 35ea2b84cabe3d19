// SPDX-License-Identifier: BSD-2-Clause
//! Compressed sections → an unlinked temporary file. Not the heap: a kernel's debug information
//! has hundreds of megabytes, which the page cache can drop and a heap cannot.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use object::CompressionFormat;
use object::read::CompressedData;
use ruzstd::decoding::StreamingDecoder;

/// In bytes: what a decoder of zstd may keep in memory. Compressors take 2 MiB by default, and
/// 8 MiB at their highest usual level (19).
const LARGEST_WINDOW: u64 = 8 << 20;

/// Writes the bytes of a section as they were before it was compressed.
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

/// Copies no more than one byte too many: enough to see that the header lies.
fn copy(from: impl Read, size: u64, to: &mut impl Write) -> io::Result<u64> {
    io::copy(&mut from.take(size.saturating_add(1)), to)
}

/// A file without a name in `/var/tmp`, which is on a disk where `/tmp` often is memory; else in
/// the directory for temporary files.
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
