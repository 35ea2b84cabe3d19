// SPDX-License-Identifier: BSD-2-Clause
//! The culprit is found though thousands of calls follow the failure. The name puts this test behind
//! those of what is attached and of the symbols of modules: it loads modules, and on 5.10 a module
//! that is loaded while kprobes are removed may keep functions enabled with nothing attached.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::thread;

use super::harness::Trace;
use super::sys;

/// A superblock of btrfs with a wrong checksum, where the kernel looks for it.
fn damaged_btrfs(path: &str) {
    const AT: u64 = 64 << 10;
    let mut block = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x20, &[1; 16]); // of the file system
    put(0x30, &AT.to_le_bytes());
    put(0x40, b"_BHRfS_M");
    put(0x48, &1_u64.to_le_bytes()); // generation
    put(0x50, &(16_u64 << 20).to_le_bytes()); // root, and the root of chunks
    put(0x58, &(17_u64 << 20).to_le_bytes());
    put(0x70, &(128_u64 << 20).to_le_bytes()); // size, and how much of it is used
    put(0x78, &(1_u64 << 20).to_le_bytes());
    put(0x80, &6_u64.to_le_bytes()); // root directory
    put(0x88, &1_u64.to_le_bytes()); // devices
    for (at, size) in [(0x90, 4096_u32), (0x94, 16384), (0x98, 16384), (0x9c, 4096)] {
        put(at, &size.to_le_bytes()); // of sectors, nodes, leaves, stripes
    }
    put(0xc9, &1_u64.to_le_bytes()); // id, size and name of the device
    put(0xd1, &(128_u64 << 20).to_le_bytes());
    put(0x10b, &[2; 16]);
    put(0x11b, &[1; 16]);
    let file = File::create(path).unwrap();
    file.set_len(128 << 20).unwrap();
    file.write_all_at(&block, AT).unwrap();
}

/// After the failure, btrfs takes everything down again: thousands of calls, of which those of
/// kernfs fail. One of these was blamed.
#[test]
fn what_takes_down_a_file_system_that_failed_to_mount_is_not_blamed() {
    damaged_btrfs("/tmp/damaged.btrfs");
    for module in ["loop", "btrfs"] {
        let loaded = Command::new("modprobe").arg(module).status().unwrap();
        assert!(loaded.success(), "{module}");
    }
    let device = Command::new("losetup")
        .args(["-f", "--show", "/tmp/damaged.btrfs"])
        .output()
        .unwrap();
    let device = String::from_utf8(device.stdout).unwrap();
    let device = CString::new(device.trim()).unwrap();
    fs::create_dir_all("/tmp/damaged").unwrap();
    let globs = [
        "vfs_*",
        "path_mount",
        "fc_mount",
        "deactivate_locked_super",
        "kernfs_*",
        "btrfs_{mount,get_tree,kill,sysfs,open,close,free}* [btrfs]",
        "open_ctree [btrfs]",
        "close_ctree [btrfs]",
    ];
    let mut arguments = vec!["-e", "__x64_sys_mount", "-sn", "-n", "mounter"];
    arguments.extend(globs.iter().flat_map(|glob| ["-a", glob]));
    let trace = Trace::start(&arguments);
    let errno = thread::spawn(move || {
        sys::rename_thread(c"mounter");
        sys::mount(&device, c"/tmp/damaged", c"btrfs")
    });
    assert_eq!(errno.join().unwrap(), libc::EINVAL);
    let report = trace.finish();
    let session = report.only("mounter");
    assert_eq!(session.culprit(), "open_ctree", "{session:#?}");
    let chain = session.chain();
    assert_eq!(chain[..2], ["__x64_sys_mount", "path_mount"], "{chain:?}");
    let detached = Command::new("losetup").arg("-D").status().unwrap();
    assert!(detached.success());
}
