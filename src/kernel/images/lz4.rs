// SPDX-License-Identifier: BSD-2-Clause
//! LZ4 in the legacy frame format of boot images: independent blocks of at most 8 MiB, each
//! preceded by its length.

use std::io::{self, Read, Write};

use lz4_flex::block::decompress_into;

const MAGIC: u32 = 0x184c_2102;

/// Maximum uncompressed size of a block in bytes.
const MAX_BLOCK_SIZE: usize = 8 << 20;

/// Uncompresses all blocks. Fails if the result is larger than `most` bytes.
pub(super) fn unpack(mut from: impl Read, to: &mut impl Write, most: u64) -> io::Result<()> {
    let (mut packed, mut block) = (Vec::new(), Vec::new());
    let mut written = 0;
    let mut is_first = true;
    while let Some(length) = word(&mut from)? {
        if length == MAGIC {
            is_first = false;
            continue;
        }
        // The kernel's build appends the total length after the last block.
        let length = length as usize;
        if is_first || length > MAX_BLOCK_SIZE + MAX_BLOCK_SIZE / 255 + 16 {
            break;
        }
        packed.clear();
        (&mut from).take(length as u64).read_to_end(&mut packed)?;
        if packed.len() < length {
            break;
        }
        block.resize(MAX_BLOCK_SIZE, 0);
        let n_bytes = decompress_into(&packed, &mut block).map_err(io::Error::other)?;
        block.truncate(n_bytes);
        written += n_bytes as u64;
        if written > most {
            return Err(io::Error::other("it is too large"));
        }
        to.write_all(&block)?;
    }
    if written == 0 {
        return Err(io::Error::other("it has no whole block"));
    }
    Ok(())
}

/// Reads a little-endian word; `None` at the end.
fn word(from: &mut impl Read) -> io::Result<Option<u32>> {
    let mut bytes = Vec::with_capacity(4);
    from.take(4).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok().map(u32::from_le_bytes))
}
