// SPDX-License-Identifier: BSD-2-Clause
//! Hand-made hosts with the files of every runtime; some of the files are hostile.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::time::Instant;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use super::{Container, Names, Registry, Runtime, running};
use crate::target::cgroups::Hierarchy;
use crate::target::{HostFiles, Owner};

const MOUNTS: &str = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

fn id(digit: char) -> String {
    String::from(digit).repeat(64)
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn host(cgroups: &[String]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "proc/self/mountinfo", MOUNTS);
    put(root.path(), "sys/fs/cgroup/cgroup.procs", "1\n");
    for cgroup in cgroups {
        put(
            root.path(),
            &format!("sys/fs/cgroup{cgroup}/cgroup.procs"),
            "7\n8\n",
        );
    }
    root
}

fn found(root: &TempDir) -> Vec<Container> {
    let files = HostFiles::below(root.path());
    let hierarchy = Hierarchy::find(&files).unwrap();
    running(&hierarchy, &Registry::new(files))
}

/// The parent cgroup of a user's own containers.
fn of_user(uid: u32) -> String {
    format!("/user.slice/user-{uid}.slice/user@{uid}.service/user.slice")
}

/// Changes the owner of a file; returns false if this is not permitted.
fn give(root: &TempDir, path: &str, uid: u32) -> bool {
    chown(root.path().join(path), Some(uid), Some(uid)).is_ok()
}

fn only(root: &TempDir) -> Container {
    let mut found = found(root);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn names(name: &str, image: &str) -> Names {
    Names {
        name: Some(name.to_owned()),
        image: Some(image.to_owned()),
        ..Names::default()
    }
}

fn in_pod(names: Names) -> Names {
    Names {
        pod: Some("web-0".to_owned()),
        namespace: Some("shop".to_owned()),
        ..names
    }
}

#[test]
fn docker_with_a_data_root_of_its_own_and_a_link_on_the_way() {
    let root = host(&[format!("/system.slice/docker-{}.scope", id('a'))]);
    put(
        root.path(),
        "etc/docker/daemon.json",
        r#"{"data-root": "/data/docker"}"#,
    );
    let config =
        r#"{"Name": "/web", "Config": {"Image": "nginx:1", "Labels": {"a": "b"}}, "State": {}}"#;
    put(
        root.path(),
        &format!("disk/docker/containers/{}/config.v2.json", id('a')),
        config,
    );
    // The link is absolute and is resolved below the root.
    symlink("/disk", root.path().join("data")).unwrap();
    let container = only(&root);
    assert_eq!(container.runtime, Runtime::Docker);
    assert_eq!(container.names, names("web", "nginx:1"));
    for wanted in ["web", "aaaa", &id('a')] {
        assert!(container.is_called(wanted), "{wanted}");
    }
    for other in ["we", "aaa", "b", "shop/web"] {
        assert!(!container.is_called(other), "{other}");
    }
}

#[test]
fn containerd_and_its_sandbox_in_a_pod() {
    let pod = "/kubepods/burstable/pod7d5a3c1e-2b7f-4e0c-9a51-0d2f1f3b6c84";
    let root = host(&[format!("{pod}/{}", id('b')), format!("{pod}/{}", id('c'))]);
    for (id, kind) in [(id('b'), "container"), (id('c'), "sandbox")] {
        let config = format!(
            r#"{{"ociVersion": "1.1", "annotations": {{
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "{kind}",
            "io.kubernetes.cri.image-name": "shop:2", "io.kubernetes.cri.sandbox-name": "web-0",
            "io.kubernetes.cri.sandbox-namespace": "shop"}}}}"#
        );
        let path = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json");
        put(root.path(), &path, &config);
    }
    let containers = found(&root);
    assert_eq!(containers.len(), 2);
    let app = containers.iter().find(|found| !found.is_sandbox()).unwrap();
    assert_eq!(app.names, in_pod(names("app", "shop:2")));
    assert!(app.is_called("web-0") && app.is_called("shop/web-0") && !app.is_called("x/web-0"));
}

