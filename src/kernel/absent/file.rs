// SPDX-License-Identifier: BSD-2-Clause
//! Reads a module's file, compressed or not.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::kernel::images::open_plain;

/// Maximum size in bytes. No module is larger, debug information included.
const MAX_FILE_SIZE: u64 = 1 << 30;

/// File name extensions of compressed modules.
const COMPRESSED_EXTENSIONS: [&str; 3] = ["xz", "zst", "gz"];

/// Returns `path`, or the name of its compressed form; `None` if neither exists.
pub(super) fn existing(path: &Path) -> Option<PathBuf> {
    let compressed = COMPRESSED_EXTENSIONS.map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    });
    let mut all = [path.to_owned()].into_iter().chain(compressed);
    all.find(|path| path.is_file())
}

/// Reads the uncompressed contents.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path)?
        .take(MAX_FILE_SIZE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    Ok(bytes)
}
