// SPDX-License-Identifier: BSD-2-Clause
//! A read position in a byte slice. All numbers are little-endian.

/// Reads forward. Every read beyond the end returns `None`.
#[derive(Clone, Copy, Debug)]
pub(in crate::symbolize) struct Cursor<'data> {
    bytes: &'data [u8],
    at: usize,
}

impl<'data> Cursor<'data> {
    pub(in crate::symbolize) fn new(bytes: &'data [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    #[inline]
    pub(in crate::symbolize) fn at(&self) -> usize {
        self.at
    }

    pub(in crate::symbolize) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Sets the position. It may be beyond the end; reads then return `None`.
    #[inline]
    pub(in crate::symbolize) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    #[inline]
    pub(in crate::symbolize) fn skip(&mut self, n_bytes: usize) -> Option<()> {
        let at = self.at.checked_add(n_bytes)?;
        (at <= self.bytes.len()).then_some(())?;
        self.at = at;
        Some(())
    }

    #[inline]
    pub(in crate::symbolize) fn take(&mut self, n_bytes: usize) -> Option<&'data [u8]> {
        let end = self.at.checked_add(n_bytes)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*bytes)
    }

    #[inline]
    pub(in crate::symbolize) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub(in crate::symbolize) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(in crate::symbolize) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(in crate::symbolize) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a number of 1 to 8 bytes.
    #[inline]
    pub(in crate::symbolize) fn number(&mut self, n_bytes: u8) -> Option<u64> {
        match n_bytes {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            4 => self.u32().map(u64::from),
            8 => self.u64(),
            0 => None,
            n_bytes => {
                let bytes = self.take(usize::from(n_bytes.min(8)))?;
                let add = |number, byte: &u8| number << 8 | u64::from(*byte);
                Some(bytes.iter().rev().fold(0, add))
            }
        }
    }

    /// Reads an offset into a section, of 4 or 8 bytes.
    #[inline]
    pub(in crate::symbolize) fn offset(&mut self, n_bytes: u8) -> Option<usize> {
        self.number(n_bytes)
            .and_then(|offset| usize::try_from(offset).ok())
    }

    /// Reads a ULEB128 number of any length and discards the bits beyond 64.
    #[inline]
    pub(in crate::symbolize) fn uleb(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7_u32;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift = shift.saturating_add(7);
            if byte < 0x80 {
                return Some(value);
            }
        }
    }

    /// Reads an SLEB128 number of any length and discards the bits beyond 64.
    #[inline]
    pub(in crate::symbolize) fn sleb(&mut self) -> Option<i64> {
        let mut value = 0_i64;
        let mut shift = 0_u32;
        loop {
            let byte = self.u8()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            shift = shift.saturating_add(7);
            if byte < 0x80 {
                if byte & 0x40 != 0 && shift < 64 {
                    value |= -1 << shift;
                }
                return Some(value);
            }
        }
    }

    /// Reads text up to a zero byte and skips that byte.
    #[inline]
    pub(in crate::symbolize) fn text(&mut self) -> Option<&'data [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let text = rest.get(..memchr::memchr(0, rest)?)?;
        self.at += text.len() + 1;
        Some(text)
    }

    /// Reads the length that a unit begins with. Returns it with the size of offsets in the unit: 4
    /// or 8 bytes.
    pub(in crate::symbolize) fn unit_length(&mut self) -> Option<(usize, u8)> {
        match self.u32()? {
            u32::MAX => Some((usize::try_from(self.u64()?).ok()?, 8)),
            length if length < 0xffff_fff0 => Some((length as usize, 4)),
            _ => None,
        }
    }
}