#[test]
fn crio_podman_with_and_without_root_nspawn_and_lxc() {
    let root = host(&[format!("/kubepods.slice/crio-{}.scope", id('d'))]);
    let config = r#"{"annotations": {"io.kubernetes.container.name": "app", "io.kubernetes.cri-o.ImageName": "shop:2",
        "io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop"}}"#;
    let path = format!(
        "run/containers/storage/overlay-containers/{}/userdata/config.json",
        id('d')
    );
    put(root.path(), &path, config);
    assert_eq!(only(&root).names, in_pod(names("app", "shop:2")));

    let list = |id: &str| {
        format!(
            r#"[{{"id": "{id}", "names": ["db"], "metadata": "{{\"image-name\": \"pg:16\"}}"}}]"#
        )
    };
    for (storage, slice) in [
        ("var/lib", "/machine.slice".to_owned()),
        ("home/me/.local/share", of_user(4711)),
    ] {
        let root = host(&[format!("{slice}/libpod-{}.scope/container", id('e'))]);
        let path = format!("sys/fs/cgroup{slice}/libpod-{}.scope/cgroup.procs", id('e'));
        put(root.path(), &path, "");
        put(
            root.path(),
            "etc/passwd",
            "me:x:4711:4711:Me:/home/me:/bin/sh\n",
        );
        let path = format!("{storage}/containers/storage/overlay-containers/containers.json");
        put(root.path(), &path, &list(&id('e')));
        if slice == of_user(4711) {
            // A file of another user does not name it.
            assert_eq!(only(&root).names, Names::default());
            if !give(&root, &path, 4711) {
                continue;
            }
        }
        let found = only(&root);
        assert_eq!(found.names, names("db", "pg:16"), "{storage}");
        let is_users = slice == of_user(4711);
        assert_eq!(found.cgroup.maker == Owner::User(4711), is_users);
    }

    let root = host(&["/machine.slice/machine-my\\x2dbox.scope".to_owned()]);
    assert!(only(&root).is_called("my-box"));
    let root = host(&["/lxc.payload.box".to_owned()]);
    assert!(only(&root).is_called("box"));
}

#[test]
fn the_beginning_of_a_name_is_not_that_of_an_id() {
    for cgroup in ["/lxc.payload.web-1", "/machine.slice/machine-web-1.scope"] {
        let root = host(&[cgroup.to_owned()]);
        let found = only(&root);
        assert!(found.is_called("web-1"), "{cgroup}");
        assert!(!found.is_called("web-"), "{cgroup}");
    }
}

