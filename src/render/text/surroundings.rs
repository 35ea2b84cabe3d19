// SPDX-License-Identifier: BSD-2-Clause
//! What a session's task is a part of, in a line: container, pod, unit, cgroup, its ids inside.

use super::super::escape::escape;
use crate::session::{ContainerName, Session};

/// Digits of an id that are shown: as many as the runtimes' own lists have.
const ID_SHOWN: usize = 12;

/// The parts of the line; none where there is nothing to say.
pub(super) fn parts(session: &Session, verbosity: u8) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(names) = &session.surroundings {
        let unit = names.unit.as_ref().filter(|_| names.container.is_none());
        if let Some(container) = &names.container {
            parts.push(container_text(container));
            parts.extend(pod_text(container));
        }
        parts.extend(unit.map(|unit| format!("unit {}", escape(unit.as_bytes()))));
        let is_told = names.container.is_some() || unit.is_some();
        let cgroup = names.cgroup.as_ref().filter(|path| *path != "/");
        if let Some(cgroup) = cgroup.filter(|_| !is_told || verbosity > 0) {
            parts.push(format!("control group {}", escape(cgroup.as_bytes())));
        }
    }
    if let Some((tgid, tid)) = session.context.and_then(|context| context.inside) {
        parts.push(format!("TID/PID inside {tid}/{tgid}"));
    }
    parts
}

fn container_text(container: &ContainerName) -> String {
    let id: String = container.id.chars().take(ID_SHOWN).collect();
    let runtime = &container.runtime;
    let mut about = match &container.name {
        Some(name) if *name == container.id => runtime.clone(),
        _ => format!("{runtime} {}", escape(id.as_bytes())),
    };
    if let Some(image) = &container.image {
        about.push_str(&format!(", image {}", escape(image.as_bytes())));
    }
    let name = container.name.as_ref();
    let name = name.map(|name| format!(" {}", escape(name.as_bytes())));
    format!("container{} ({about})", name.unwrap_or_default())
}

fn pod_text(container: &ContainerName) -> Option<String> {
    let pod = escape(container.pod.as_ref()?.as_bytes());
    let namespace = container.namespace.as_ref();
    let namespace = namespace.map(|namespace| format!("{}/", escape(namespace.as_bytes())));
    Some(format!("pod {}{pod}", namespace.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::parts;
    use crate::render::fixtures::passed_on;
    use crate::session::{ContainerName, Surroundings, TaskContext};
    use crate::spec::Pid;

    #[test]
    fn a_container_in_a_pod_with_ids_of_its_own() {
        let mut session = passed_on();
        assert!(parts(&session, 0).is_empty());
        session.context = Some(TaskContext {
            inside: Some((Pid(1), Pid(7))),
            ..TaskContext::default()
        });
        session.surroundings = Some(Surroundings {
            cgroup: Some("/kubepods/x".to_owned()),
            unit: Some("x.scope".to_owned()),
            container: Some(ContainerName {
                runtime: "containerd".to_owned(),
                id: "0123456789abcdef".to_owned(),
                name: Some("we\u{1b}[31mb".to_owned()),
                image: Some("shop:2".to_owned()),
                pod: Some("web-0".to_owned()),
                namespace: Some("shop".to_owned()),
            }),
        });
        let shown = parts(&session, 0).join(", ");
        assert_eq!(
            shown,
            "container we\\x1b[31mb (containerd 0123456789ab, image shop:2), pod shop/web-0, \
             TID/PID inside 7/1"
        );
        assert!(
            parts(&session, 1)
                .join(", ")
                .contains("control group /kubepods/x")
        );
    }

    #[test]
    fn outside_of_containers_the_unit_is_told_else_the_cgroup() {
        let mut session = passed_on();
        let mut names = Surroundings {
            cgroup: Some("/a.slice/b.service".to_owned()),
            unit: Some("b.service".to_owned()),
            container: None,
        };
        session.surroundings = Some(names.clone());
        assert_eq!(parts(&session, 0), ["unit b.service"]);
        names.unit = None;
        session.surroundings = Some(names.clone());
        assert_eq!(parts(&session, 0), ["control group /a.slice/b.service"]);
        names.cgroup = Some("/".to_owned());
        session.surroundings = Some(names);
        assert!(parts(&session, 0).is_empty());
    }
}
