// SPDX-License-Identifier: BSD-2-Clause
//! Attaches one program, by kprobe.session, to all functions whose calls or returns are noted.

use std::collections::HashSet;
use std::os::fd::AsFd;

use anyhow::Result;

use super::arch::REGISTER_ARGS;
use super::note_probes::NoteProbe;
use super::notes::NoteLink;
use super::object::LoadedObject;
use super::patch::Copy;
use super::program;
use super::sys::{self, ProgramKind, TRACE_KPROBE_SESSION};
use crate::spec::Addr;

/// Bits of a cookie of `note_programs.bpf.h`.
const ARGS_SHIFT: u32 = 48;
const OF_CALL: u64 = 1 << 51;

/// A function, and its source.
struct NotedFunction {
    addr: Addr,
    source: usize,
    cookie: u64,
}

impl LoadedObject<'_> {
    /// Attaches to the functions of `probes` that kprobe.session can take. Returns the link, and the
    /// sources that it notes; the others need programs of their own. A kernel without kprobe.session
    /// takes none.
    ///
    /// # Errors
    /// If the kernel refuses the program.
    pub(super) fn attach_note_session(
        &self,
        probes: &[NoteProbe],
    ) -> Result<(Option<NoteLink>, HashSet<usize>)> {
        let layout = &self.copier.layout;
        let functions: Vec<NotedFunction> =
            (0..).zip(probes).filter_map(NotedFunction::of).collect();
        let is_offered = layout.session_is_return.is_some() && layout.session_cookie.is_some();
        if functions.is_empty() || !is_offered {
            return Ok((None, HashSet::new()));
        }
        let body = self
            .copier
            .copy(&self.templates.note_session, Copy::default());
        let kind = ProgramKind::Kprobe(TRACE_KPROBE_SESSION);
        let program = program::load(c"retsnoop_note_session", &body, kind)?;
        let attach = |functions: &[NotedFunction]| {
            let addrs: Vec<u64> = functions.iter().map(|function| function.addr.0).collect();
            let cookies: Vec<u64> = functions.iter().map(|function| function.cookie).collect();
            sys::attach_kprobe_multi(
                program.as_fd(),
                TRACE_KPROBE_SESSION,
                false,
                &addrs,
                &cookies,
            )
        };
        let (mut links, mut noted) = (Vec::new(), HashSet::new());
        if let Ok(link) = attach(&functions) {
            links.push(link);
            noted.extend(functions.iter().map(|function| function.source));
        } else {
            // The kernel does not say which one it refuses.
            for one in functions.chunks(1) {
                if let Ok(link) = attach(one) {
                    links.push(link);
                    noted.extend(one.iter().map(|function| function.source));
                }
            }
        }
        Ok((Some(NoteLink::new(links, program)), noted))
    }
}

impl NotedFunction {
    /// `None` if the address is not known, if not all arguments are in registers, or if the stack is
    /// noted.
    fn of((source, probe): (usize, &NoteProbe)) -> Option<Self> {
        // The number of the fact is that of the source.
        let number = u64::try_from(source).ok()?;
        let tag = number | number << 32;
        let (addr, cookie) = match probe {
            // The stack that is seen at the return does not have the caller.
            NoteProbe::Return {
                addr,
                arg_slots,
                fact,
                ..
            } if *arg_slots <= REGISTER_ARGS && !fact.has_stack => {
                (*addr, tag | u64::from(*arg_slots) << ARGS_SHIFT)
            }
            NoteProbe::Call { addr, .. } => (*addr, tag | OF_CALL),
            _ => return None,
        };
        Some(Self {
            addr: addr?,
            source,
            cookie,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::headers::value_of;
    use crate::bpf::note_probes::{Fact, FactCondition};

    fn fact() -> Fact {
        Fact {
            condition: FactCondition::Always,
            values: Vec::new(),
            len: 0,
            has_stack: false,
        }
    }

    #[test]
    fn the_cookie_has_source_arguments_and_kind() {
        assert!(u64::from(REGISTER_ARGS) <= value_of("MAX_NOTED_ARGS"));
        let returns = |addr, arg_slots| NoteProbe::Return {
            addr,
            btf_id: 1,
            arg_slots,
            fact: fact(),
        };
        let cookie = |probe: &NoteProbe| {
            NotedFunction::of((5, probe)).map(|function| (function.addr.0, function.cookie))
        };
        assert_eq!(
            cookie(&returns(Some(Addr(0x10)), 3)),
            Some((0x10, 0x0003_0005_0000_0005))
        );
        let with_stack = NoteProbe::Return {
            addr: Some(Addr(0x10)),
            btf_id: 1,
            arg_slots: 3,
            fact: Fact {
                has_stack: true,
                ..fact()
            },
        };
        assert_eq!(cookie(&with_stack), None);
        assert_eq!(cookie(&returns(None, 3)), None);
        assert_eq!(cookie(&returns(Some(Addr(0x10)), 12)), None);
        let call = NoteProbe::Call {
            addr: Some(Addr(0x20)),
            name: "f".to_owned(),
            fact: fact(),
        };
        assert_eq!(cookie(&call), Some((0x20, 0x0008_0005_0000_0005)));
    }
}
