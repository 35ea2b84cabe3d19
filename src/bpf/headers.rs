// SPDX-License-Identifier: BSD-2-Clause
//! Constants that both the headers of the BPF programs and Rust have: tests compare them.

/// The headers that define constants.
const HEADERS: [&str; 10] = [
    include_str!("../../bpf/include/limits.h"),
    include_str!("../../bpf/include/events.h"),
    include_str!("../../bpf/include/config.bpf.h"),
    include_str!("../../bpf/include/hits.bpf.h"),
    include_str!("../../bpf/include/calls.bpf.h"),
    include_str!("../../bpf/include/stack.bpf.h"),
    include_str!("../../bpf/include/maps.bpf.h"),
    include_str!("../../bpf/include/note_programs.bpf.h"),
    include_str!("../../bpf/include/syscall.bpf.h"),
    include_str!("../../bpf/include/errno.bpf.h"),
];

/// Returns the value of a constant: `#define NAME 64`, or `NAME = 64,` of an enum.
pub(crate) fn value_of(name: &str) -> u64 {
    let lines = HEADERS.iter().flat_map(|header| header.lines());
    let mut values = lines.filter_map(|line| {
        let line = line.trim_start();
        let rest = line
            .strip_prefix("#define ")
            .unwrap_or(line)
            .strip_prefix(name)?;
        let rest = rest
            .strip_prefix(" = ")
            .or_else(|| rest.strip_prefix(' '))?;
        let number = rest.split([',', ' ', '\t']).next()?;
        let number = number.trim_end_matches(['U', 'L']);
        match number.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        }
    });
    values
        .next()
        .unwrap_or_else(|| panic!("no header has `{name}`"))
}

mod tests {
    use super::value_of;
    use crate::bpf::attach::{OPENS_SHIFT, REASON_SHIFT, result_class};
    use crate::bpf::{ScopeKind, ScopeRule, scope, user_files, wire};
    use crate::spec::{EntryReason, FilterResult, ResultType};

    #[test]
    fn limits_are_those_of_the_programs() {
        for (name, ours) in [
            ("MAX_CALLS", u64::from(wire::MAX_CALLS)),
            ("MAX_STACK", u64::from(wire::MAX_STACK)),
            ("NOTE_BYTES", u64::from(wire::NOTE_BYTES)),
            ("OUTPUT_BYTES", u64::from(wire::OUTPUT_BYTES)),
            ("MAX_SYSCALLS", wire::MAX_SYSCALLS as u64),
            ("MAX_AREAS", wire::MAX_AREAS as u64),
            ("AREA_BYTES", wire::AREA_BYTES as u64),
            ("MAX_CGROUP_PATH", u64::from(wire::MAX_CGROUP_PATH)),
            ("SCOPE_BITS", 64 * scope::N_SCOPE_WORDS as u64),
            ("SCOPE_MARK_BITS", u64::from(scope::MARK_BITS)),
            ("SCOPE_KINDS", scope::N_SCOPE_KINDS as u64),
            ("COMM_LEN", scope::COMM_LEN as u64),
            ("OPENS_SHIFT", u64::from(OPENS_SHIFT)),
            ("CLASS_REASON_SHIFT", u64::from(REASON_SHIFT)),
        ] {
            assert_eq!(value_of(name), ours, "{name}");
        }
    }

