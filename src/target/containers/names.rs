// SPDX-License-Identifier: BSD-2-Clause
//! Finds name, image and pod of a container by its id, in the files of its runtime.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::path::{InPath, Runtime};
use crate::target::{HostFiles, Owner};

/// The names of a container. A field is `None` if no file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Name of the container.
    pub name: Option<String>,
    /// Name of the image that it was created from.
    pub image: Option<String>,
    /// Name of its pod; the id of the pod if only that is known.
    pub pod: Option<String>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<String>,
    /// Whether it is the `pause` container of a pod.
    pub is_sandbox: bool,
}

/// The files of all runtimes. Files about all containers are read once.
#[derive(Debug)]
pub struct Registry {
    files: HostFiles,
    docker_roots: OnceCell<Vec<String>>,
    podman: OnceCell<HashMap<String, Names>>,
    /// Podman containers by user, for users that were looked up.
    podman_of_users: RefCell<HashMap<u32, Arc<HashMap<String, Names>>>>,
    homes: OnceCell<HashMap<u32, String>>,
    logs: OnceCell<HashMap<String, Names>>,
    /// Time spent reading since the last refresh, and the time of that refresh.
    spent: Cell<Duration>,
    refreshed: Option<Instant>,
}

/// Minimum time between two refreshes, as a multiple of the time spent reading.
const REFRESH_PAUSE_FACTOR: u32 = 4;

/// `config.v2.json` of docker.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    name: Option<String>,
    config: Option<DockerImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    image: Option<String>,
    labels: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct DockerDaemon {
    #[serde(rename = "data-root")]
    data_root: Option<String>,
}

/// `config.json` of an OCI bundle.
#[derive(Deserialize)]
struct Bundle {
    annotations: Option<HashMap<String, String>>,
}

/// An element of podman's `containers.json`.
#[derive(Deserialize)]
struct PodmanContainer {
    id: String,
    names: Option<Vec<String>>,
    /// A JSON object as a string.
    metadata: Option<String>,
}

#[derive(Deserialize)]
struct PodmanMetadata {
    #[serde(rename = "image-name")]
    image: Option<String>,
}

/// Directories in which each container is a directory with its name.
const KEPT_BY_NAME: [&str; 3] = ["var/lib/lxc", "var/lib/machines", "var/lib/lxd/containers"];

/// State directories of containerd: the default one, that of k3s and rke2, that of microk8s.
const CONTAINERD: [&str; 3] = [
    "run/containerd",
    "run/k3s/containerd",
    "var/snap/microk8s/common/run/containerd",
];

impl Registry {
    /// Uses the files of a host.
    #[must_use]
    pub fn new(files: HostFiles) -> Self {
        Self {
            files,
            docker_roots: OnceCell::new(),
            podman: OnceCell::new(),
            podman_of_users: RefCell::default(),
            homes: OnceCell::new(),
            logs: OnceCell::new(),
            spent: Cell::default(),
            refreshed: None,
        }
    }

    /// Drops cached names, because containers may be created or renamed. It does nothing if the
    /// last refresh was recent compared with its cost. Otherwise large files, which every user may
    /// have in their home directory, would be read all the time.
    pub fn refresh(&mut self) {
        let pause = self.spent.get() * REFRESH_PAUSE_FACTOR;
        if self.refreshed.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.refreshed = Some(Instant::now());
        self.spent.set(Duration::ZERO);
        self.podman = OnceCell::new();
        self.podman_of_users = RefCell::default();
        self.homes = OnceCell::new();
        self.logs = OnceCell::new();
    }

    /// Returns the names of a container. Its runtime may be another one than its path suggests. For
    /// a container that a user created, only files of that user are used. For one of the host, no
    /// files of users are used.
    #[must_use]
    pub fn names(&self, found: &InPath<'_>, maker: Owner) -> Names {
        match maker {
            Owner::Host => self.names_of_host(found),
            Owner::User(uid) => self.names_of_user(found, uid),
        }
    }

    fn names_of_user(&self, found: &InPath<'_>, uid: u32) -> Names {
        let id = &found.id;
        let names = match found.runtime {
            Runtime::Nspawn | Runtime::Lxc => Some(named(id)),
            Runtime::Podman => self.podman_of(uid, id),
            Runtime::Docker => self.docker_of(uid, id),
            _ => self.docker_of(uid, id).or_else(|| self.podman_of(uid, id)),
        };
        names.unwrap_or_default()
    }

