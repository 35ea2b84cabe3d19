// SPDX-License-Identifier: BSD-2-Clause
//! Functions that decide about permissions, and what they know when they refuse.

/// When the call of a function is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotedWhen {
    /// When it is called. It is called only after a refusal.
    Called,
    /// When it returns an error.
    Failed,
    /// When it returns true.
    True,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownAs {
    /// As its type says.
    Type,
    /// In octal.
    Octal,
    /// In hexadecimal.
    Hex,
}

/// A value that explains a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusalValue {
    /// Its name in the output, and in the rules that read it.
    pub(crate) name: &'static str,
    /// Paths to it, beginning with a parameter of the function or with `current`. The first one
    /// that the kernel has is used, since structs change.
    pub(crate) paths: &'static [&'static str],
    /// How it is shown.
    pub(crate) shown: ShownAs,
}

/// A function whose refusals are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusalProbe {
    /// Its name.
    pub(crate) function: &'static str,
    /// When.
    pub(crate) when: NotedWhen,
    /// What is read. Values that a kernel does not have are left out.
    pub(crate) values: &'static [RefusalValue],
    /// Whether the stack is noted: the function is asked by many, and the asker matters.
    pub(crate) has_stack: bool,
}

const fn value(name: &'static str, paths: &'static [&'static str]) -> RefusalValue {
    RefusalValue {
        name,
        paths,
        shown: ShownAs::Type,
    }
}

const fn hex(name: &'static str, paths: &'static [&'static str]) -> RefusalValue {
    RefusalValue {
        name,
        paths,
        shown: ShownAs::Hex,
    }
}

const fn octal(name: &'static str, paths: &'static [&'static str]) -> RefusalValue {
    RefusalValue {
        name,
        paths,
        shown: ShownAs::Octal,
    }
}

/// Identity of the current task for access to files.
const FSUID: RefusalValue = value("fsuid", &["current.cred.fsuid.val"]);
const FSGID: RefusalValue = value("fsgid", &["current.cred.fsgid.val"]);

/// The last name of an inode, which may have several.
const INODE_NAME: RefusalValue = value(
    "name",
    &[
        "inode.i_dentry.first.(dentry:d_u.d_alias).d_name.name",
        "inode.i_dentry.first.(dentry:d_alias).d_name.name",
    ],
);

/// The functions whose refusals are noted.
pub(crate) const REFUSAL_PROBES: &[RefusalProbe] = &[
    // Every check of a capability ends here.
    RefusalProbe {
        function: "cap_capable",
        when: NotedWhen::Failed,
        values: &[
            value("capability", &["cap"]),
            value(
                "userns",
                &["target_ns.ns.inum", "targ_ns.ns.inum", "ns.ns.inum"],
            ),
            value("level", &["target_ns.level", "targ_ns.level", "ns.level"]),
            value("euid", &["cred.euid.val"]),
        ],
        has_stack: true,
    },
    RefusalProbe {
        function: "generic_permission",
        when: NotedWhen::Failed,
        values: &[
            octal("mode", &["inode.i_mode"]),
            value("uid", &["inode.i_uid.val"]),
            value("gid", &["inode.i_gid.val"]),
            value("mask", &["mask"]),
            FSUID,
            FSGID,
            INODE_NAME,
        ],
        has_stack: false,
    },
    // Also refuses writing to immutable inodes and read-only file systems.
    RefusalProbe {
        function: "inode_permission",
        when: NotedWhen::Failed,
        values: &[
            octal("mode", &["inode.i_mode"]),
            value("mask", &["mask"]),
            hex("iflags", &["inode.i_flags"]),
            hex("sbflags", &["inode.i_sb.s_flags"]),
            value("fs", &["inode.i_sb.s_type.name"]),
            INODE_NAME,
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "may_open",
        when: NotedWhen::Failed,
        values: &[
            octal("mode", &["path.dentry.d_inode.i_mode"]),
            hex("iflags", &["path.dentry.d_inode.i_flags"]),
            hex("mntflags", &["path.mnt.mnt_flags"]),
            value("acc_mode", &["acc_mode"]),
            hex("flag", &["flag"]),
            value("uid", &["path.dentry.d_inode.i_uid.val"]),
            FSUID,
            value("name", &["path.dentry.d_name.name"]),
        ],
        has_stack: false,
    },
    // Deleting and renaming: the directory, and the file in it.
    RefusalProbe {
        function: "may_delete",
        when: NotedWhen::Failed,
        values: MAY_DELETE,
        has_stack: false,
    },
    RefusalProbe {
        function: "may_delete_dentry",
        when: NotedWhen::Failed,
        values: MAY_DELETE,
        has_stack: false,
    },
    // Changes of attributes.
    RefusalProbe {
        function: "may_setattr",
        when: NotedWhen::Failed,
        values: &[hex("iflags", &["inode.i_flags"]), INODE_NAME],
        has_stack: false,
    },
    RefusalProbe {
        function: "notify_change",
        when: NotedWhen::Failed,
        values: &[
            hex("iflags", &["dentry.d_inode.i_flags"]),
            value("name", &["dentry.d_name.name"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "setattr_prepare",
        when: NotedWhen::Failed,
        values: &[
            value("uid", &["dentry.d_inode.i_uid.val"]),
            FSUID,
            hex("attributes", &["attr.ia_valid"]),
            value("name", &["dentry.d_name.name"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "path_noexec",
        when: NotedWhen::True,
        values: &[
            hex("mntflags", &["path.mnt.mnt_flags"]),
            value("name", &["path.dentry.d_name.name"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "mnt_want_write",
        when: NotedWhen::Failed,
        values: &[
            hex("mntflags", &["m.mnt_flags"]),
            hex("sbflags", &["m.mnt_sb.s_flags"]),
            value("fs", &["m.mnt_sb.s_type.name"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "mnt_want_write_file",
        when: NotedWhen::Failed,
        values: &[
            hex("mntflags", &["file.f_path.mnt.mnt_flags"]),
            hex("sbflags", &["file.f_path.mnt.mnt_sb.s_flags"]),
            value("fs", &["file.f_path.mnt.mnt_sb.s_type.name"]),
        ],
        has_stack: false,
    },
    // `fs.protected_symlinks`, `protected_hardlinks`, `protected_fifos`, `protected_regular`.
    RefusalProbe {
        function: "audit_log_path_denied",
        when: NotedWhen::Called,
        values: &[value("operation", &["operation"])],
        has_stack: false,
    },
    RefusalProbe {
        function: "security_locked_down",
        when: NotedWhen::Failed,
        values: &[value("reason", &["what"])],
        has_stack: true,
    },
    RefusalProbe {
        function: "yama_ptrace_access_check",
        when: NotedWhen::Failed,
        values: &[
            value("pid", &["child.tgid"]),
            value("target", &["child.comm"]),
        ],
        has_stack: false,
    },
    // AppArmor: the data of the audit message. Older kernels have them in `common_audit_data`.
    RefusalProbe {
        function: "aa_audit_msg",
        when: NotedWhen::Called,
        values: &[
            value(
                "profile",
                &["ad.subj_label.hname", "sa.apparmor_audit_data.label.hname"],
            ),
            value("operation", &["ad.op", "sa.apparmor_audit_data.op"]),
            value("name", &["ad.name", "sa.apparmor_audit_data.name"]),
        ],
        has_stack: false,
    },
    // Landlock, where it has no tracepoints. Its functions are called through pointers, so they are not
    // traced where functions are attached to one by one.
    RefusalProbe {
        function: "hook_file_open",
        when: NotedWhen::Failed,
        values: &[value("name", &["file.f_path.dentry.d_name.name"])],
        has_stack: false,
    },
    RefusalProbe {
        function: "devcgroup_check_permission",
        when: NotedWhen::Failed,
        values: DEVICE,
        has_stack: false,
    },
    RefusalProbe {
        function: "__cgroup_bpf_check_dev_permission",
        when: NotedWhen::Failed,
        values: DEVICE_BPF,
        has_stack: false,
    },
    RefusalProbe {
        function: "__seccomp_filter",
        when: NotedWhen::Failed,
        values: &[value("syscall", &["this_syscall"])],
        has_stack: false,
    },
];

const MAY_DELETE: &[RefusalValue] = &[
    octal("dirmode", &["dir.i_mode"]),
    value("diruid", &["dir.i_uid.val"]),
    hex("dirflags", &["dir.i_flags"]),
    value("uid", &["victim.d_inode.i_uid.val"]),
    hex("iflags", &["victim.d_inode.i_flags"]),
    FSUID,
    value("name", &["victim.d_name.name"]),
];

const DEVICE: &[RefusalValue] = &[
    value("type", &["type"]),
    value("major", &["major"]),
    value("minor", &["minor"]),
    value("access", &["access"]),
];

const DEVICE_BPF: &[RefusalValue] = &[
    value("type", &["dev_type"]),
    value("major", &["major"]),
    value("minor", &["minor"]),
    value("access", &["access"]),
];
