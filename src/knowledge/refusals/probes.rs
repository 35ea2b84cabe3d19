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

pub(super) const fn value(name: &'static str, paths: &'static [&'static str]) -> RefusalValue {
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
    // AppArmor: the data of the audit message. Compilers inline it into `aa_audit`.
    RefusalProbe {
        function: "aa_audit_msg",
        when: NotedWhen::Called,
        values: &[
            value(
                "profile",
                &["ad.subj_label.hname", "sa.apparmor_audit_data.label.hname"],
            ),
            APPARMOR_OPERATION,
            APPARMOR_NAME,
            APPARMOR_INFO,
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "aa_audit",
        when: NotedWhen::Failed,
        values: &[
            APPARMOR_PROFILE,
            APPARMOR_OPERATION,
            APPARMOR_NAME,
            APPARMOR_INFO,
        ],
        has_stack: false,
    },
    // The rest of AppArmor also tells of rules that are not to be audited.
    RefusalProbe {
        function: "aa_audit_file",
        when: NotedWhen::Failed,
        values: &[
            APPARMOR_PROFILE,
            value("operation", &["op"]),
            value("name", &["name"]),
            value("request", &["request"]),
        ],
        has_stack: false,
    },
    // Where `aa_audit_file` has too many arguments for trampolines. It has the last name only.
    RefusalProbe {
        function: "aa_path_perm",
        when: NotedWhen::Failed,
        values: &[
            value("profile", &["label.hname"]),
            value("operation", &["op"]),
            value("name", &["path.dentry.d_name.name"]),
            value("request", &["request"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "aa_profile_af_perm",
        when: NotedWhen::Failed,
        values: &[
            APPARMOR_PROFILE,
            APPARMOR_OPERATION,
            value("family", &["family"]),
            value("type", &["type"]),
        ],
        has_stack: false,
    },
    RefusalProbe {
        function: "aa_capable",
        when: NotedWhen::Failed,
        values: &[
            value("profile", &["label.hname"]),
            value("capability", &["cap"]),
        ],
        has_stack: true,
    },
    // TOMOYO asks here in every mode, and also if access is granted.
    RefusalProbe {
        function: "tomoyo_supervisor",
        when: NotedWhen::Called,
        values: &[
            value("domain", &["r.domain.domainname.name"]),
            value("request", &["fmt"]),
            value("name", &["r.param.path.filename.name"]),
            value("mode", &["r.mode"]),
            value("granted", &["r.granted"]),
            value("kind", &["r.param_type"]),
            value("operation", &["r.param.path.operation"]),
        ],
        has_stack: false,
    },
    // IPE: the operation, and the file.
    RefusalProbe {
        function: "ipe_evaluate_event",
        when: NotedWhen::Failed,
        values: &[
            value("operation", &["ctx.op"]),
            value("name", &["ctx.file.f_path.dentry.d_name.name"]),
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
    // A filter whose listener (`SECCOMP_RET_USER_NOTIF`) may have given the answer.
    RefusalProbe {
        function: "__seccomp_filter",
        when: NotedWhen::Failed,
        values: &[
            value("syscall", &["this_syscall"]),
            hex("listener", &["current.seccomp.filter.notif"]),
            hex("status", &["current.thread_info.status"]),
        ],
        has_stack: false,
    },
    // Always if a filter kills; otherwise if the action is to be logged.
    RefusalProbe {
        function: "audit_seccomp",
        when: NotedWhen::Called,
        values: &[
            value("syscall", &["syscall"]),
            hex("action", &["code"]),
            hex("status", &["current.thread_info.status"]),
        ],
        has_stack: false,
    },
    // A filter answers with SIGSYS.
    RefusalProbe {
        function: "force_sig_seccomp",
        when: NotedWhen::Called,
        values: &[
            value("syscall", &["syscall"]),
            value("kills", &["force_coredump"]),
            hex("status", &["current.thread_info.status"]),
        ],
        has_stack: false,
    },
    // The same where that function is inlined, as in 5.10.
    RefusalProbe {
        function: "force_sig_info",
        when: NotedWhen::Called,
        values: &[
            value("syscall", &["info._sifields._sigsys._syscall"]),
            value("signal", &["info.si_signo"]),
            value("code", &["info.si_code"]),
            hex("status", &["current.thread_info.status"]),
        ],
        has_stack: false,
    },
];

const APPARMOR_PROFILE: RefusalValue = value("profile", &["profile.base.hname"]);

/// The data of an audit message. Older kernels have them in `common_audit_data`.
const APPARMOR_OPERATION: RefusalValue =
    value("operation", &["ad.op", "sa.apparmor_audit_data.op"]);
const APPARMOR_NAME: RefusalValue = value("name", &["ad.name", "sa.apparmor_audit_data.name"]);
const APPARMOR_INFO: RefusalValue = value("info", &["ad.info", "sa.apparmor_audit_data.info"]);

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
