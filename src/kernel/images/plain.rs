// SPDX-License-Identifier: BSD-2-Clause
//! Opens files so that they can be mapped. Compressed modules (`.ko.xz`, `.ko.zst`, `.ko.gz`) and
//! the kernel in a boot image are uncompressed into an unlinked temporary file.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use super::lz4;
use crate::kernel::arch;
use crate::trusted::open_regular;

/// Limit of the uncompressed size: the ratio times the compressed size, but at least
/// `MIN_SIZE_LIMIT` and at most `MAX_SIZE_LIMIT` bytes. Kernels and modules grow by a factor of 3
/// to 6.
const LARGEST_RATIO: u64 = 64;
const MIN_SIZE_LIMIT: u64 = 64 << 20;
const MAX_SIZE_LIMIT: u64 = 1 << 30;

/// Maximum memory of the xz decoder in KiB. The kernel's own build uses 32 MiB at most.
const LARGEST_DICTIONARY: u32 = 64 << 10;

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Xz,
    Zstd,
    Lz4Legacy,
}

impl Packing {
    /// Determines the compression by the first bytes; `None` if there is none.
    fn of(bytes: [u8; 6]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4Legacy),
            _ => None,
        }
    }
}

/// Opens a file for reading, and uncompresses it if needed.
///
/// # Errors
///
/// When it cannot be read, is not a regular file, or cannot be uncompressed.
pub fn open_plain(path: &Path) -> io::Result<File> {
    unpacked(open_regular(path)?)
}

/// Returns the file itself, or its uncompressed contents.
pub(super) fn unpacked(mut file: File) -> io::Result<File> {
    let packed = packed(&mut file)?;
    file.rewind()?;
    match packed {
        None => Ok(file),
        Some((packing, start, length)) => unpack(file, packing, start, length)
            .map_err(|error| io::Error::new(error.kind(), format!("failed to unpack: {error}"))),
    }
}

/// Compression, offset and length of the compressed data; `None` if the file is not compressed.
fn packed(file: &mut File) -> io::Result<Option<(Packing, u64, u64)>> {
    let all = file.metadata()?.len();
    if let Some(packing) = Packing::of(bytes_at(file, 0)?) {
        return Ok(Some((packing, 0, all)));
    }
    let Some((start, length)) = arch::packed_kernel(file)? else {
        return Ok(None);
    };
    match Packing::of(bytes_at(file, start)?) {
        Some(packing) => Ok(Some((packing, start, length))),
        None => Err(io::Error::other(
            "it is a boot image whose kernel is packed in a way that is not known \
             (gzip, xz, zstd and lz4 are)",
        )),
    }
}

/// Reads `N` bytes. Bytes beyond the end are 0.
pub(in crate::kernel) fn bytes_at<const N: usize>(file: &mut File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = Vec::with_capacity(N);
    file.seek(SeekFrom::Start(at))?;
    file.take(N as u64).read_to_end(&mut bytes)?;
    bytes.resize(N, 0);
    Ok(bytes.try_into().unwrap_or([0; N]))
}

