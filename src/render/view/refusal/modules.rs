// SPDX-License-Identifier: BSD-2-Clause
//! What security modules and seccomp filters say when they refuse, in words.

use std::fmt::Write;

use super::decide::Facts;
use crate::knowledge::refusals::{BPF_LSM, RefusalClass, SELINUX_PERMISSIONS};
use crate::spec::{Errno, NoteValue};

/// `SECCOMP_RET_ACTION_FULL`, and the actions that refuse.
const SECCOMP_ACTIONS: u64 = 0xffff_0000;
const SECCOMP_RET_KILL_PROCESS: u64 = 0x8000_0000;
const SECCOMP_RET_KILL_THREAD: u64 = 0;
const SECCOMP_RET_TRAP: u64 = 0x0003_0000;

/// `SIGSYS`, and the code with which a seccomp filter sends it.
const SIGSYS: u64 = 31;
const SYS_SECCOMP: u64 = 1;

/// `TS_COMPAT`: a 32-bit system call.
const TS_COMPAT: u64 = 2;

/// `TOMOYO_CONFIG_ENFORCING`, and `TOMOYO_TYPE_PATH_ACL`.
const TOMOYO_ENFORCING: u64 = 3;
const TOMOYO_PATH: u64 = 0;

/// Operations on one path, by `enum tomoyo_path_acl_index`.
const TOMOYO_OPERATIONS: [&str; 11] = [
    "execute", "read", "write", "append", "unlink", "getattr", "rmdir", "truncate", "symlink",
    "chroot", "unmount",
];

/// Permissions of `AppArmor` (`AA_MAY_*` of `security/apparmor/include/perms.h`), by bit.
const APPARMOR_PERMISSIONS: [&str; 14] = [
    "execute", "write", "read", "append", "create", "delete", "open", "rename", "setattr",
    "getattr", "setcred", "getcred", "chmod", "chown",
];

const ADDRESS_FAMILIES: [(u64, &str); 5] = [
    (1, "unix"),
    (2, "inet"),
    (10, "inet6"),
    (16, "netlink"),
    (17, "packet"),
];
const SOCKET_TYPES: [(u64, &str); 4] = [(1, "stream"), (2, "dgram"), (3, "raw"), (5, "seqpacket")];

/// As `decide` of the module above.
pub(super) fn decide(
    source: &str,
    errno: u16,
    facts: &Facts<'_>,
) -> Option<(RefusalClass, String)> {
    match source {
        // `aa_capable` tells which capability it is.
        "aa_audit_msg" | "aa_audit" if facts.text("operation") == "capable" => None,
        "aa_audit_msg" | "aa_audit" | "aa_audit_file" | "aa_path_perm" | "aa_profile_af_perm"
        | "aa_capable" => Some((RefusalClass::AppArmor, apparmor(facts))),
        "avc:selinux_audited" if facts.number("denied") != Some(0) => {
            Some((RefusalClass::SeLinux, selinux(facts)))
        }
        "tomoyo_supervisor" => tomoyo(facts).map(|words| (RefusalClass::Tomoyo, words)),
        "ipe_evaluate_event" => Some((
            RefusalClass::Ipe,
            format!("operation {}{}", facts.shown("operation"), facts.of_name()),
        )),
        "__seccomp_filter" => Some((RefusalClass::Seccomp, seccomp_answer(errno, facts))),
        "audit_seccomp" => action(facts).map(|words| (RefusalClass::Seccomp, words)),
        "force_sig_seccomp" if facts.has("kills", 1) => Some((
            RefusalClass::Seccomp,
            killed(facts, "SECCOMP_RET_KILL_PROCESS or SECCOMP_RET_KILL_THREAD"),
        )),
        "force_sig_seccomp" => Some((RefusalClass::Seccomp, trapped(facts))),
        "force_sig_info" => {
            let is_seccomp =
                facts.number("signal") == Some(SIGSYS) && facts.number("code") == Some(SYS_SECCOMP);
            is_seccomp.then(|| (RefusalClass::Seccomp, trapped(facts)))
        }
        _ if source.starts_with(BPF_LSM) => {
            let hook = &source[BPF_LSM.len()..];
            Some((RefusalClass::BpfLsm, bpf_programs(hook, facts)))
        }
        _ if source.starts_with("landlock:") => {
            Some((RefusalClass::Landlock, landlock(source, facts)))
        }
        _ => None,
    }
}

/// Names of the bits that are set; a bit without a name as a number.
fn bits(mask: u64, names: &[&str]) -> String {
    let name = |bit: usize| match names.get(bit) {
        Some(name) => (*name).to_owned(),
        None => format!("{:#x}", 1_u64 << bit),
    };
    let set = (0..64).filter(|bit| mask >> bit & 1 == 1);
    set.map(name).collect::<Vec<_>>().join(" ")
}

