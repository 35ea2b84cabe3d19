// SPDX-License-Identifier: BSD-2-Clause
//! Classifies addresses of kernel stacks by the names of their symbols.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::kernel::kallsyms::Kallsyms;
use crate::knowledge::arch::INTERRUPTS;
use crate::knowledge::frames::{OWN_PROGRAMS, SYSCALL_ENTRY, TRACER_PREFIXES};
use crate::session::AddrRole;
use crate::spec::Addr;
use crate::symbolize::PlaceHash;

/// Maximum number of cached addresses. Stacks repeat; a full cache is cleared.
const MAX_CACHED_ADDRS: usize = 1 << 16;

/// The roles of addresses, as a cache.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    known: RefCell<HashMap<Addr, AddrRole, PlaceHash>>,
}

impl Roles {
    /// Returns the role of `addr`; `None` if no symbol contains it.
    pub(crate) fn role(&self, kallsyms: &Kallsyms, addr: Addr) -> Option<AddrRole> {
        let mut known = self.known.borrow_mut();
        if let Some(role) = known.get(&addr) {
            return Some(*role);
        }
        let (symbol, _) = kallsyms.resolve(addr)?;
        let role = role_of(symbol.name);
        if known.len() >= MAX_CACHED_ADDRS {
            known.clear();
        }
        known.insert(addr, role);
        Some(role)
    }

    /// Clears the cache. Needed when the symbols have changed.
    pub(crate) fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}

fn role_of(name: &str) -> AddrRole {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if INTERRUPTS.into_iter().any(starts) {
        AddrRole::Interrupt
    } else if starts(TRACER_PREFIXES) || is_own_program(name) {
        AddrRole::Tracer
    } else if is_program(name) {
        AddrRole::Program
    } else if starts(SYSCALL_ENTRY) {
        AddrRole::SyscallEntry
    } else {
        AddrRole::Code
    }
}

/// Returns true for `bpf_prog_<tag>`, but not for `bpf_prog_load`, which is a kernel function.
fn is_program(symbol: &str) -> bool {
    program_name(symbol).is_some()
}

fn is_own_program(symbol: &str) -> bool {
    program_name(symbol).is_some_and(|name| name.starts_with(OWN_PROGRAMS))
}

/// Returns what follows the tag of a BPF program.
fn program_name(symbol: &str) -> Option<&str> {
    let rest = symbol.strip_prefix("bpf_prog_")?;
    let (tag, name) = rest.split_once('_').unwrap_or((rest, ""));
    let is_tag = tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_tag.then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{MAX_CACHED_ADDRS, Roles, role_of};
    use crate::kernel::kallsyms::Kallsyms;
    use crate::session::AddrRole;
    use crate::spec::Addr;

    #[test]
    fn roles_are_remembered_until_the_symbols_change() {
        let kallsyms = |name| {
            let text = format!("ffffffff81000000 T _stext\nffffffff81001000 T {name}\n");
            Kallsyms::parse(text.into_bytes()).unwrap()
        };
        let (code, tracer) = (kallsyms("vfs_read"), kallsyms("ftrace_caller"));
        let (roles, addr) = (Roles::default(), Addr(0xffff_ffff_8100_1004));
        assert_eq!(roles.role(&code, Addr(0x1000)), None);
        assert_eq!(roles.role(&code, addr), Some(AddrRole::Code));
        assert_eq!(roles.role(&tracer, addr), Some(AddrRole::Code));
        roles.forget();
        assert_eq!(roles.role(&tracer, addr), Some(AddrRole::Tracer));
        let many = (0..MAX_CACHED_ADDRS as u64).map(|addr| (Addr(addr), AddrRole::Code));
        roles.known.borrow_mut().extend(many);
        let next = Addr(addr.0 + 4);
        assert_eq!(roles.role(&tracer, next), Some(AddrRole::Tracer));
        assert_eq!(roles.known.borrow().len(), 1);
    }

    #[test]
    fn only_our_own_programs_are_left_out() {
        assert_eq!(
            role_of("bpf_prog_6deef7357e7b4530_retsnoop_exit"),
            AddrRole::Tracer
        );
        assert_eq!(
            role_of("bpf_prog_6deef7357e7b4530_retsnoop_session_opening"),
            AddrRole::Tracer
        );
        // Programs of others, and subprograms of ours or of others.
        for name in [
            "xdp_filter",
            "kprobe_return",
            "my_retsnoop_exit",
            "opening_call_starts",
            "F",
            "",
        ] {
            let symbol = format!("bpf_prog_90ce945de84804c5_{name}");
            assert_eq!(role_of(&symbol), AddrRole::Program, "{name}");
        }
        assert_eq!(role_of("bpf_prog_90ce945de84804c5"), AddrRole::Program);
        assert_eq!(role_of("bpf_trampoline_6442488372"), AddrRole::Tracer);
        assert_eq!(role_of("kretprobe_trampoline"), AddrRole::Tracer);
        assert_eq!(role_of("bpf_check"), AddrRole::Code);
        assert_eq!(role_of("bpf_prog_load"), AddrRole::Code);
    }

    /// Checks the names that programs are loaded by in `src/bpf`.
    #[test]
    fn all_of_our_own_programs_are_known() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bpf")];
        let mut n_names = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = fs::read_to_string(path).unwrap();
                for name in text
                    .split([' ', '('])
                    .filter_map(|word| word.strip_prefix("c\""))
                {
                    let name = name.split('"').next().unwrap();
                    // These are names of tracepoints; names with capitals are licenses.
                    let is_program = !["sched_", "cgroup_", "sys_"]
                        .iter()
                        .any(|start| name.starts_with(start));
                    if !is_program || name.contains(char::is_uppercase) {
                        continue;
                    }
                    let cut = &name[..name.len().min(15)];
                    let symbol = format!("bpf_prog_6deef7357e7b4530_{cut}");
                    assert_eq!(role_of(&symbol), AddrRole::Tracer, "{name}");
                    n_names += 1;
                }
            }
        }
        assert!(n_names > 10, "{n_names}");
    }

    /// With BTF, programs are named after their C functions.
    #[test]
    fn all_of_our_own_programs_are_known_by_their_functions() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
        let headers = fs::read_dir(root.join("include")).unwrap();
        let headers = headers.map(|entry| entry.unwrap().path());
        let mut n_names = 0;
        for path in headers.chain([root.join("retsnoop.bpf.c")]) {
            let text = fs::read_to_string(path).unwrap();
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                let function = lines.clone().next().unwrap_or_default();
                let (true, Some(function)) =
                    (line.starts_with("SEC("), function.strip_prefix("int "))
                else {
                    continue;
                };
                let name = function.split('(').next().unwrap();
                let symbol = format!("bpf_prog_6deef7357e7b4530_{name}");
                assert_eq!(role_of(&symbol), AddrRole::Tracer, "{name}");
                n_names += 1;
            }
        }
        assert!(n_names > 20, "{n_names}");
    }

    #[test]
    fn interrupts_are_known_by_their_entry() {
        assert_eq!(
            role_of("asm_sysvec_apic_timer_interrupt"),
            AddrRole::Interrupt
        );
        assert_eq!(role_of("asm_exc_page_fault"), AddrRole::Interrupt);
    }
}
