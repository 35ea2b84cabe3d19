// SPDX-License-Identifier: BSD-2-Clause
//! Who refuses permissions in the kernel, and which limits are held: which parts there are, by which
//! functions they are known, and which functions only pass questions on.

mod limits;
mod probes;
mod selinux;

pub(crate) use self::limits::{COUNTER_SETTINGS, LIMIT_ERRNOS, LIMIT_PROBES, LIMITS_OF_FUNCTIONS};
pub(crate) use self::probes::{NotedWhen, REFUSAL_PROBES, RefusalProbe, RefusalValue, ShownAs};
pub(crate) use self::selinux::SELINUX_PERMISSIONS;

/// The part of the kernel that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RefusalClass {
    /// Mode bits, owner and group of a file.
    FileMode,
    /// Only the owner of a file may do this.
    Owner,
    /// A capability was missing.
    Capability,
    /// `AppArmor`.
    AppArmor,
    /// `SELinux`.
    SeLinux,
    /// Smack.
    Smack,
    /// TOMOYO.
    Tomoyo,
    /// Landlock.
    Landlock,
    /// Yama: `kernel.yama.ptrace_scope`.
    Yama,
    /// Integrity policy enforcement.
    Ipe,
    /// `LoadPin`.
    LoadPin,
    /// `SafeSetID`.
    SafeSetId,
    /// Integrity measurement.
    Ima,
    /// A BPF program at an LSM hook.
    BpfLsm,
    /// The kernel is locked down.
    Lockdown,
    /// A seccomp filter.
    Seccomp,
    /// The device controller of cgroups.
    DeviceCgroup,
    /// The mount or the file system is read-only.
    ReadOnly,
    /// The mount does not allow executing.
    NoExec,
    /// The mount does not allow devices.
    NoDev,
    /// The file cannot be changed (`chattr +i`).
    Immutable,
    /// The file can only be appended to (`chattr +a`).
    AppendOnly,
    /// `fs.protected_symlinks` and the like.
    ProtectedLinks,
    /// A resource limit, or a setting that limits a number.
    Limit,
}

impl RefusalClass {
    /// A short name, as in JSON.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FileMode => "file_mode",
            Self::Owner => "owner",
            Self::Capability => "capability",
            Self::AppArmor => "apparmor",
            Self::SeLinux => "selinux",
            Self::Smack => "smack",
            Self::Tomoyo => "tomoyo",
            Self::Landlock => "landlock",
            Self::Yama => "yama",
            Self::Ipe => "ipe",
            Self::LoadPin => "loadpin",
            Self::SafeSetId => "safesetid",
            Self::Ima => "ima",
            Self::BpfLsm => "bpf_lsm",
            Self::Lockdown => "lockdown",
            Self::Seccomp => "seccomp",
            Self::DeviceCgroup => "device_cgroup",
            Self::ReadOnly => "read_only",
            Self::NoExec => "noexec",
            Self::NoDev => "nodev",
            Self::Immutable => "immutable",
            Self::AppendOnly => "append_only",
            Self::ProtectedLinks => "protected_links",
            Self::Limit => "limit",
        }
    }

    /// The name in a sentence.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::FileMode => "file permissions",
            Self::Owner => "file ownership",
            Self::Capability => "a missing capability",
            Self::AppArmor => "AppArmor",
            Self::SeLinux => "SELinux",
            Self::Smack => "Smack",
            Self::Tomoyo => "TOMOYO",
            Self::Landlock => "Landlock",
            Self::Yama => "Yama",
            Self::Ipe => "IPE",
            Self::LoadPin => "LoadPin",
            Self::SafeSetId => "SafeSetID",
            Self::Ima => "IMA",
            Self::BpfLsm => "a BPF LSM program",
            Self::Lockdown => "kernel lockdown",
            Self::Seccomp => "a seccomp filter",
            Self::DeviceCgroup => "the device cgroup",
            Self::ReadOnly => "a read-only file system",
            Self::NoExec => "a noexec mount",
            Self::NoDev => "a nodev mount",
            Self::Immutable => "an immutable file",
            Self::AppendOnly => "an append-only file",
            Self::ProtectedLinks => "link protection",
            Self::Limit => "a limit",
        }
    }
}