fn unpack(mut file: File, packing: Packing, start: u64, length: u64) -> io::Result<File> {
    file.seek(SeekFrom::Start(start))?;
    let most = length
        .saturating_mul(LARGEST_RATIO)
        .clamp(MIN_SIZE_LIMIT, MAX_SIZE_LIMIT);
    let packed = BufReader::with_capacity(1 << 18, file.take(length));
    let mut to = BufWriter::with_capacity(1 << 18, temporary()?);
    match packing {
        Packing::Gzip => copy(GzDecoder::new(packed), &mut to, most)?,
        Packing::Xz => {
            copy(
                XzReader::new_mem_limit(packed, true, LARGEST_DICTIONARY),
                &mut to,
                most,
            )?;
        }
        Packing::Zstd => {
            copy(
                StreamingDecoder::new(packed).map_err(io::Error::other)?,
                &mut to,
                most,
            )?;
        }
        Packing::Lz4Legacy => lz4::unpack(packed, &mut to, most)?,
    }
    to.flush()?;
    let mut file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn copy(from: impl Read, to: &mut impl Write, most: u64) -> io::Result<()> {
    match io::copy(&mut from.take(most + 1), to)? {
        length if length > most => {
            let why = format!("it is larger than {} MiB", most >> 20);
            Err(io::Error::other(why))
        }
        _ => Ok(()),
    }
}

/// Creates an unlinked file on a disk, because `/tmp` is often in memory.
fn temporary() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options.custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
    options
        .open(PathBuf::from("/var/tmp"))
        .or_else(|_| options.open(env::temp_dir()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::open_plain;

    fn plain(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        let mut file = open_plain(&path).map_err(|error| error.to_string())?;
        file.read_to_end(&mut found).unwrap();
        Ok(found)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A boot image with this payload.
    fn boot_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512 + 100];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&100_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        image.extend(payload);
        image.extend(b"what follows");
        image
    }

    #[test]
    fn what_is_packed_is_unpacked_and_the_rest_is_as_it_is() {
        let text = b"a kernel, a kernel, a kernel".repeat(100);
        assert_eq!(plain(&text).as_ref(), Ok(&text));
        assert_eq!(plain(b"").as_deref(), Ok(&b""[..]));
        assert_eq!(plain(&gzip(&text)).as_ref(), Ok(&text));
        assert_eq!(plain(&boot_image(&gzip(&text))).as_ref(), Ok(&text));
        // As the kernel's build compresses: a block of literals, and one with a repetition.
        let lz4 = [
            &[0x02, 0x21, 0x4c, 0x18, 5, 0, 0, 0, 0x40][..],
            b"abcd",
            &[7, 0, 0, 0, 0x26, b'x', b'y', 2, 0, 0x10, b'z'][..],
        ]
        .concat();
        let unpacked = plain(&boot_image(&lz4));
        assert_eq!(
            unpacked.as_deref(),
            Ok(&b"abcdxyxyxyxyxyxyz"[..]),
            "{unpacked:?}"
        );
    }

    /// Files as `xz` (for modules, and with the x86 filter for kernels) and `zstd` compress them.
    #[test]
    fn modules_are_unpacked_however_a_distribution_packs_them() {
        for packed in [
            "fd377a585a0000016922de360200210110000000a8708e8601000861206b65726e656c0a00000000\
             089285ba00011d09936136a69042990d010000000001595a",
            "fd377a585a000004e6d6b44602010400210110008b216f4901000861206b65726e656c0a00000000\
             b24e356df3147770000121096c18c5d51fb6f37d010000000004595a",
            "28b52ffd045849000061206b65726e656c0affd0cc85",
        ] {
            let digits: Vec<u8> = packed.bytes().collect();
            let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
            let bytes: Vec<u8> = pairs
                .map(|pair| u8::from_str_radix(pair, 16).unwrap())
                .collect();
            assert_eq!(plain(&bytes).as_deref(), Ok(&b"a kernel\n"[..]), "{packed}");
        }
    }

    #[test]
    fn what_cannot_be_unpacked_says_why() {
        let packed = gzip(&b"a kernel".repeat(1000));
        assert!(
            plain(&packed[..packed.len() / 2])
                .unwrap_err()
                .contains("failed to unpack")
        );
        let unknown = plain(&boot_image(b"BZh91AY")).unwrap_err();
        assert!(unknown.contains("boot image"), "{unknown}");
        for magic in [
            &[0x28, 0xb5, 0x2f, 0xfd][..],
            &[0x02, 0x21, 0x4c, 0x18],
            b"\xfd7zXZ\0",
        ] {
            let error = plain(&[magic, &[0x55; 99]].concat()).unwrap_err();
            assert!(error.contains("failed to unpack"), "{error}");
        }
    }

    #[test]
    fn a_few_kilobytes_do_not_unpack_to_a_gigabyte() {
        let packed = gzip(&vec![0; 65 << 20]);
        assert!(packed.len() < 1 << 20);
        let error = plain(&packed).unwrap_err();
        assert!(error.contains("larger than 64 MiB"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        assert!(open_plain(directory.path()).is_err());
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let error = open_plain(&pipe).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
