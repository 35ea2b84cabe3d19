// SPDX-License-Identifier: BSD-2-Clause
//! Permissions of `SELinux` by number of their bit, as the kernel counts them
//! (`security/selinux/include/classmap.h`). Only those whose numbers no kernel since 5.10 has changed.

/// Permissions of files and sockets.
const COMMON: &str =
    "ioctl read write create getattr setattr lock relabelfrom relabelto append map";

/// Further ones of files.
const FILE: &str = "unlink link rename execute quotaon mounton audit_access open execmod watch \
     watch_mount watch_sb watch_with_perm watch_reads";

/// Further ones of sockets.
const SOCKET: &str = "bind connect listen accept getopt setopt shutdown recvfrom sendto name_bind node_bind \
     name_connect";

const CAPABILITY: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap \
     linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner \
     sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice \
     sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap";

const PROCESS: &str = "fork transition sigchld sigkill sigstop signull signal ptrace getsched setsched \
     getsession getpgid setpgid getcap setcap share getattr setexec setfscreate noatsecure \
     siginh setrlimit rlimitinh dyntransition setcurrent execmem execstack execheap \
     setkeycreate setsockcreate getrlimit";

/// Classes, and the names of the permissions in order.
pub(crate) const SELINUX_PERMISSIONS: &[(&[&str], &[&str])] = &[
    (
        &[
            "file",
            "dir",
            "lnk_file",
            "chr_file",
            "blk_file",
            "sock_file",
            "fifo_file",
            "anon_inode",
        ],
        &[COMMON, FILE],
    ),
    (
        &[
            "socket",
            "tcp_socket",
            "udp_socket",
            "rawip_socket",
            "packet_socket",
            "netlink_socket",
        ],
        &[COMMON, SOCKET],
    ),
    (&["capability", "cap_userns"], &[CAPABILITY]),
    (&["process"], &[PROCESS]),
];