/// Events that say who refused: category and name.
pub(crate) const REFUSAL_EVENTS: &[(&str, &str)] = &[
    // Since 5.10 (dd8166212d9a, "selinux: add tracepoint on audited events").
    ("avc", "selinux_audited"),
    // Seen on 7.3.
    ("landlock", "landlock_deny_access_fs"),
    ("landlock", "landlock_deny_access_net"),
    ("landlock", "landlock_deny_ptrace"),
    ("landlock", "landlock_deny_scope_signal"),
    ("landlock", "landlock_deny_scope_abstract_unix_socket"),
];

/// Functions that are called only when something was refused.
pub(crate) const TOLD_BY: &[&str] = &[
    "audit_log_path_denied",
    "audit_seccomp",
    "force_sig_seccomp",
    "force_sig_info",
    "tomoyo_supervisor",
];

/// Those of them that the function calls which makes the error. Others are called by what hands it on,
/// or when a task is to be killed (`force_sig_info()`).
pub(crate) const TOLD_BY_DECIDER: &[&str] = &["audit_log_path_denied"];

/// Functions that know less than others that refuse with them. They are asked last.
pub(crate) const KNOWS_LESS: &[&str] = &["aa_path_perm"];

/// Functions that only ask whether a capability is there. None of them is ever to blame: whoever
/// asked is.
pub(crate) const CAPABILITY_QUESTIONS: &[&str] = &[
    "cap_capable",
    "cap_capable_helper",
    "security_capable",
    "capable",
    "ns_capable",
    "ns_capable_common",
    "ns_capable_noaudit",
    "ns_capable_setid",
    "file_ns_capable",
    "has_capability",
    "has_capability_noaudit",
    "has_ns_capability",
    "has_ns_capability_noaudit",
    "capable_wrt_inode_uidgid",
    "inode_owner_or_capable",
    "ptracer_capable",
    "netlink_capable",
    "netlink_ns_capable",
    "netlink_net_capable",
    "__netlink_ns_capable",
    "sk_capable",
    "sk_ns_capable",
    "sk_net_capable",
    "bpf_token_capable",
    "bpf_capable",
    "perfmon_capable",
    "sockopt_capable",
    "sockopt_ns_capable",
    "capable_noaudit",
    "aa_capable",
    "apparmor_capable",
    "selinux_capable",
];

/// What the names of the functions begin with that BPF programs at LSM hooks are attached to.
pub(crate) const BPF_LSM: &str = "bpf_lsm_";

/// Prefixes of the functions of security modules, and their classes.
pub(crate) const MODULE_PREFIXES: &[(&str, RefusalClass)] = &[
    ("apparmor_", RefusalClass::AppArmor),
    ("aa_", RefusalClass::AppArmor),
    ("selinux_", RefusalClass::SeLinux),
    ("avc_", RefusalClass::SeLinux),
    ("smack_", RefusalClass::Smack),
    ("smk_", RefusalClass::Smack),
    ("tomoyo_", RefusalClass::Tomoyo),
    ("hook_", RefusalClass::Landlock),
    ("landlock_", RefusalClass::Landlock),
    ("yama_", RefusalClass::Yama),
    ("ipe_", RefusalClass::Ipe),
    ("loadpin_", RefusalClass::LoadPin),
    ("safesetid_", RefusalClass::SafeSetId),
    ("ima_", RefusalClass::Ima),
    ("evm_", RefusalClass::Ima),
    (BPF_LSM, RefusalClass::BpfLsm),
    ("lockdown_", RefusalClass::Lockdown),
    ("security_locked_down", RefusalClass::Lockdown),
    ("devcgroup_", RefusalClass::DeviceCgroup),
    ("__cgroup_bpf_check_dev", RefusalClass::DeviceCgroup),
    ("__seccomp_", RefusalClass::Seccomp),
    ("mnt_want_write", RefusalClass::ReadOnly),
    ("__mnt_want_write", RefusalClass::ReadOnly),
    ("sb_permission", RefusalClass::ReadOnly),
];

/// The capabilities by number (`include/uapi/linux/capability.h`).
pub(crate) const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];