    fn docker_of(&self, uid: u32, id: &str) -> Option<Names> {
        let home = self.homes().get(&uid)?;
        let path = format!("{home}/.local/share/docker/containers/{id}/config.v2.json");
        self.timed(|files| files.read_of(uid, path).ok())
            .map(named_by_docker)
    }

    fn podman_of(&self, uid: u32, id: &str) -> Option<Names> {
        let known = self.podman_of_users.borrow().get(&uid).cloned();
        let known = known.unwrap_or_else(|| {
            let storage = self
                .homes()
                .get(&uid)
                .map(|home| format!("{home}/.local/share/containers/storage"));
            let read = |list: &str| self.timed(|files| files.read_of(uid, list).ok());
            let found = Arc::new(podman_lists(storage.as_slice(), read));
            let mut of_users = self.podman_of_users.borrow_mut();
            of_users.insert(uid, Arc::clone(&found));
            found
        });
        known.get(id).cloned()
    }

    fn names_of_host(&self, found: &InPath<'_>) -> Names {
        let id = &found.id;
        let mut names = match found.runtime {
            Runtime::Docker => self.docker(id),
            Runtime::Crio => self.crio(id),
            Runtime::Podman => self.podman(id),
            Runtime::Containerd => self.containerd(id).or_else(|| self.docker(id)),
            Runtime::Oci | Runtime::Runc => self
                .docker(id)
                .or_else(|| self.containerd(id))
                .or_else(|| self.podman(id)),
            // These runtimes identify containers by name, and no more is known.
            Runtime::Nspawn | Runtime::Lxc => Some(named(id)),
        }
        .unwrap_or_default();
        if names.pod.is_none()
            && found.pod_uid.is_some()
            && let Some(logged) = self.logs().get(id)
        {
            let Names {
                name,
                pod,
                namespace,
                ..
            } = logged.clone();
            names.name = names.name.or(name);
            (names.pod, names.namespace) = (pod, namespace);
        }
        names.pod = names.pod.or_else(|| found.pod_uid.clone());
        names
    }

    fn docker(&self, id: &str) -> Option<Names> {
        let config: DockerConfig = self
            .docker_roots()
            .iter()
            .find_map(|root| self.json(&format!("{root}/containers/{id}/config.v2.json")))?;
        Some(named_by_docker(config))
    }

    /// The names of all containers of docker and podman, running or not, and of LXC and nspawn.
    #[must_use]
    pub fn known(&self) -> BTreeSet<String> {
        let mut known: BTreeSet<String> = KEPT_BY_NAME
            .iter()
            .flat_map(|directory| self.files.names(directory))
            .collect();
        for root in self.docker_roots() {
            let ids = self.files.names(format!("{root}/containers"));
            let all = ids.iter().filter_map(|id| self.docker(id)?.name);
            known.extend(all);
        }
        let of_podman = self.podman_list().values();
        known.extend(of_podman.filter_map(|names| names.name.clone()));
        known
    }

    fn docker_roots(&self) -> &[String] {
        self.docker_roots.get_or_init(|| self.find_docker_roots())
    }

    fn find_docker_roots(&self) -> Vec<String> {
        let configured: Option<DockerDaemon> = self.json("etc/docker/daemon.json");
        let configured = configured.and_then(|daemon| daemon.data_root);
        let mut roots = vec![
            "var/lib/docker".to_owned(),
            "var/snap/docker/common/var-lib-docker".to_owned(),
        ];
        roots.extend(configured);
        roots
    }

    /// Home directories by user, from `/etc/passwd`. Only containers of a user are looked up in the
    /// home directory of that user.
    fn homes(&self) -> &HashMap<u32, String> {
        self.homes.get_or_init(|| {
            let text = self.files.read("etc/passwd").unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let homes = text.lines().filter_map(|line| {
                let mut fields = line.split(':');
                let (uid, home) = (fields.nth(2)?, fields.nth(2)?);
                Some((uid.parse().ok()?, home.to_owned()))
            });
            homes.filter(|(_, home)| home.starts_with('/')).collect()
        })
    }

    fn containerd(&self, id: &str) -> Option<Names> {
        let annotations = CONTAINERD.iter().find_map(|state| {
            let tasks = format!("{state}/io.containerd.runtime.v2.task");
            let namespaces = self.files.names(&tasks);
            let mut bundles = namespaces
                .iter()
                .map(|namespace| format!("{tasks}/{namespace}/{id}/config.json"));
            bundles.find_map(|bundle| self.annotations(&bundle))
        })?;
        let get = |name: &str| annotations.get(name).cloned();
        Some(Names {
            name: get("io.kubernetes.cri.container-name").or_else(|| get("nerdctl/name")),
            image: get("io.kubernetes.cri.image-name"),
            pod: get("io.kubernetes.cri.sandbox-name"),
            namespace: get("io.kubernetes.cri.sandbox-namespace"),
            is_sandbox: get("io.kubernetes.cri.container-type").as_deref() == Some("sandbox"),
        })
    }

