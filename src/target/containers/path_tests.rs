// SPDX-License-Identifier: BSD-2-Clause
//! Cgroup paths in the forms that runtimes create. `ID` is 64 hexadecimal digits, `UID` is the id
//! of a pod.

use super::path::{Runtime, container_of};

const ID: &str = "7be92808767a667f35c8505cbf40d14e931ef6db5b0210329cf193b15ba9d605";
const OUTER: &str = "aaaaaaaa767a667f35c8505cbf40d14e931ef6db5b0210329cf193b15ba9d605";
const UID: &str = "7d5a3c1e-2b7f-4e0c-9a51-0d2f1f3b6c84";
const STATIC: &str = "8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59";

/// Path, runtime, id (`ID` unless it is a name), and whether there is a pod.
const CONTAINERS: &[(&str, Runtime, &str, bool)] = &[
    // Docker.
    (
        "/system.slice/docker-ID.scope",
        Runtime::Docker,
        "ID",
        false,
    ),
    ("/docker/ID", Runtime::Docker, "ID", false),
    ("/docker/ID/init", Runtime::Docker, "ID", false),
    (
        "/docker/ID/system.slice/cron.service",
        Runtime::Docker,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
        Runtime::Docker,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service/docker/ID",
        Runtime::Docker,
        "ID",
        false,
    ),
    (
        "/machine.slice/docker-ID.scope",
        Runtime::Docker,
        "ID",
        false,
    ),
    ("/actions_job/ID", Runtime::Docker, "ID", false),
    ("/docker-ID", Runtime::Docker, "ID", false),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/docker-ID.scope",
        Runtime::Docker,
        "ID",
        true,
    ),
    // containerd.
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_ID.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods.slice/kubepods-podU_ID.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods/burstable/podUID/ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods/besteffort/podUID/ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    ("/kubepods/podUID/ID", Runtime::Containerd, "ID", true),
    (
        "/kubepods/burstable/podSTATIC/ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podU_ID.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_ID.slice/cri-containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/docker/OUTER/kubelet/kubepods/besteffort/podUID/ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/system.slice/docker-OUTER.scope/kubelet/kubepods/burstable/podUID/ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/system.slice/containerd.service/kubepods-burstable-podU_ID.slice:cri-containerd:ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/kubepods-burstable-podU_ID.slice:cri-containerd:ID",
        Runtime::Containerd,
        "ID",
        true,
    ),
    (
        "/system.slice/nerdctl-ID.scope",
        Runtime::Containerd,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-ID.scope",
        Runtime::Containerd,
        "ID",
        false,
    ),
    (
        "/system.slice/containerd-ID.scope",
        Runtime::Containerd,
        "ID",
        false,
    ),
    // CRI-O.
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/crio-ID.scope",
        Runtime::Crio,
        "ID",
        true,
    ),
    (
        "/kubepods.slice/kubepods-podU_ID.slice/crio-ID.scope/container",
        Runtime::Crio,
        "ID",
        true,
    ),
    (
        "/kubepods/burstable/podUID/crio-ID",
        Runtime::Crio,
        "ID",
        true,
    ),
    ("/system.slice/crio-ID.scope", Runtime::Crio, "ID", false),
    // Podman.
    (
        "/machine.slice/libpod-ID.scope",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/machine.slice/libpod-ID.scope/container",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/machine.slice/libpod-ID.scope/container/system.slice/dbus.service",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_OUTER.slice/libpod-ID.scope/container",
        Runtime::Podman,
        "ID",
        false,
    ),
    (
        "/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope",
        Runtime::Podman,
        "ID",
        false,
    ),
    ("/libpod_parent/libpod-ID", Runtime::Podman, "ID", false),
    (
        "/system.slice/web.service/libpod-payload-ID",
        Runtime::Podman,
        "ID",
        false,
    ),
    // systemd-nspawn.
    (
        "/machine.slice/machine-web.scope",
        Runtime::Nspawn,
        "web",
        false,
    ),
    (
        "/machine.slice/machine-web\\x2d1.scope/payload",
        Runtime::Nspawn,
        "web-1",
        false,
    ),
    (
        "/machine.slice/systemd-nspawn@web.service",
        Runtime::Nspawn,
        "web",
        false,
    ),
    (
        "/machine.slice/systemd-nspawn@web.service/payload/system.slice/ssh.service",
        Runtime::Nspawn,
        "web",
        false,
    ),
    // LXC.
    ("/lxc.payload.web", Runtime::Lxc, "web", false),
    (
        "/lxc.payload.web/system.slice/ssh.service",
        Runtime::Lxc,
        "web",
        false,
    ),
    ("/lxc.payload/web/init.scope", Runtime::Lxc, "web", false),
    ("/lxc/101/ns", Runtime::Lxc, "101", false),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/lxc.payload.web",
        Runtime::Lxc,
        "web",
        false,
    ),
    (
        "/machine.slice/machine-lxc\\x2d4242\\x2dweb.scope",
        Runtime::Lxc,
        "web",
        false,
    ),
    // Others.
    ("/system.slice/runc-ID.scope", Runtime::Runc, "ID", false),
    (
        "/ecs/8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59/ID",
        Runtime::Oci,
        "ID",
        false,
    ),
    (
        "/ecs/8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59/8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59-1234567890",
        Runtime::Oci,
        "8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59-1234567890",
        false,
    ),
    ("/my-parent/ID", Runtime::Oci, "ID", false),
];

/// Paths that look like those of containers, but are not.
const OTHERS: &[&str] = &[
    "/",
    "",
    "/init.scope",
    "/system.slice/ssh.service",
    "/system.slice/docker.service",
    "/system.slice/containerd.service",
    "/user.slice/user-1000.slice/session-3.scope",
    "/machine.slice/libpod-conmon-ID.scope",
    "/system.slice/crio-conmon-ID.scope",
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice",
    "/kubepods/burstable/podUID",
    "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
    "/lxc.monitor.web",
    "/system.slice/docker-web.scope",
    "/docker/buildkit",
];

fn filled(text: &str) -> String {
    let underscored = UID.replace('-', "_");
    text.replace("U_ID", &underscored)
        .replace("UID", UID)
        .replace("STATIC", STATIC)
        .replace("OUTER", OUTER)
        .replace("ID", ID)
}

#[test]
fn the_table() {
    assert!(CONTAINERS.len() >= 40);
    for (path, runtime, id, has_pod) in CONTAINERS {
        let path = filled(path);
        let found = container_of(&path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!((found.runtime, found.id), (*runtime, filled(id)), "{path}");
        let pod = has_pod.then(|| if path.contains(STATIC) { STATIC } else { UID }.to_owned());
        assert_eq!(found.pod_uid, pod, "{path}");
        // The container's own cgroup belongs to the same container.
        let own = container_of(found.cgroup).unwrap();
        assert_eq!(
            (own.runtime, own.cgroup),
            (*runtime, found.cgroup),
            "{path}"
        );
    }
}

#[test]
fn what_is_none() {
    for path in OTHERS {
        assert_eq!(container_of(&filled(path)), None, "{path}");
    }
}