fn apparmor(facts: &Facts<'_>) -> String {
    let mut words = format!("profile \"{}\"", facts.text("profile"));
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a `String` cannot fail.
            let _ = write!(words, ", {name} {value}");
        }
    };
    for name in ["operation", "name"] {
        add(name, facts.quoted(name));
    }
    let number = |name| facts.value(name).map(|_| facts.shown(name));
    add("capability", number("capability"));
    let named = |name, names: &[(u64, &str)]| {
        let number = facts.number(name)?;
        let known = names.iter().find(|(known, _)| *known == number);
        Some(known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned()))
    };
    add("address family", named("family", &ADDRESS_FAMILIES));
    add("socket type", named("type", &SOCKET_TYPES));
    let request = facts.number("request");
    add(
        "permissions",
        request.map(|mask| bits(mask, &APPARMOR_PERMISSIONS)),
    );
    if let Some(info) = facts.value("info").and_then(NoteValue::text) {
        let _ = write!(words, " ({})", String::from_utf8_lossy(info));
    }
    words
}

fn selinux(facts: &Facts<'_>) -> String {
    let class = facts.text("tclass");
    let names = SELINUX_PERMISSIONS
        .iter()
        .find(|(classes, _)| classes.contains(&class.as_str()));
    let names: Vec<&str> = names
        .into_iter()
        .flat_map(|(_, names)| names.iter().flat_map(|part| part.split_whitespace()))
        .collect();
    let denied = match facts.number("denied") {
        Some(denied) => bits(denied & u64::from(u32::MAX), &names),
        None => "?".to_owned(),
    };
    format!(
        "permission {denied} of class {class} for {} on {}",
        facts.text("scontext"),
        facts.text("tcontext")
    )
}

fn tomoyo(facts: &Facts<'_>) -> Option<String> {
    if facts.has("granted", 0xff) || facts.number("mode") != Some(TOMOYO_ENFORCING) {
        return None;
    }
    let domain = facts.text("domain");
    if facts.number("kind") == Some(TOMOYO_PATH) {
        let operation = facts.number("operation").and_then(|operation| {
            TOMOYO_OPERATIONS
                .get(usize::try_from(operation).ok()?)
                .copied()
        });
        return Some(format!(
            "file {} {} in domain \"{domain}\"",
            operation.unwrap_or("?"),
            facts.text("name")
        ));
    }
    // The beginning of the format names the kind of access: `file %s %s %s\n`.
    let request = facts.text("request");
    let kind = request.split('%').next().unwrap_or_default().trim();
    Some(format!("{kind} in domain \"{domain}\""))
}

/// The programs at the hook when tracing started.
fn bpf_programs(hook: &str, facts: &Facts<'_>) -> String {
    let programs = facts.source.fields.iter().map(|field| field.name.as_str());
    let programs: Vec<&str> = programs.collect();
    let which = if programs.len() == 1 {
        "program"
    } else {
        "one of the programs"
    };
    format!("{which} {} at hook {hook}", programs.join(", "))
}

/// The system call: `mkdir`, or a number.
fn system_call(facts: &Facts<'_>) -> String {
    match facts.number("syscall") {
        Some(number) if facts.has("status", TS_COMPAT) => {
            format!("32-bit system call number {number}")
        }
        _ => format!("system call {}", facts.shown("syscall")),
    }
}

fn seccomp_answer(errno: u16, facts: &Facts<'_>) -> String {
    let errno = Errno(errno);
    let answer = errno
        .name()
        .map_or_else(|| errno.0.to_string(), str::to_owned);
    let by = if facts.has("listener", u64::MAX) {
        "SECCOMP_RET_ERRNO, or by the filter's listener"
    } else {
        "SECCOMP_RET_ERRNO"
    };
    format!("{} was answered with {answer} ({by})", system_call(facts))
}

fn killed(facts: &Facts<'_>, action: &str) -> String {
    format!(
        "{} was answered by ending the task ({action})",
        system_call(facts)
    )
}

fn trapped(facts: &Facts<'_>) -> String {
    let call = system_call(facts);
    format!("{call} was answered with SIGSYS (SECCOMP_RET_TRAP)")
}

/// The answer by the action that was logged; `None` if that does not refuse, or if others know more.
fn action(facts: &Facts<'_>) -> Option<String> {
    match facts.number("action")? & SECCOMP_ACTIONS {
        SECCOMP_RET_KILL_PROCESS => Some(killed(facts, "SECCOMP_RET_KILL_PROCESS")),
        SECCOMP_RET_KILL_THREAD => Some(killed(facts, "SECCOMP_RET_KILL_THREAD")),
        SECCOMP_RET_TRAP => Some(trapped(facts)),
        _ => None,
    }
}

fn landlock(source: &str, facts: &Facts<'_>) -> String {
    let event = source.trim_start_matches("landlock:landlock_");
    let mut words = event.replace('_', " ");
    for field in &facts.source.fields {
        let value = facts
            .quoted(&field.name)
            .unwrap_or_else(|| facts.shown(&field.name));
        if value != "?" {
            let _ = write!(words, ", {} {value}", field.name);
        }
    }
    words
}