    #[test]
    fn kinds_and_flags_are_those_of_the_wire() {
        for (name, ours) in [
            ("REC_STACK", wire::REC_STACK),
            ("REC_SESSION", wire::REC_SESSION),
            ("REC_CONTEXT", wire::REC_CONTEXT),
            ("REC_CGROUP", wire::REC_CGROUP),
            ("REC_NOTE", wire::REC_NOTE),
            ("REC_SYSCALL", wire::REC_SYSCALL),
            ("REC_OUTPUT", wire::REC_OUTPUT),
            ("REC_EXIT", wire::REC_EXIT),
            ("AREA_TEXT", wire::AREA_TEXT.into()),
            ("AREA_SIZED", wire::AREA_SIZED.into()),
            ("AREA_COUNTED", wire::AREA_COUNTED.into()),
            ("AREA_FILE", wire::AREA_FILE.into()),
            ("AREA_DIRECTORY", wire::AREA_DIRECTORY.into()),
            ("AREA_STRINGS", wire::AREA_STRINGS.into()),
            ("AREA_BUFFERS", wire::AREA_BUFFERS.into()),
            ("AREA_MESSAGE", wire::AREA_MESSAGE.into()),
            ("SESSION_HAS_SYSCALL", wire::SESSION_HAS_SYSCALL),
            ("ERRNO_DISTANCE", user_files::DISTANCE as u32),
            ("ERRNO_SLOT", user_files::SLOT as u32),
            ("CGROUP_MADE", wire::CGROUP_MADE),
            ("CGROUP_REMOVED", wire::CGROUP_REMOVED),
            ("CALL_FAILED", wire::CALL_FAILED.into()),
            ("CALL_UNRETURNED", wire::CALL_UNRETURNED.into()),
            ("ENTRY_NONE", 0),
            ("ENTRY_SYSCALL", EntryReason::SystemCall.to_wire().into()),
            (
                "ENTRY_FUNCTION",
                EntryReason::KernelFunction.to_wire().into(),
            ),
            ("ENTRY_REQUEST", EntryReason::Request.to_wire().into()),
        ] {
            assert_eq!(value_of(name), u64::from(ours), "{name}");
        }
    }

    #[test]
    fn rules_of_the_scope_are_those_of_the_programs() {
        for (name, ours) in [
            ("SCOPE_PID", ScopeKind::Process),
            ("SCOPE_UID", ScopeKind::User),
            ("SCOPE_GID", ScopeKind::Group),
            ("SCOPE_CGROUP", ScopeKind::Cgroup),
            ("SCOPE_MNTNS", ScopeKind::MountNamespace),
            ("SCOPE_PIDNS", ScopeKind::PidNamespace),
            ("SCOPE_NETNS", ScopeKind::NetNamespace),
        ] {
            assert_eq!(value_of(name), ours as u64, "{name}");
        }
        for (name, ours) in [
            ("SCOPE_ALLOW", ScopeRule::Allow),
            ("SCOPE_DENY", ScopeRule::Deny),
            ("SCOPE_HELD", ScopeRule::HeldUntilExec),
        ] {
            assert_eq!(value_of(name), ours as u64, "{name}");
        }
    }

    #[test]
    fn results_have_the_class_of_their_type() {
        for (name, result) in [
            ("CLASS_NEVER", ResultType::Void),
            ("CLASS_NEVER", ResultType::Bool),
            ("CLASS_NEVER", ResultType::Unsigned(4)),
            ("CLASS_POINTER", ResultType::Pointer),
            ("CLASS_S8", ResultType::Signed(1)),
            ("CLASS_S16", ResultType::Signed(2)),
            ("CLASS_S32", ResultType::Signed(4)),
            ("CLASS_S64", ResultType::Signed(8)),
            ("CLASS_S64", ResultType::UlongErrno),
            ("CLASS_BLK_STATUS", ResultType::BlkStatus),
            ("CLASS_VM_FAULT", ResultType::VmFault),
            ("CLASS_UNKNOWN", ResultType::Unknown),
            (
                "CLASS_FILTER_INT",
                ResultType::Filter(FilterResult::MinusOne),
            ),
            ("CLASS_FILTER_BOOL", ResultType::Filter(FilterResult::False)),
        ] {
            assert_eq!(value_of(name), u64::from(result_class(result)), "{name}");
        }
        assert_eq!(value_of("CLASS_ANSWERS"), 1 << 7);
        // The parts of a class byte do not overlap.
        assert!(value_of("CLASS_FILTER_BOOL") <= value_of("CLASS_MASK"));
        assert!(value_of("ENTRY_REQUEST") <= value_of("CLASS_REASON_MASK"));
        assert_eq!(
            value_of("CLASS_MASK") + 1,
            1 << value_of("CLASS_REASON_SHIFT")
        );
    }
}
