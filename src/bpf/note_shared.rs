// SPDX-License-Identifier: BSD-2-Clause
//! Attaches the same programs to all functions whose calls or returns are noted.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Result;

use super::arch::REGISTER_ARGS;
use super::note_probes::NoteProbe;
use super::notes::NoteLink;
use super::object::LoadedObject;
use super::patch::Copy;
use super::program;
use super::settings::ProbePmu;
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
    /// Attaches to the functions of `probes` that programs for all functions can take: by
    /// kprobe.session, else by single kprobes with cookies. Returns the links, and the sources that
    /// they note; the others need programs of their own. A kernel without cookies takes none.
    ///
    /// # Errors
    /// If the kernel refuses a program.
    pub(super) fn attach_shared_notes(
        &self,
        probes: &[NoteProbe],
    ) -> Result<(Vec<NoteLink>, HashSet<usize>)> {
        let layout = &self.copier.layout;
        let functions: Vec<NotedFunction> =
            (0..).zip(probes).filter_map(NotedFunction::of).collect();
        if functions.is_empty() {
            return Ok(Default::default());
        }
        if layout.session_is_return.is_some() && layout.session_cookie.is_some() {
            let (link, noted) = self.attach_note_session(&functions)?;
            return Ok((vec![link], noted));
        }
        match layout.kprobe_pmu {
            Some(pmu) if layout.has_cookies => self.attach_note_kprobes(&functions, pmu),
            _ => Ok(Default::default()),
        }
    }

    fn attach_note_session(
        &self,
        functions: &[NotedFunction],
    ) -> Result<(NoteLink, HashSet<usize>)> {
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
        if let Ok(link) = attach(functions) {
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
        Ok((NoteLink::new(links, program), noted))
    }

    /// A function that the kernel refuses is left out.
    fn attach_note_kprobes(
        &self,
        functions: &[NotedFunction],
        pmu: ProbePmu,
    ) -> Result<(Vec<NoteLink>, HashSet<usize>)> {
        let load = |name, template| {
            let body = self.copier.copy(template, Copy::default());
            program::load(name, &body, ProgramKind::Kprobe(0))
        };
        let templates = &self.templates;
        let calls = load(c"retsnoop_note_call", &templates.note_probed_call)?;
        let returns = load(c"retsnoop_note_return", &templates.note_probed_return)?;
        let attach = |function: &NotedFunction, is_return, program: &OwnedFd| {
            let event = sys::open_kprobe(pmu, is_return, function.addr.0)?;
            let link = sys::run_at_event(program.as_fd(), event.as_fd(), Some(function.cookie))?;
            // The link must be dropped before the event: it holds the event.
            io::Result::Ok(link.into_iter().chain([event]))
        };
        let (mut of_calls, mut of_returns) = (Vec::new(), Vec::new());
        let mut noted = HashSet::new();
        for function in functions {
            let is_of_call = function.cookie & OF_CALL != 0;
            // Attach to the return first: a call that is kept must have its return seen.
            let at_return = (!is_of_call).then(|| attach(function, true, &returns));
            let Ok(at_return) = at_return.transpose() else {
                continue;
            };
            let Ok(at_call) = attach(function, false, &calls) else {
                continue;
            };
            of_returns.extend(at_return.into_iter().flatten());
            of_calls.extend(at_call);
            noted.insert(function.source);
        }
        let links = vec![
            NoteLink::new(of_calls, calls),
            NoteLink::new(of_returns, returns),
        ];
        Ok((links, noted))
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
