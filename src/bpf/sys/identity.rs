// SPDX-License-Identifier: BSD-2-Clause
//! Which inode a probe on a file goes to. In an overlay `stat` tells numbers of the mount, and two
//! mounts over one file tell different ones; the kernel attaches to the inode below.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr;

/// Asks for a handle that only has to be compared, which every file system has.
const AT_HANDLE_FID: libc::c_int = 0x200;

/// The path of a descriptor itself.
const EMPTY_PATH: [u8; 1] = [0];

/// Maximum size of a handle, in bytes (`MAX_HANDLE_SZ`).
const MAX_HANDLE: usize = 128;

/// Type of a handle of overlayfs (`OVL_FILEID_V1` of `fs/overlayfs/overlayfs.h`).
const OVERLAY_HANDLE: i32 = 0xf8;

/// `struct ovl_fh`: three bytes, then `struct ovl_fb`: version, magic number, length, flags, type of
/// the handle of the real file, UUID of its file system, and that handle.
const OVERLAY_MAGIC_AT: usize = 4;
const OVERLAY_MAGIC: u8 = 0xfb;
const OVERLAY_TYPE_AT: usize = 7;
const OVERLAY_REAL_AT: usize = 24;

/// Maximum size of our own list of mappings that is read, in bytes.
const MAX_MAPS: u64 = 4 << 20;

/// `struct file_handle`.
#[repr(C)]
struct Handle {
    n_bytes: u32,
    kind: i32,
    bytes: [u8; MAX_HANDLE],
}

/// Returns what is the same for two files exactly if probes on them go to the same inode. `None` if
/// the kernel does not tell; then device and inode number have to do.
///
/// Since 6.5 handles tell it (`AT_HANDLE_FID`). Before, `/proc/self/maps` has the numbers of the real
/// file, which newer kernels hide there.
#[must_use]
pub fn real_inode(file: &File) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    by_handle(file)
        .map(|handle| by_handle_and_times(&handle, &metadata))
        .or_else(|| by_mapping(file))
}

/// File systems that are copies of one another have the same handles, and a file that was copied up
/// may keep the handle of its origin: these differ in their times.
fn by_handle_and_times(handle: &[u8], metadata: &Metadata) -> Vec<u8> {
    let mut key = handle.to_vec();
    for number in [
        metadata.size() as i64,
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ] {
        key.extend(number.to_le_bytes());
    }
    key
}

/// Returns type and bytes of the handle of the real file.
fn by_handle(file: &File) -> Option<Vec<u8>> {
    let mut handle = Handle {
        n_bytes: MAX_HANDLE as u32,
        kind: 0,
        bytes: [0; MAX_HANDLE],
    };
    let mut mount = 0_u64;
    // SAFETY: the path is a C string; the kernel writes at most `n_bytes` bytes behind the two numbers
    // of `handle`, and one number of 4 bytes to `mount`.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            EMPTY_PATH.as_ptr(),
            ptr::from_mut(&mut handle),
            ptr::from_mut(&mut mount),
            libc::AT_EMPTY_PATH | AT_HANDLE_FID,
        )
    };
    let bytes = handle.bytes.get(..handle.n_bytes as usize)?;
    (failed == 0).then(|| of_real_file(handle.kind, bytes))
}

fn of_real_file(kind: i32, bytes: &[u8]) -> Vec<u8> {
    let is_overlay = kind == OVERLAY_HANDLE && bytes.get(OVERLAY_MAGIC_AT) == Some(&OVERLAY_MAGIC);
    let real = bytes.get(OVERLAY_REAL_AT..).filter(|_| is_overlay);
    let (kind, bytes) = match real {
        Some(real) => (i32::from(bytes[OVERLAY_TYPE_AT]), real),
        None => (kind, bytes),
    };
    // The overlay pads the handle to whole words.
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    [&kind.to_le_bytes(), &bytes[..end]].concat()
}

/// Returns device and inode number that our list of mappings has for the file.
fn by_mapping(file: &File) -> Option<Vec<u8>> {
    const LEN: usize = 1;
    // SAFETY: a new mapping at an address that the kernel chooses. It is not accessed.
    let addr = unsafe {
        libc::mmap(
            ptr::null_mut(),
            LEN,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if addr == libc::MAP_FAILED {
        return None;
    }
    let mut text = String::new();
    let read = fs::File::open("/proc/self/maps")
        .and_then(|maps| maps.take(MAX_MAPS).read_to_string(&mut text));
    // SAFETY: it is the mapping from above, which nothing refers to.
    unsafe { libc::munmap(addr, LEN) };
    read.ok()?;
    let start = format!("{:x}-", addr as usize);
    let line = text.lines().find(|line| line.starts_with(&start))?;
    let fields: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    Some(fields.join(" ").into_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{by_mapping, of_real_file, real_inode};

    #[test]
    fn a_file_is_the_same_by_each_of_its_descriptors_and_others_are_not() {
        let open = |path: &str| File::open(path).unwrap();
        for identity in [real_inode, by_mapping] {
            let own = identity(&open("/proc/self/exe")).unwrap();
            assert_eq!(identity(&open("/proc/self/exe")).unwrap(), own);
            assert_ne!(identity(&open("/bin/true")).unwrap(), own);
        }
    }

    #[test]
    fn a_handle_of_an_overlay_counts_as_that_of_the_real_file() {
        let mut overlay = vec![0, 0, 0, 0, 0xfb, 29, 0, 1];
        overlay.extend([9; 16]);
        overlay.extend([1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(
            of_real_file(0xf8, &overlay),
            of_real_file(1, &[1, 2, 3, 4, 5, 6, 7])
        );
        assert_ne!(
            of_real_file(0xf8, &overlay),
            of_real_file(2, &[1, 2, 3, 4, 5, 6, 7])
        );
        // What only looks like one is taken as it is.
        assert_eq!(of_real_file(0xf8, &[1, 2]), [0xf8, 0, 0, 0, 1, 2]);
    }
}