#[test]
fn a_users_files_do_not_rename_the_hosts_containers() {
    let list = |name: &str| format!(r#"[{{"id": "{}", "names": ["{name}"]}}]"#, id('e'));
    let root = host(&[format!("/machine.slice/libpod-{}.scope", id('e'))]);
    let file = "containers/storage/overlay-containers/containers.json";
    put(root.path(), &format!("var/lib/{file}"), &list("db"));
    let of_user = format!("home/eve/.local/share/{file}");
    put(root.path(), &of_user, &list("web"));
    assert_eq!(only(&root).names.name.as_deref(), Some("db"));
}

#[test]
fn a_user_does_not_take_the_name_of_somebody_elses_container() {
    let spoofed = format!("{}/docker-{}.scope", of_user(4711), id('a'));
    let root = host(&[
        format!("/system.slice/docker-{}.scope", id('a')),
        spoofed.clone(),
        format!("/system.slice/containerd.service/{}", id('c')),
    ]);
    let web = r#"{"Name": "/web", "Config": {"Image": "shop:2"}}"#;
    let config =
        |storage: &str, id: String| format!("{storage}/docker/containers/{id}/config.v2.json");
    put(root.path(), &config("var/lib", id('a')), web);
    put(
        root.path(),
        "etc/passwd",
        "eve:x:4711:4711::/home/eve:/bin/sh\n",
    );
    let of_eve = config("home/eve/.local/share", id('c'));
    put(root.path(), &of_eve, web);
    give(&root, &of_eve, 4711);
    let found = found(&root);
    assert_eq!(found.len(), 3);
    for container in found {
        let is_web = container.cgroup.path.starts_with("/system.slice/docker-");
        assert_eq!(container.is_called("web"), is_web, "{container:?}");
        let is_spoofed = container.cgroup.path == spoofed;
        assert_eq!(container.cgroup.maker == Owner::User(4711), is_spoofed);
    }
}

#[test]
fn containers_that_do_not_run_are_known_by_name() {
    let root = host(&[]);
    let docker = |id: String| format!("var/lib/docker/containers/{id}/config.v2.json");
    put(root.path(), &docker(id('a')), r#"{"Name": "/web"}"#);
    put(root.path(), &docker(id('b')), "{");
    let podman = "var/lib/containers/storage/overlay-containers/containers.json";
    let list = format!(r#"[{{"id": "{}", "names": ["db"]}}]"#, id('e'));
    put(root.path(), podman, &list);
    put(root.path(), "var/lib/lxc/box/config", "");
    let known = Registry::new(HostFiles::below(root.path())).known();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["box", "db", "web"]);
}

#[test]
fn a_node_of_kubernetes_names_containers_by_their_logs() {
    let pod = "/kubepods/pod8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59";
    let root = host(&[format!("{pod}/{}", id('f'))]);
    let nameless = only(&root);
    assert_eq!(
        nameless.names.pod.as_deref(),
        Some("8c2d0a4f1b6e3d5c7a9f0e1d2c3b4a59")
    );
    put(
        root.path(),
        &format!("var/log/containers/web-0_shop_the-app-{}.log", id('f')),
        "",
    );
    let named = only(&root).names;
    assert_eq!(named.name.as_deref(), Some("the-app"));
    assert_eq!(
        (named.pod.as_deref(), named.namespace.as_deref()),
        (Some("web-0"), Some("shop"))
    );
}

#[test]
fn hostile_files_cost_names_and_nothing_else() {
    let secret = r#"{"Name": "/secret", "Config": {"Image": "x"}}"#;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "config.v2.json", secret);
    let path = |root: &TempDir| {
        let path = format!("var/lib/docker/containers/{}/config.v2.json", id('a'));
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let nameless = |what: &str, make: &dyn Fn(&TempDir)| {
        let root = host(&[format!("/docker/{}", id('a'))]);
        make(&root);
        let begun = Instant::now();
        assert_eq!(only(&root).names, Names::default(), "{what}");
        assert!(begun.elapsed().as_secs() < 5, "{what}");
    };
    for (what, text) in [
        ("cut short", r#"{"Name": "/web", "Conf"#.to_owned()),
        ("of other types", r#"{"Name": 7, "Config": []}"#.to_owned()),
        ("nested deeply", "[".repeat(1 << 20)),
        ("empty", String::new()),
        ("bytes", "\0\u{1}\u{2}".to_owned()),
    ] {
        nameless(what, &|root| fs::write(path(root), &text).unwrap());
    }
    nameless("100 MB", &|root| {
        let text = format!(r#"{{"Name": "/web", "x": "{}"}}"#, "y".repeat(100 << 20));
        fs::write(path(root), text).unwrap();
    });
    nameless("a link out of the root", &|root| {
        symlink(outside.path().join("config.v2.json"), path(root)).unwrap();
    });
    nameless("a link up and out", &|root| {
        let up = "../".repeat(40);
        let target = format!("{up}{}", outside.path().join("config.v2.json").display());
        symlink(target, path(root)).unwrap();
    });
    nameless("a link to itself", &|root| {
        symlink("config.v2.json", path(root)).unwrap()
    });
    nameless("a directory", &|root| fs::create_dir(path(root)).unwrap());
    nameless("a FIFO, which nobody writes to", &|root| {
        mkfifo(&path(root), Mode::S_IRWXU).unwrap();
    });
}

#[test]
fn five_hundred_containers_are_found_at_once() {
    let ids: Vec<String> = (0..500).map(|number| format!("{number:064x}")).collect();
    let cgroups: Vec<String> = ids.iter().map(|id| format!("/docker/{id}")).collect();
    let root = host(&cgroups);
    for id in &ids {
        let path = format!("var/lib/docker/containers/{id}/config.v2.json");
        put(
            root.path(),
            &path,
            r#"{"Name": "/web", "Config": {"Image": "x"}}"#,
        );
    }
    let containers = found(&root);
    assert_eq!(containers.len(), 500);
    assert!(containers.iter().all(|found| found.is_called("web")));
}
