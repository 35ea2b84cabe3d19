// SPDX-License-Identifier: BSD-2-Clause
//! The use case `deny` where `SELinux` refuses. It is enforcing, with a policy that is made here, in a
//! guest of its own: `SELinux` is chosen by the kernel's command line, instead of `AppArmor`.

use super::deny::{Refused, check_refusals, refused, sh};

/// A policy that forbids two things to everybody. What it does not define is allowed.
const PREPARE: &str = r#"
mkdir -p /tmp/deny && cd /tmp/deny || exit 1
process='fork transition sigkill signal setcurrent dyntransition'
file='ioctl read write create getattr setattr lock append map unlink link rename execute open'
cat > policy.conf <<END
class process
class file
sid kernel
sid security
sid unlabeled
sid file
class process { $process setsched }
class file { $file }
type all_t;
type secret_t;
role all_r;
role all_r types { all_t secret_t };
allow all_t all_t:process { $process };
allow all_t all_t:file { $file };
allow all_t secret_t:file getattr;
user all_u roles { all_r };
sid kernel all_u:all_r:all_t
sid security all_u:all_r:all_t
sid unlabeled all_u:all_r:all_t
sid file all_u:all_r:all_t
genfscon proc / all_u:all_r:all_t
genfscon proc /version all_u:all_r:secret_t
genfscon selinuxfs / all_u:all_r:all_t
END
checkpolicy -c 31 -U allow -o policy policy.conf && mount -t selinuxfs none /sys/fs/selinux &&
cat policy > /sys/fs/selinux/load && echo 1 > /sys/fs/selinux/enforce
"#;

const REFUSALS: &[Refused] = &[
    refused(
        "cat /proc/version",
        "selinux",
        "permission read of class file for all_u:all_r:all_t on all_u:all_r:secret_t",
    ),
    refused(
        "perl -e 'setpriority(0, 0, -5)'",
        "selinux",
        "permission setsched of class process for all_u:all_r:all_t on all_u:all_r:all_t",
    ),
];

#[test]
fn selinux_is_told_with_contexts_class_and_permission() {
    assert!(sh(PREPARE));
    assert_eq!(check_refusals(REFUSALS), 2);
}
