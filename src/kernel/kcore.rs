// SPDX-License-Identifier: BSD-2-Clause
//! `/proc/kcore`: the running kernel's memory as an ELF core file, and the facts of its
//! `VMCOREINFO` note.
//!
//! Opening it is cheap, because the kernel formats nothing. Text and read-only data are read as
//! they are, at the addresses of this boot. Lockdown (confidentiality) and a lack of
//! `CAP_SYS_RAWIO` prevent access. Every caller has another way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, pod};

use crate::spec::Addr;

/// Maximum size in bytes of headers and notes at the start of the file. They have a few KiB.
/// Machines with very fragmented memory have many program headers.
const MAX_HEADERS: usize = 1 << 20;

/// Size of the first read in bytes.
const FIRST_READ: usize = 32 << 10;

/// The kernel's memory and its note.
#[derive(Debug)]
pub struct Kcore {
    file: File,
    segments: Vec<Segment>,
    vmcoreinfo: String,
}

/// A range of addresses and its offset in the file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    addr: u64,
    len: u64,
    offset: u64,
}

impl Kcore {
    /// Opens the file and reads its headers.
    ///
    /// # Errors
    ///
    /// When the kernel denies access (lockdown, no `CAP_SYS_RAWIO`, no `CONFIG_PROC_KCORE`) or when
    /// the file is malformed.
    pub fn open(path: &Path) -> Result<Self> {
        let of = || format!("`{}`", path.display());
        let file = File::open(path).with_context(|| format!("failed to open {}", of()))?;
        let headers = headers(&file).with_context(|| format!("failed to read {}", of()))?;
        let (segments, vmcoreinfo) =
            parse(&headers).with_context(|| format!("failed to understand {}", of()))?;
        Ok(Self {
            file,
            segments,
            vmcoreinfo,
        })
    }

    /// Fills `bytes` with the kernel's memory at `addr`.
    ///
    /// # Errors
    ///
    /// When part of it is not mapped.
    pub fn read(&self, addr: Addr, bytes: &mut [u8]) -> io::Result<()> {
        let offset = self
            .offset(addr.0, bytes.len() as u64)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.file.read_exact_at(bytes, offset)
    }

    /// Reads `len` bytes at `addr`.
    ///
    /// # Errors
    ///
    /// As [`Kcore::read`].
    pub fn bytes(&self, addr: Addr, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(addr, &mut bytes)?;
        Ok(bytes)
    }

    /// The address of one of the few symbols in the note; `None` if the note does not have it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Addr> {
        let value = self.value("SYMBOL", name)?;
        u64::from_str_radix(value, 16).ok().map(Addr)
    }

    /// The value of a line `KIND(name)=value`.
    fn value(&self, kind: &str, name: &str) -> Option<&str> {
        self.vmcoreinfo.lines().find_map(|line| {
            line.strip_prefix(kind)?
                .strip_prefix('(')?
                .strip_prefix(name)?
                .strip_prefix(")=")
        })
    }

    fn offset(&self, addr: u64, len: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = addr.checked_sub(segment.addr)?;
            let end = into.checked_add(len)?;
            (end <= segment.len).then(|| segment.offset.checked_add(into))?
        })
    }
}

/// Reads the start of the file: headers and notes.
fn headers(file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; FIRST_READ];
    let mut len = file.read_at(&mut bytes, 0)?;
    bytes.truncate(len);
    let wanted = headers_len(&bytes)?.min(MAX_HEADERS);
    bytes.resize(wanted.max(len), 0);
    while len < wanted {
        let more = file.read_at(&mut bytes[len..], len as u64)?;
        if more == 0 {
            bail!("it ends within its headers");
        }
        len += more;
    }
    Ok(bytes)
}

