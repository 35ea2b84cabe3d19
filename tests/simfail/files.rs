// SPDX-License-Identifier: BSD-2-Clause
//! Cases of files, folders, pipes and devices.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;

use libc::{AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY};

use crate::case::{Case, Scratch, c_path};
use crate::errno::Errno;
use crate::sys::{self, call, call_fd};

/// Nothing is mapped here: it lies below every program, and above what is never given out.
const UNMAPPED: usize = 0x20000;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("open-missing", "openat"),
        libc::ENOENT,
        "step_into|step_into_slowpath",
        "a file that is not there",
        |scratch| Ok(open(scratch, "missing", O_RDONLY)),
    ),
    Case::fails(
        ("open-not-dir", "openat"),
        libc::ENOTDIR,
        "path_openat",
        "a file, opened as a folder",
        |scratch| {
            scratch.file("file")?;
            Ok(open(scratch, "file", O_DIRECTORY))
        },
    ),
    Case::fails(
        ("open-exists", "openat"),
        libc::EEXIST,
        "path_openat",
        "a new file that is there already",
        |scratch| {
            scratch.file("file")?;
            Ok(open(scratch, "file", O_CREAT | O_EXCL | O_RDWR))
        },
    ),
    Case::fails(
        ("open-loop", "openat"),
        libc::ELOOP,
        "step_into|step_into_slowpath|pick_link",
        "a symbolic link to itself",
        |scratch| {
            if !scratch.path("loop").is_symlink() {
                symlink("loop", scratch.path("loop"))?;
            }
            Ok(open(scratch, "loop", O_RDONLY))
        },
    ),
    Case::fails(
        ("open-long-name", "openat"),
        libc::ENAMETOOLONG,
        "simple_lookup",
        "a name of 300 bytes",
        |scratch| Ok(open(scratch, &"n".repeat(300), O_RDONLY)),
    ),
    Case::fails(
        ("open-long-path", "openat"),
        libc::ENAMETOOLONG,
        "getname_flags|do_getname",
        "a path of 5000 bytes",
        |scratch| Ok(open(scratch, &"p/".repeat(2500), O_RDONLY)),
    ),
    Case::fails(
        ("open-tmpfile", "openat"),
        libc::EOPNOTSUPP,
        "vfs_tmpfile",
        "an unnamed file where there are none",
        |_| {
            Ok(call!(
                libc::SYS_openat,
                AT_FDCWD,
                c"/proc",
                O_TMPFILE | O_RDWR,
                0o600
            ))
        },
    ),
    Case::fails(
        ("open-dir-write", "openat"),
        libc::EISDIR,
        "may_open",
        "a folder, opened for writing",
        |_| Ok(call!(libc::SYS_openat, AT_FDCWD, c"/proc", O_WRONLY)),
    ),
    Case::succeeds(
        ("handled-create", "openat"),
        "a file is made, after the look-up failed to find it",
        |scratch| {
            let path = scratch.path("new");
            if path.exists() {
                fs::remove_file(&path)?;
            }
            Ok(open(scratch, "new", O_CREAT | O_EXCL | O_RDWR))
        },
    ),
    Case::fails(
        ("read-dir", "read"),
        libc::EISDIR,
        "generic_read_dir",
        "bytes of a folder",
        |scratch| {
            let folder: OwnedFd = File::open(scratch.full_folder("full")?)?.into();
            Ok(call!(libc::SYS_read, &folder, &mut [0; 16], 16))
        },
    ),
    Case::fails(
        ("read-bad-fd", "read"),
        libc::EBADF,
        "ksys_read",
        "a file descriptor that is not open",
        |_| Ok(call!(libc::SYS_read, 9999, &mut [0; 16], 16)),
    ),
    Case::fails(
        ("read-again", "read"),
        libc::EAGAIN,
        "pipe_read|anon_pipe_read",
        "an empty pipe, without waiting",
        |_| {
            let (reader, _writer) = sys::pipe()?;
            call!(libc::SYS_fcntl, &reader, libc::F_SETFL, libc::O_NONBLOCK)?;
            Ok(call!(libc::SYS_read, &reader, &mut [0; 16], 16))
        },
    ),
    Case::fails(
        ("read-interrupted", "read"),
        libc::EINTR,
        "prepare_to_wait_event",
        "interrupted by a signal (-ERESTARTSYS inside)",
        |_| {
            let (reader, _writer) = sys::pipe()?;
            sys::alarm_soon();
            Ok(call!(libc::SYS_read, &reader, &mut [0; 16], 16))
        },
    ),
    Case::fails(
        ("write-broken-pipe", "write"),
        libc::EPIPE,
        "pipe_write|anon_pipe_write",
        "a pipe that nobody reads",
        |_| {
            let (reader, writer) = sys::pipe()?;
            drop(reader);
            Ok(call!(libc::SYS_write, &writer, &[0; 16], 16))
        },
    ),
    Case::fails(
        ("write-no-space", "write"),
        libc::ENOSPC,
        "write_full",
        "a full device",
        |_| {
            let full: OwnedFd = File::options().write(true).open("/dev/full")?.into();
            Ok(call!(libc::SYS_write, &full, &[0; 16], 16))
        },
    ),
    Case::fails(
        ("write-fault", "write"),
        libc::EFAULT,
        "generic_perform_write",
        "bytes from where there is no memory",
        |scratch| {
            let file: OwnedFd = File::create(scratch.path("file"))?.into();
            Ok(call!(libc::SYS_write, &file, UNMAPPED, 16))
        },
    ),
    Case::fails(
        ("seek-pipe", "lseek"),
        libc::ESPIPE,
        "no_llseek|ksys_lseek",
        "a position in a pipe",
        |_| {
            let (reader, _writer) = sys::pipe()?;
            Ok(call!(libc::SYS_lseek, &reader, 0, libc::SEEK_SET))
        },
    ),
    Case::fails(
        ("truncate-negative", "ftruncate"),
        libc::EINVAL,
        "do_sys_ftruncate|ksys_ftruncate",
        "a file of a negative length",
        |scratch| {
            let file: OwnedFd = File::create(scratch.path("file"))?.into();
            Ok(call!(libc::SYS_ftruncate, &file, -1))
        },
    ),
    Case::fails(
        ("fallocate-empty", "fallocate"),
        libc::EINVAL,
        "vfs_fallocate",
        "room for no bytes",
        |scratch| {
            let file: OwnedFd = File::create(scratch.path("file"))?.into();
            Ok(call!(libc::SYS_fallocate, &file, 0, 0, 0))
        },
    ),
    Case::fails(
        ("fallocate-huge", "fallocate"),
        libc::EFBIG,
        "vfs_fallocate",
        "room for more than any file can hold",
        |scratch| {
            let file: OwnedFd = File::create(scratch.path("file"))?.into();
            Ok(call!(libc::SYS_fallocate, &file, 0, i64::MAX, 1))
        },
    ),
    Case::fails(
        ("ioctl-not-tty", "ioctl"),
        libc::ENOTTY,
        "__x64_sys_ioctl",
        "a terminal's size, asked of a file",
        |scratch| {
            let file: OwnedFd = File::open(scratch.file("file")?)?.into();
            Ok(call!(
                libc::SYS_ioctl,
                &file,
                libc::TIOCGWINSZ as i64,
                &mut [0; 8]
            ))
        },
    ),
    Case::fails(
        ("rename-onto-dir", "renameat2"),
        libc::EISDIR,
        "may_delete|may_delete_dentry",
        "a file in the place of a folder",
        |scratch| {
            scratch.file("file")?;
            scratch.full_folder("full")?;
            Ok(rename(scratch, "file", "full"))
        },
    ),
    Case::fails(
        ("rename-onto-full", "renameat2"),
        libc::ENOTEMPTY,
        "shmem_rename2",
        "a folder in the place of one with files",
        |scratch| {
            fs::create_dir_all(scratch.path("empty"))?;
            scratch.full_folder("full")?;
            Ok(rename(scratch, "empty", "full"))
        },
    ),
    Case::fails(
        ("mkdir-exists", "mkdirat"),
        libc::EEXIST,
        "filename_create|lookup_one_qstr_excl",
        "a folder that is there already",
        |_| Ok(call!(libc::SYS_mkdirat, AT_FDCWD, c"/proc", 0o700)),
    ),
    Case::fails(
        ("rmdir-full", "unlinkat"),
        libc::ENOTEMPTY,
        "shmem_rmdir",
        "a folder with files",
        |scratch| {
            let path = c_path(&scratch.full_folder("full")?);
            Ok(call!(
                libc::SYS_unlinkat,
                AT_FDCWD,
                path.as_c_str(),
                libc::AT_REMOVEDIR
            ))
        },
    ),
    Case::fails(
        ("setxattr-unknown", "setxattr"),
        libc::EOPNOTSUPP,
        "xattr_resolve_name",
        "an attribute of no known kind",
        |scratch| {
            let path = c_path(&scratch.file("file")?);
            Ok(call!(
                libc::SYS_setxattr,
                path.as_c_str(),
                c"simfail.name",
                b"value",
                5,
                0
            ))
        },
    ),
    Case::fails(
        ("getxattr-missing", "getxattr"),
        libc::ENODATA,
        "simple_xattr_get",
        "an attribute that is not set",
        |scratch| {
            let path = c_path(&scratch.file("file")?);
            Ok(call!(
                libc::SYS_getxattr,
                path.as_c_str(),
                c"trusted.simfail",
                &mut [0; 16],
                16
            ))
        },
    ),
    Case::fails(
        ("epoll-twice", "epoll_ctl"),
        libc::EEXIST,
        "do_epoll_ctl|do_epoll_ctl_file",
        "a pipe watched a second time",
        |_| {
            let epoll = call_fd!(libc::SYS_epoll_create1, 0)?;
            let (reader, _writer) = sys::pipe()?;
            let event = [0; 12];
            call!(
                libc::SYS_epoll_ctl,
                &epoll,
                libc::EPOLL_CTL_ADD,
                &reader,
                &event
            )?;
            Ok(call!(
                libc::SYS_epoll_ctl,
                &epoll,
                libc::EPOLL_CTL_ADD,
                &reader,
                &event
            ))
        },
    ),
];

fn open(scratch: &Scratch, name: &str, flags: i32) -> Result<i64, Errno> {
    let path = scratch.c_path(name);
    let fd = call_fd!(libc::SYS_openat, AT_FDCWD, path.as_c_str(), flags, 0o600)?;
    drop(fd);
    Ok(0)
}

fn rename(scratch: &Scratch, from: &str, to: &str) -> Result<i64, Errno> {
    let (from, to) = (scratch.c_path(from), scratch.c_path(to));
    call!(
        libc::SYS_renameat2,
        AT_FDCWD,
        from.as_c_str(),
        AT_FDCWD,
        to.as_c_str(),
        0
    )
}
