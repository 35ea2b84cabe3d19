// SPDX-License-Identifier: BSD-2-Clause
//! The workload of a session's task on one line: container, pod, unit, control group, ids in its
//! PID namespace.

use super::super::escape::push_escaped_text;
use super::super::style::{Page, Style};
use super::phrases::push_ids;
use crate::session::{ContainerName, Session, Workload};
use crate::spec::Pid;

/// Number of digits of an id that are shown, as in the lists of the runtimes.
const ID_SHOWN: usize = 12;

/// One part of the line.
#[derive(Clone, Copy)]
pub(super) enum WorkloadPart<'a> {
    Container(&'a ContainerName),
    /// Name and namespace of the pod.
    Pod(&'a str, Option<&'a str>),
    Unit(&'a str),
    Cgroup(&'a str),
    /// Process and thread id in the task's PID namespace.
    Inside(Pid, Pid),
}

/// Writes the line; writes nothing if it would be empty.
pub(super) fn workload(page: &mut Page, session: &Session, verbosity: u8) {
    let parts = parts(session, verbosity);
    if parts.is_empty() {
        return;
    }
    if let [WorkloadPart::Inside(tgid, tid)] = parts[..] {
        page.flow(Style::Note, |text| {
            text.push_str("in a PID namespace of its own as TID/PID ");
            push_ids(text, tid, tgid);
        });
        page.end_line();
        return;
    }
    push_parts(page, parts);
    page.end_line();
}

/// Writes `in container web (docker 0123456789ab), pod shop/web-0`; writes nothing for no parts.
pub(super) fn push_parts(page: &mut Page, parts: Vec<WorkloadPart<'_>>) {
    let n_parts = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        page.flow(Style::Note, |text| {
            text.push_str(if index == 0 { "in " } else { "" });
            part.push(text);
            text.push_str(if index + 1 < n_parts { ", " } else { "" });
        });
    }
}

fn parts(session: &Session, verbosity: u8) -> Vec<WorkloadPart<'_>> {
    let workload = session.header.workload.as_deref();
    let mut parts = workload.map_or_else(Vec::new, |workload| names(workload, verbosity));
    let inside = session.header.context.and_then(|context| context.inside);
    parts.extend(inside.map(|(tgid, tid)| WorkloadPart::Inside(tgid, tid)));
    parts
}

/// Returns the parts that are names.
pub(super) fn names(workload: &Workload, verbosity: u8) -> Vec<WorkloadPart<'_>> {
    let Workload {
        cgroup,
        unit,
        container,
    } = workload;
    let mut parts = Vec::new();
    let unit = unit.as_ref().filter(|_| container.is_none());
    if let Some(container) = container {
        parts.push(WorkloadPart::Container(container));
        let pod = container.pod.as_deref();
        parts.extend(pod.map(|pod| WorkloadPart::Pod(pod, container.namespace.as_deref())));
    }
    parts.extend(unit.map(|unit| WorkloadPart::Unit(unit)));
    let is_told = container.is_some() || unit.is_some();
    let cgroup = cgroup.as_ref().filter(|path| *path != "/");
    let cgroup = cgroup.filter(|_| !is_told || verbosity > 0);
    parts.extend(cgroup.map(|cgroup| WorkloadPart::Cgroup(cgroup)));
    parts
}

impl WorkloadPart<'_> {
    fn push(self, text: &mut String) {
        match self {
            WorkloadPart::Container(container) => push_container(text, container),
            WorkloadPart::Pod(pod, namespace) => {
                text.push_str("pod ");
                if let Some(namespace) = namespace {
                    push_escaped_text(text, namespace);
                    text.push('/');
                }
                push_escaped_text(text, pod);
            }
            WorkloadPart::Unit(unit) => {
                text.push_str("unit ");
                push_escaped_text(text, unit);
            }
            WorkloadPart::Cgroup(cgroup) => {
                text.push_str("control group ");
                push_escaped_text(text, cgroup);
            }
            WorkloadPart::Inside(tgid, tid) => {
                text.push_str("TID/PID inside ");
                push_ids(text, tid, tgid);
            }
        }
    }
}

fn push_container(text: &mut String, container: &ContainerName) {
    text.push_str("container");
    if let Some(name) = &container.name {
        text.push(' ');
        push_escaped_text(text, name);
    }
    text.push_str(" (");
    let runtime = &container.runtime;
    if container.name.as_ref() == Some(&container.id) {
        text.push_str(runtime);
    } else {
        let end = container.id.char_indices().nth(ID_SHOWN);
        let end = end.map_or(container.id.len(), |(end, _)| end);
        text.push_str(runtime);
        text.push(' ');
        push_escaped_text(text, &container.id[..end]);
    }
    if let Some(user) = container.user {
        text.push_str(&format!(", user {user}"));
    }
    if let Some(image) = &container.image {
        text.push_str(", image ");
        push_escaped_text(text, image);
    }
    text.push(')');
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::workload;
    use crate::render::fixtures::passed_on;
    use crate::render::style::Page;
    use crate::session::{ContainerName, Session, TaskContext, Workload};
    use crate::spec::Pid;

    fn said(session: &Session, verbosity: u8) -> String {
        let mut page = Page::new(None, false);
        workload(&mut page, session, verbosity);
        page.into_text()
    }

    #[test]
    fn a_container_in_a_pod_with_ids_of_its_own() {
        let mut session = passed_on();
        assert_eq!(said(&session, 0), "");
        session.header.context = Some(TaskContext {
            inside: Some((Pid(1), Pid(7))),
            ..TaskContext::default()
        });
        session.header.workload = Some(Rc::new(Workload {
            cgroup: Some("/kubepods/x".to_owned()),
            unit: Some("x.scope".to_owned()),
            container: Some(ContainerName {
                runtime: "containerd".to_owned(),
                id: "0123456789abcdef".to_owned(),
                name: Some("we\u{1b}[31mb".to_owned()),
                image: Some("shop:2".to_owned()),
                pod: Some("web-0".to_owned()),
                namespace: Some("shop".to_owned()),
                user: None,
            }),
        }));
        assert_eq!(
            said(&session, 0),
            "in container we\\x1b[31mb (containerd 0123456789ab, image shop:2), pod shop/web-0, \
             TID/PID inside 7/1\n"
        );
        assert!(said(&session, 1).contains(", control group /kubepods/x, "));
    }

    #[test]
    fn ids_alone_are_a_whole_sentence() {
        let mut session = passed_on();
        session.header.context = Some(TaskContext {
            inside: Some((Pid(1), Pid(1))),
            ..TaskContext::default()
        });
        let expected = "in a PID namespace of its own as TID/PID 1/1\n";
        assert_eq!(said(&session, 0), expected);
    }

    #[test]
    fn outside_of_containers_the_unit_is_told_else_the_cgroup() {
        let mut session = passed_on();
        let mut names = Workload {
            cgroup: Some("/a.slice/b.service".to_owned()),
            unit: Some("b.service".to_owned()),
            container: None,
        };
        session.header.workload = Some(Rc::new(names.clone()));
        assert_eq!(said(&session, 0), "in unit b.service\n");
        names.unit = None;
        session.header.workload = Some(Rc::new(names.clone()));
        assert_eq!(said(&session, 0), "in control group /a.slice/b.service\n");
        names.cgroup = Some("/".to_owned());
        session.header.workload = Some(Rc::new(names));
        assert_eq!(said(&session, 0), "");
    }
}
