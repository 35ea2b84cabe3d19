// SPDX-License-Identifier: BSD-2-Clause
//! Compressed sections → an unlinked temporary file, mapped. Not the heap: a kernel's debug
//! information has hundreds of megabytes, which the page cache can drop and a heap cannot.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use memmap2::Mmap;
use object::CompressionFormat;
use object::read::CompressedData;
use ruzstd::decoding::StreamingDecoder;

use super::map::map;

/// What one section may grow to, whatever its header says.
const LARGEST_SECTION: u64 = 4 << 30;

/// Inflates one section into a temporary file below `directory`.
pub(super) fn inflate(section: &CompressedData<'_>, directory: &Path) -> io::Result<Mmap> {
    let size = section.uncompressed_size;
    if size > LARGEST_SECTION {
        return Err(io::Error::other("it claims to be larger than 4 GiB"));
    }
    let mut file = BufWriter::with_capacity(1 << 20, unlinked_file(directory)?);
    let written = match section.format {
        CompressionFormat::Zlib => copy(ZlibDecoder::new(section.data), size, &mut file)?,
        CompressionFormat::Zstandard => {
            let decoder = StreamingDecoder::new(section.data).map_err(io::Error::other)?;
            copy(decoder, size, &mut file)?
        }
        _ => return Err(io::Error::other("its compression is not known")),
    };
    if written != size {
        return Err(io::Error::other("its size is not what its header says"));
    }
    map(&file.into_inner().map_err(io::IntoInnerError::into_error)?)
}

/// Keeps bytes in a temporary file below the first directory that can be written to.
pub(super) fn keep(bytes: &[u8], directories: &[PathBuf]) -> io::Result<Mmap> {
    let mut last = io::Error::other("no directory for temporary files");
    for directory in directories {
        let kept = unlinked_file(directory).and_then(|mut file| {
            file.write_all(bytes)?;
            map(&file)
        });
        match kept {
            Ok(mapping) => return Ok(mapping),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Copies no more than one byte too many: enough to see that the header lies.
fn copy(from: impl Read, size: u64, to: &mut impl Write) -> io::Result<u64> {
    io::copy(&mut from.take(size + 1), to)
}

/// Where large temporary files belong: the cache directory of the user, else `/var/tmp`, which is
/// on a disk where `/tmp` often is memory.
pub(super) fn temporary_directories() -> Vec<PathBuf> {
    vec![PathBuf::from("/var/tmp"), env::temp_dir()]
}

fn unlinked_file(directory: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(directory)
}
