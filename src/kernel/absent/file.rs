// SPDX-License-Identifier: BSD-2-Clause
//! The bytes of a module's file, compressed or not.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

/// No module is larger, debug information included; what is compressed may claim to be.
const LARGEST: u64 = 1 << 30;

/// What a decoder may keep to look back at, in KiB. The kernel's own has 1 MiB.
const MAX_DICTIONARY: u32 = 64 << 10;

/// What the names of compressed modules end with.
const COMPRESSED: [&str; 3] = ["xz", "zst", "gz"];

/// The file that is there: `path` itself, or compressed.
pub(super) fn existing(path: &Path) -> Option<PathBuf> {
    let compressed = COMPRESSED.map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    });
    let mut all = [path.to_owned()].into_iter().chain(compressed);
    all.find(|path| path.is_file())
}

/// What is in it, decompressed by what it begins with.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 6];
    let n_magic = read_some(&mut file, &mut magic)?;
    let whole = magic[..n_magic].chain(file);
    match magic {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            bounded(XzReader::new_mem_limit(whole, true, MAX_DICTIONARY))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            bounded(StreamingDecoder::new(whole).map_err(io::Error::other)?)
        }
        [0x1f, 0x8b, ..] => bounded(MultiGzDecoder::new(whole)),
        _ => bounded(whole),
    }
}

fn read_some(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut n_read = 0;
    while n_read < bytes.len() {
        match file.read(&mut bytes[n_read..])? {
            0 => break,
            more => n_read += more,
        }
    }
    Ok(n_read)
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    Ok(bytes)
}
