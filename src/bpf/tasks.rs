// SPDX-License-Identifier: BSD-2-Clause
//! What tells of tasks and cgroups that come and go: tracepoints.
//!
//! Since 7.0 (a46023d5616e, "tracing: Guard `__DECLARE_TRACE()` use of `__DO_TRACE_CALL()` with
//! SRCU-fast") tracepoints do not disable preemption. So kernels that preempt programs of
//! trampolines preempt those of raw tracepoints as well, and keep them out of other tasks of that
//! CPU meanwhile: of 2,300 threads that ended at once, the ends of 33 were not seen. The events
//! that perf makes of tracepoints disable preemption on these kernels, too; but they have numbers
//! where raw tracepoints have tasks.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_sys::bpf_insn;

use super::patch::Copy;
use super::program;
use super::settings::ScopeKind;
use super::sys::{self, ProgramKind};
use super::tracer::Tracer;

const NAME: &CStr = c"retsnoop_task";

/// What tells of tasks or cgroups.
#[derive(Debug)]
pub(super) struct TaskProbe {
    /// Its link, or the event that it lasts as long as.
    pub(super) link: OwnedFd,
    pub(super) program: OwnedFd,
    /// To close an event of perf waits for the kernel.
    pub(super) is_event: bool,
}

/// What is to be told of, by a raw tracepoint or by an event of perf.
struct Wanted<'t> {
    tracepoint: &'static CStr,
    template: &'t [bpf_insn],
    /// Its directory in tracefs.
    event: &'static str,
    of_event: &'t [bpf_insn],
    /// What the event's fields are to be, as its format says: name, place and size in bytes.
    fields: &'static [(&'static str, u32, u32)],
}

impl Tracer<'_> {
    /// Attaches to what tells of tasks, and of cgroups where these matter.
    pub(super) fn attach_tasks(&mut self) -> Result<()> {
        let templates = &self.loaded.templates;
        let mut wanted = vec![Wanted {
            tracepoint: c"sched_process_exit",
            template: &templates.task_exit,
            event: "sched/sched_process_exit",
            of_event: &templates.task_exit,
            fields: &[],
        }];
        if self.scope.has(ScopeKind::Process) {
            wanted.push(Wanted {
                tracepoint: c"sched_process_exec",
                template: &templates.task_exec,
                event: "sched/sched_process_exec",
                of_event: &templates.task_exec,
                fields: &[],
            });
            if self.scope.follow_forks {
                wanted.push(Wanted {
                    tracepoint: c"sched_process_fork",
                    template: &templates.task_fork,
                    event: "task/task_newtask",
                    of_event: &templates.task_new,
                    // `struct new_task`.
                    fields: &[("pid", 8, 4), ("clone_flags", 32, 8)],
                });
            }
        }
        let attached = wanted
            .iter()
            .map(|wanted| self.attach_task(wanted))
            .collect::<Result<Vec<_>>>()?;
        self.tasks.extend(attached);
        if self.scope.watch_cgroups {
            self.watch_cgroups()?;
        }
        Ok(())
    }

    /// Has cgroups that come and go reported, from now on.
    ///
    /// # Errors
    /// When the kernel has no such tracepoints: it knows no control groups.
    pub fn watch_cgroups(&mut self) -> Result<()> {
        if self.watches_cgroups {
            return Ok(());
        }
        self.watches_cgroups = true;
        let templates = &self.loaded.templates;
        let made = self.attach_tracepoint(c"cgroup_mkdir", &templates.cgroup_made)?;
        let removed = self.attach_tracepoint(c"cgroup_rmdir", &templates.cgroup_removed)?;
        self.tasks.extend([made, removed]);
        Ok(())
    }

    fn attach_task(&self, wanted: &Wanted<'_>) -> Result<TaskProbe> {
        // Where tracefs cannot be read, a few that are not seen are better than none that are.
        let tracefs = self.loaded.tracefs.as_deref();
        let tracefs = tracefs.filter(|_| self.loaded.preempts_programs);
        match tracefs.and_then(|tracefs| number_of(tracefs, wanted)) {
            Some(number) => self.attach_event(number, wanted),
            None => self.attach_tracepoint(wanted.tracepoint, wanted.template),
        }
    }

    fn attach_event(&self, number: u64, wanted: &Wanted<'_>) -> Result<TaskProbe> {
        let insns = self.loaded.copier.copy(wanted.of_event, Copy::default());
        let program = program::load(NAME, &insns, ProgramKind::Tracepoint)?;
        let attached = sys::open_tracepoint(number).and_then(|event| {
            // Without a cookie there is no link: it lasts as long as the event.
            sys::run_at_event(program.as_fd(), event.as_fd(), None)?;
            Ok(event)
        });
        let event = attached
            .with_context(|| format!("failed to attach to the event `{}`", wanted.event))?;
        Ok(TaskProbe {
            link: event,
            program,
            is_event: true,
        })
    }

    fn attach_tracepoint(&self, name: &CStr, template: &[bpf_insn]) -> Result<TaskProbe> {
        let insns = self.loaded.copier.copy(template, Copy::default());
        let program = program::load(NAME, &insns, ProgramKind::RawTracepoint)?;
        let link = sys::attach_raw_tracepoint(name, program.as_fd()).with_context(|| {
            let name = name.to_string_lossy();
            format!("failed to attach to the tracepoint `{name}`")
        })?;
        Ok(TaskProbe {
            link,
            program,
            is_event: false,
        })
    }
}

/// The number of the event, if its fields are as they are expected.
fn number_of(tracefs: &Path, wanted: &Wanted<'_>) -> Option<u64> {
    let directory = tracefs.join("events").join(wanted.event);
    let format = fs::read_to_string(directory.join("format")).ok()?;
    let has = |(name, offset, size): &(&str, u32, u32)| has_field(&format, name, *offset, *size);
    if !wanted.fields.iter().all(has) {
        return None;
    }
    let number = fs::read_to_string(directory.join("id")).ok()?;
    number.trim().parse().ok()
}

fn has_field(format: &str, name: &str, offset: u32, size: u32) -> bool {
    let rest = format!(" {name};\toffset:{offset};\tsize:{size};");
    format.lines().any(|line| line.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::has_field;

    #[test]
    fn a_field_is_where_the_format_says_and_as_large() {
        let format = "name: task_newtask\nID: 137\nformat:\n\
                      \tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;\n\
                      \tfield:u64 clone_flags;\toffset:32;\tsize:8;\tsigned:0;\n";
        assert!(has_field(format, "pid", 8, 4));
        assert!(has_field(format, "clone_flags", 32, 8));
        assert!(!has_field(format, "clone_flags", 40, 8));
        assert!(!has_field(format, "clone_flags", 32, 4));
        assert!(!has_field(format, "id", 8, 4));
    }
}