/// Size in bytes of the program headers and the notes after them.
fn headers_len(bytes: &[u8]) -> Result<usize> {
    let (header, _) = pod::from_bytes::<FileHeader64<LittleEndian>>(bytes)
        .map_err(|()| anyhow::anyhow!("it is too short for an ELF header"))?;
    let endian = header.endian().context("it is no ELF file")?;
    let table = usize::from(header.e_phnum.get(endian)) * size_of::<ProgramHeaderOf>();
    let table_end = header.e_phoff.get(endian) as usize + table;
    let Ok(headers) = header.program_headers(endian, bytes) else {
        // The table is longer than what was read. The notes are expected right after it.
        return Ok(table_end.saturating_add(FIRST_READ));
    };
    let ends = headers.iter().filter_map(|segment| {
        let end = segment
            .p_offset(endian)
            .checked_add(segment.p_filesz(endian))?;
        (segment.p_type(endian) != PT_LOAD).then_some(end as usize)
    });
    Ok(ends.max().unwrap_or_default().max(table_end))
}

type ProgramHeaderOf = ProgramHeader64<LittleEndian>;

fn parse(bytes: &[u8]) -> Result<(Vec<Segment>, String)> {
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    let endian = header.endian()?;
    let mut segments = Vec::new();
    let mut vmcoreinfo = String::new();
    for segment in header.program_headers(endian, bytes)? {
        if segment.p_type(endian) == PT_LOAD {
            segments.push(Segment {
                addr: segment.p_vaddr(endian),
                len: segment.p_memsz(endian),
                offset: segment.p_offset(endian),
            });
        } else if let Some(mut notes) = segment.notes(endian, bytes)? {
            while let Some(note) = notes.next()? {
                if note.name() == b"VMCOREINFO" {
                    vmcoreinfo = String::from_utf8_lossy(note.desc()).into_owned();
                }
            }
        }
    }
    Ok((segments, vmcoreinfo))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Kcore;
    use crate::spec::Addr;

    const VMCOREINFO: &str = "OSRELEASE=6.12.1\nSYMBOL(_stext)=ffffffff81000000\n\
                              SYMBOL(_stext_end)=ffffffff81000123\nKERNELOFFSET=ec00000\n";

    /// A core file with one note and one segment of 16 bytes.
    fn core() -> Vec<u8> {
        let mut note = Vec::new();
        for word in [11_u32, VMCOREINFO.len() as u32, 0] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"VMCOREINFO\0\0");
        note.extend(VMCOREINFO.as_bytes());
        note.resize(note.len().next_multiple_of(4), 0);
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(4_u16.to_le_bytes());
        file.extend(62_u16.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [0_u64, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 2, 0, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let data = 64 + 2 * 56 + note.len() as u64;
        let note_len = note.len() as u64;
        for (kind, words) in [
            (4_u32, [64 + 2 * 56, 0, 0, note_len, 0, 0]),
            (1, [data, 0xffff_ffff_8100_0000, 0, 16, 16, 0x1000]),
        ] {
            file.extend(kind.to_le_bytes());
            file.extend(7_u32.to_le_bytes());
            for word in words {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(note);
        file.extend(0..16_u8);
        file
    }

    fn open(bytes: &[u8]) -> anyhow::Result<Kcore> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kcore");
        fs::write(&path, bytes).unwrap();
        Kcore::open(&path)
    }

    #[test]
    fn memory_is_read_where_it_is_mapped_and_nowhere_else() {
        let kcore = open(&core()).unwrap();
        let at = |addr: u64, len| kcore.bytes(Addr(addr), len).ok();
        assert_eq!(at(0xffff_ffff_8100_0004, 3), Some(vec![4, 5, 6]));
        assert_eq!(at(0xffff_ffff_8100_0000, 16), Some((0..16).collect()));
        assert_eq!(at(0xffff_ffff_8100_0001, 16), None);
        assert_eq!(at(0xffff_ffff_80ff_ffff, 2), None);
        assert_eq!(at(u64::MAX, 2), None);
    }

    #[test]
    fn the_note_tells_symbols() {
        let kcore = open(&core()).unwrap();
        assert_eq!(kcore.symbol("_stext"), Some(Addr(0xffff_ffff_8100_0000)));
        assert_eq!(kcore.symbol("_stex"), None);
    }

    #[test]
    fn a_file_that_is_cut_or_no_core_is_an_error() {
        let whole = core();
        for len in [0, 1, 63, 64, 100, 64 + 2 * 56, 64 + 2 * 56 + 20] {
            assert!(open(&whole[..len]).is_err(), "{len}");
        }
        assert!(open(&[0; 200]).is_err());
        let mut many = whole.clone();
        many[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(open(&many).is_err());
    }
}
