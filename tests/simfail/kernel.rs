// SPDX-License-Identifier: BSD-2-Clause
//! Cases of single kernel facilities: keys, IPC, perf, `io_uring`, modules, cgroups.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::case::{Attempt, Case, Trouble};
use crate::sys::call;

const SESSION_KEYRING: i32 = -3;

pub(crate) const CASES: &[Case] = &[
    Case::fails(
        ("key-request", "request_key"),
        libc::ENOKEY,
        "request_key_and_link",
        "a key that there is not",
        |_| {
            Ok(call!(
                libc::SYS_request_key,
                c"user",
                c"simfail:missing",
                0,
                SESSION_KEYRING
            ))
        },
    ),
    Case::fails(
        ("key-type", "add_key"),
        libc::ENODEV,
        "key_create_or_update|__key_create_or_update",
        "a key of no known type (-ENOKEY inside)",
        |_| {
            Ok(call!(
                libc::SYS_add_key,
                c"simfail",
                c"simfail:key",
                b"value",
                5,
                SESSION_KEYRING
            ))
        },
    ),
    Case::fails(
        ("key-control", "keyctl"),
        libc::EOPNOTSUPP,
        "__x64_sys_keyctl",
        "an operation that there is not",
        |_| Ok(call!(libc::SYS_keyctl, 9999, 0, 0, 0, 0)),
    ),
    Case::fails(
        ("key-missing", "keyctl"),
        libc::ENOKEY,
        "key_lookup",
        "a key of a number that there is not",
        |_| {
            Ok(call!(
                libc::SYS_keyctl,
                libc::KEYCTL_REVOKE as i32,
                0x7fff_fff1,
                0,
                0,
                0
            ))
        },
    ),
    Case::fails(
        ("key-payload", "add_key"),
        libc::EINVAL,
        "user_preparse",
        "a key with nothing in it",
        |_| {
            Ok(call!(
                libc::SYS_add_key,
                c"user",
                c"simfail:key",
                0,
                0,
                SESSION_KEYRING
            ))
        },
    ),
    Case::fails(
        ("ipc-queue-missing", "msgget"),
        libc::ENOENT,
        "ipcget",
        "a message queue that is not there",
        |_| Ok(call!(libc::SYS_msgget, 0x5349_4d46, 0)),
    ),
    Case::fails(
        ("ipc-semaphores", "semget"),
        libc::EINVAL,
        "__x64_sys_semget",
        "a set of too many semaphores",
        |_| Ok(call!(libc::SYS_semget, libc::IPC_PRIVATE, i32::MAX, 0o600)),
    ),
    Case::fails(
        ("ipc-memory", "shmget"),
        libc::EINVAL,
        "newseg",
        "shared memory of no size",
        |_| Ok(call!(libc::SYS_shmget, libc::IPC_PRIVATE, 0, 0o600)),
    ),
    Case::fails(
        ("ipc-attach", "shmat"),
        libc::EINVAL,
        "do_shmat",
        "shared memory that there is not",
        |_| Ok(call!(libc::SYS_shmat, -1, 0, 0)),
    ),
    Case::fails(
        ("mq-missing", "mq_open"),
        libc::ENOENT,
        "do_mq_open",
        "a POSIX message queue that is not there",
        |_| Ok(call!(libc::SYS_mq_open, c"simfail", libc::O_RDONLY, 0, 0)),
    ),
    Case::fails(
        ("perf-type", "perf_event_open"),
        libc::ENOENT,
        "perf_event_alloc?",
        "an event of a type that there is not",
        |_| perf(9999, 64, 0),
    )
    .on("5.10: not traceable"),
    Case::fails(
        ("perf-size", "perf_event_open"),
        libc::E2BIG,
        "perf_copy_attr",
        "attributes of 64 KiB",
        |_| perf(0, 65_536, 0),
    )
    .on("5.10: not traceable"),
    Case::fails(
        ("perf-bits", "perf_event_open"),
        libc::EINVAL,
        "perf_copy_attr",
        "a flag that there is not",
        |_| perf(0, 64, 1 << 63),
    )
    .on("5.10: not traceable"),
    Case::fails(
        ("uring-entries", "io_uring_setup"),
        libc::EINVAL,
        "io_uring_setup|io_prepare_config",
        "a ring of no entries",
        |_| Ok(call!(libc::SYS_io_uring_setup, 0, &mut [0; 120])),
    ),
    Case::fails(
        ("uring-flags", "io_uring_setup"),
        libc::EINVAL,
        "io_uring_setup|io_prepare_config",
        "a flag that there is not",
        |_| {
            let mut parameters = [0; 120];
            parameters[8..12].copy_from_slice(&(1_u32 << 31).to_ne_bytes());
            Ok(call!(libc::SYS_io_uring_setup, 8, &mut parameters))
        },
    ),
    Case::fails(
        ("module-garbage", "init_module"),
        libc::ENOEXEC,
        "load_module",
        "a module that is no ELF file",
        |_| Ok(call!(libc::SYS_init_module, &[b'x'; 256], 256, c"")),
    ),
    Case::fails(
        ("module-missing", "delete_module"),
        libc::ENOENT,
        "__x64_sys_delete_module|find_module_all",
        "a module that is not loaded",
        |_| Ok(call!(libc::SYS_delete_module, c"simfail", libc::O_NONBLOCK)),
    ),
    Case::fails(
        ("cgroup-procs", "write"),
        libc::EINVAL,
        "cgroup_procs_write_start",
        "a word in the place of a process id",
        |_| cgroup_write("cgroup.procs", b"garbage"),
    ),
    Case::fails(
        ("cgroup-controller", "write"),
        libc::EINVAL,
        "cgroup_subtree_control_write",
        "a controller that there is not",
        |_| cgroup_write("cgroup.subtree_control", b"+simfail"),
    ),
];

/// Opens an event for this process on any CPU.
fn perf(kind: u32, size: u32, flags: u64) -> Attempt {
    let mut attr = [0; 128];
    attr[..4].copy_from_slice(&kind.to_ne_bytes());
    attr[4..8].copy_from_slice(&size.to_ne_bytes());
    attr[40..48].copy_from_slice(&flags.to_ne_bytes());
    Ok(call!(libc::SYS_perf_event_open, &mut attr, 0, -1, -1, 0))
}

/// Writes to a file of the root control group.
fn cgroup_write(name: &str, text: &[u8]) -> Attempt {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(Path::new)
        .into_iter()
        .find(|root| root.join("cgroup.controllers").exists())
        .ok_or(Trouble::Unsupported("no cgroup2 is mounted".to_owned()))?;
    let file: OwnedFd = File::options().write(true).open(root.join(name))?.into();
    Ok(call!(libc::SYS_write, &file, text, text.len()))
}
