// SPDX-License-Identifier: BSD-2-Clause
//! The workload and the namespaces of a session's task, as JSON.

use serde::Serialize;

use crate::session::{ContainerName, Session, Workload};

/// Ids are the kernel's numbers. Names are `null` if they are unknown.
#[derive(Debug, Serialize)]
pub(super) struct ContextObject {
    cgroup_id: u64,
    cgroup: Option<String>,
    unit: Option<String>,
    mntns: u32,
    pidns: u32,
    netns: u32,
    /// Process id in the task's own PID namespace; `null` if that is the initial one.
    tgid_inside: Option<u32>,
    tid_inside: Option<u32>,
    container: Option<ContainerObject>,
}

#[derive(Debug, Serialize)]
pub(super) struct ContainerObject {
    runtime: String,
    id: String,
    name: Option<String>,
    image: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    user: Option<u32>,
}

impl ContextObject {
    pub(super) fn new(session: &Session) -> Option<Self> {
        let context = session.header.context?;
        let Workload {
            cgroup,
            unit,
            container,
        } = session
            .header
            .workload
            .as_deref()
            .cloned()
            .unwrap_or_default();
        Some(Self {
            cgroup_id: context.cgroup,
            cgroup,
            unit,
            mntns: context.mntns,
            pidns: context.pidns,
            netns: context.netns,
            tgid_inside: context.inside.map(|(tgid, _)| tgid.0),
            tid_inside: context.inside.map(|(_, tid)| tid.0),
            container: container.map(ContainerObject::new),
        })
    }
}

impl ContainerObject {
    pub(super) fn new(container: ContainerName) -> Self {
        let ContainerName {
            runtime,
            id,
            name,
            image,
            pod,
            namespace,
            user,
        } = container;
        Self {
            runtime,
            id,
            name,
            image,
            pod,
            namespace,
            user,
        }
    }
}
