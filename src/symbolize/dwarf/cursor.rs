// SPDX-License-Identifier: BSD-2-Clause
//! A place in some bytes, and what can be read there.

/// Reads forward; beyond the end there is nothing.
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

    /// Goes to a place, which may be behind the end: nothing is read there.
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

    /// A number of 1 to 8 bytes.
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

    /// An offset into a section, of 4 or 8 bytes.
    #[inline]
    pub(in crate::symbolize) fn offset(&mut self, n_bytes: u8) -> Option<usize> {
        self.number(n_bytes)
            .and_then(|offset| usize::try_from(offset).ok())
    }

    /// A number of any length; bits beyond 64 are lost.
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

    /// A signed number of any length.
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

    /// Text up to a zero byte, which is consumed.
    #[inline]
    pub(in crate::symbolize) fn text(&mut self) -> Option<&'data [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let text = rest.get(..memchr::memchr(0, rest)?)?;
        self.at += text.len() + 1;
        Some(text)
    }

    /// The length that a unit begins with, and how many bytes offsets have in it.
    pub(in crate::symbolize) fn unit_length(&mut self) -> Option<(usize, u8)> {
        match self.u32()? {
            u32::MAX => Some((usize::try_from(self.u64()?).ok()?, 8)),
            length if length < 0xffff_fff0 => Some((length as usize, 4)),
            _ => None,
        }
    }
}
