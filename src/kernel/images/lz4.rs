// SPDX-License-Identifier: BSD-2-Clause
//! LZ4 in its legacy frames, as boot images carry it: blocks of at most 8 MiB, each after its
//! length, which do not refer to each other.

use std::io::{self, Read, Write};

const MAGIC: u32 = 0x184c_2102;

/// What a block unpacks to at most.
const BLOCK: usize = 8 << 20;

/// Unpacks all blocks; an error where there would be more than `most` bytes.
pub(super) fn unpack(mut from: impl Read, to: &mut impl Write, most: u64) -> io::Result<()> {
    let (mut packed, mut block) = (Vec::new(), Vec::new());
    let mut written = 0;
    let mut is_first = true;
    while let Some(length) = word(&mut from)? {
        if length == MAGIC {
            is_first = false;
            continue;
        }
        // The length of all follows the last block, where the kernel's build put it.
        let length = length as usize;
        if is_first || length > BLOCK + BLOCK / 255 + 16 {
            break;
        }
        packed.clear();
        (&mut from).take(length as u64).read_to_end(&mut packed)?;
        if packed.len() < length {
            break;
        }
        block.clear();
        unpack_block(&packed, &mut block).ok_or_else(|| io::Error::other("a block is damaged"))?;
        written += block.len() as u64;
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

/// `None` at the end.
fn word(from: &mut impl Read) -> io::Result<Option<u32>> {
    let mut bytes = Vec::with_capacity(4);
    from.take(4).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok().map(u32::from_le_bytes))
}

fn unpack_block(mut from: &[u8], to: &mut Vec<u8>) -> Option<()> {
    while let Some((token, rest)) = from.split_first() {
        from = rest;
        let literals = length(token >> 4, &mut from)?;
        to.extend(from.get(..literals)?);
        from = from.get(literals..)?;
        if from.is_empty() {
            // The last sequence has literals only.
            return Some(());
        }
        let (distance, rest) = from.split_first_chunk::<2>()?;
        from = rest;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let repeated = length(token & 15, &mut from)?.checked_add(4)?;
        let start = to.len().checked_sub(distance).filter(|_| distance > 0)?;
        (to.len().checked_add(repeated)? <= BLOCK).then_some(())?;
        for at in start..start + repeated {
            to.push(to[at]);
        }
    }
    Some(())
}

/// A length whose first part is in the token; 15 says that more follows.
fn length(first: u8, from: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(first);
    if first < 15 {
        return Some(length);
    }
    loop {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        length = length.checked_add(usize::from(*byte))?;
        if *byte < u8::MAX {
            return Some(length);
        }
    }
}