    fn crio(&self, id: &str) -> Option<Names> {
        let storages = ["run/containers/storage", "var/lib/containers/storage"];
        let annotations = storages.iter().find_map(|storage| {
            self.annotations(&format!(
                "{storage}/overlay-containers/{id}/userdata/config.json"
            ))
        })?;
        let get = |name: &str| annotations.get(name).cloned();
        Some(Names {
            name: get("io.kubernetes.container.name"),
            image: get("io.kubernetes.cri-o.ImageName"),
            pod: get("io.kubernetes.pod.name"),
            namespace: get("io.kubernetes.pod.namespace"),
            is_sandbox: get("io.kubernetes.cri-o.ContainerType").as_deref() == Some("sandbox"),
        })
    }

    fn annotations(&self, path: &str) -> Option<HashMap<String, String>> {
        let bundle: Bundle = self.json(path)?;
        bundle.annotations
    }

    fn podman(&self, id: &str) -> Option<Names> {
        self.podman_list().get(id).cloned()
    }

    fn podman_list(&self) -> &HashMap<String, Names> {
        self.podman.get_or_init(|| {
            let storages = ["var/lib/containers/storage", "run/containers/storage"];
            podman_lists(&storages.map(str::to_owned), |list| self.json(list))
        })
    }

    /// Names from Kubernetes log files: `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`.
    fn logs(&self) -> &HashMap<String, Names> {
        self.logs.get_or_init(|| {
            let logs = self.files.names("var/log/containers");
            logs.iter().filter_map(|log| named_by_log(log)).collect()
        })
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.timed(|files| files.read(path).ok())
    }

    fn timed<T: DeserializeOwned>(
        &self,
        read: impl FnOnce(&HostFiles) -> Option<Vec<u8>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let parsed = read(&self.files).and_then(|text| serde_json::from_slice(&text).ok());
        self.spent.set(self.spent.get() + begun.elapsed());
        parsed
    }
}

fn named(name: &str) -> Names {
    Names {
        name: Some(name.to_owned()),
        ..Names::default()
    }
}

fn named_by_docker(config: DockerConfig) -> Names {
    let image = config.config;
    let labels = image.as_ref().and_then(|image| image.labels.as_ref());
    let label = |name: &str| labels?.get(name).cloned();
    let name = config
        .name
        .map(|name| name.trim_start_matches('/').to_owned());
    Names {
        name: label("io.kubernetes.container.name").or(name),
        pod: label("io.kubernetes.pod.name"),
        namespace: label("io.kubernetes.pod.namespace"),
        is_sandbox: label("io.kubernetes.docker.type").as_deref() == Some("podsandbox"),
        image: image.and_then(|image| image.image),
    }
}

/// Reads the container lists in these directories and returns the names by id.
fn podman_lists(
    storages: &[String],
    read: impl Fn(&str) -> Option<Vec<PodmanContainer>>,
) -> HashMap<String, Names> {
    let lists = storages.iter().flat_map(|storage| {
        ["containers.json", "volatile-containers.json"]
            .map(|list| format!("{storage}/overlay-containers/{list}"))
    });
    let containers = lists.filter_map(|list| read(&list)).flatten();
    let mut known = HashMap::new();
    for (id, names) in containers.map(named_by_podman) {
        known.entry(id).or_insert(names);
    }
    known
}

fn named_by_podman(container: PodmanContainer) -> (String, Names) {
    let PodmanContainer {
        id,
        names,
        metadata,
    } = container;
    let metadata: Option<PodmanMetadata> =
        metadata.and_then(|text| serde_json::from_str(&text).ok());
    let names = Names {
        name: names.and_then(|names| names.into_iter().next()),
        image: metadata.and_then(|metadata| metadata.image),
        ..Names::default()
    };
    (id, names)
}

fn named_by_log(log: &str) -> Option<(String, Names)> {
    let mut parts = log.strip_suffix(".log")?.splitn(3, '_');
    let (pod, namespace) = (parts.next()?, parts.next()?);
    let (name, id) = parts.next()?.rsplit_once('-')?;
    let names = Names {
        name: Some(name.to_owned()),
        pod: Some(pod.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..Names::default()
    };
    Some((id.to_owned(), names))
}
