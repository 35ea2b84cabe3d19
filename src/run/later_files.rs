// SPDX-License-Identifier: BSD-2-Clause
//! Files of containers that start while we trace, and of containers that end. A thread (`looking`)
//! looks for the files; this decides what is attached to and when it is let go.
//!
//! Functions keep the ids that they had at the start: what is not known by then cannot be added. So a
//! function of a new file is traced if a file of the same name had it at the start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::attaching;
use super::looking::{Found, Looking, News, Templates};
use crate::bpf::{Sink, Tracer};
use crate::config::{Config, Role};
use crate::diag::Diag;
use crate::prepare::users::UserFunctions;
use crate::scope::{Roots, TracedContainer};
use crate::select::{BackendPolicy, TracedFunction, assign};
use crate::spec::{GlobKind, Hook, HookId, ObjectId, UserGlob, UserObject};

/// How often the thread's results are checked while it is looking.
const RESULT_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Stands for the host among the ids of cgroups. No cgroup has this one.
const HOST: u64 = 0;

/// The probed files of containers.
#[derive(Default)]
pub(crate) struct LaterFiles {
    thread: Option<(Sender<News>, Receiver<Found>)>,
    /// Number of containers that the thread has not finished with.
    n_sought: Arc<AtomicUsize>,
    was_busy: bool,
    /// By identity.
    files: HashMap<Vec<u8>, ProbedFile>,
}

#[derive(Debug)]
struct ProbedFile {
    object: ObjectId,
    /// Ids of the cgroups of the containers that have it.
    containers: HashSet<u64>,
}

impl LaterFiles {
    /// Starts to look, if the scope has containers and functions of their files are traced.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn start(
        config: &Config,
        user: &UserFunctions,
        functions: &[TracedFunction],
    ) -> Result<Self> {
        let mut later = Self::default();
        let globs = globs(config);
        if globs.is_empty() || !config.scope.wants_containers() {
            return Ok(later);
        }
        let Some(roots) = Roots::new(&config.scope) else {
            return Ok(later);
        };
        for (number, identity) in user.identities.iter().enumerate() {
            let object = ObjectId(number as u32);
            let holders = user.holders.iter().filter(|(_, held)| *held == object);
            let mut containers: HashSet<u64> = holders.map(|(it, _)| it.cgroup).collect();
            if containers.is_empty() {
                // A file of the host is never let go of.
                containers.insert(HOST);
            }
            let file = ProbedFile { object, containers };
            later.files.insert(identity.clone(), file);
        }
        let (tell, news) = channel();
        let (found, results) = channel();
        let looking = Looking {
            roots,
            globs,
            templates: templates(functions),
            // Files of the host are probed, too, if they were the ones that were found.
            known: user.identities.iter().cloned().collect(),
            n_sought: Arc::clone(&later.n_sought),
        };
        thread::Builder::new()
            .name("container-files".to_owned())
            .spawn(move || looking.run(&news, &found))
            .context("failed to start a thread")?;
        later.thread = Some((tell, results));
        Ok(later)
    }

    /// Returns when to call [`Self::step`] again; `None` if there is no need to.
    pub(crate) fn due(&self) -> Option<Instant> {
        let is_busy = self.was_busy || self.n_sought.load(Ordering::Acquire) > 0;
        is_busy.then(|| Instant::now() + RESULT_CHECK_INTERVAL)
    }

    /// Looks for the files of a container that has started.
    pub(crate) fn started(&mut self, container: TracedContainer) {
        if let Some((thread, _)) = &self.thread {
            self.n_sought.fetch_add(1, Ordering::AcqRel);
            // It ends when we do.
            let _ = thread.send(News::Started(container));
        }
    }

    /// Lets go of the files that only a container had which has ended.
    pub(crate) fn gone(&mut self, cgroup: u64, tracer: &mut Tracer<'_>, diag: &Diag) {
        let mut is_changed = false;
        for file in self.files.values_mut() {
            is_changed |= file.containers.remove(&cgroup);
        }
        if !is_changed {
            return;
        }
        let gone = self.files.extract_if(|_, file| file.containers.is_empty());
        for (identity, ProbedFile { object, .. }) in gone.collect::<Vec<_>>() {
            tracer.remove_file(object);
            diag.info(
                1,
                "the last container with a probed file has ended: let go of it",
            );
            self.tell_forgotten(identity);
        }
    }

    fn tell_forgotten(&self, identity: Vec<u8>) {
        if let Some((thread, _)) = &self.thread {
            let _ = thread.send(News::Forgotten(identity));
        }
    }

    /// Attaches to the files that were found.
    pub(crate) fn step(
        &mut self,
        tracer: &mut Tracer<'_>,
        sink: &mut dyn Sink,
        functions: &[TracedFunction],
        policy: &BackendPolicy,
        diag: &Diag,
    ) {
        // The order matters: what the thread sends before it has finished is read below.
        self.was_busy = self.n_sought.load(Ordering::Acquire) > 0;
        let found: Vec<Found> = match &self.thread {
            Some((_, found)) => found.try_iter().collect(),
            None => Vec::new(),
        };
        for found in found {
            match found {
                Found::Failed { container, why } => {
                    diag.note(format!("container `{}`: {why}", container.name));
                }
                Found::Known {
                    container,
                    identity,
                } => {
                    if let Some(file) = self.files.get_mut(&identity) {
                        file.containers.insert(container.cgroup);
                    } else {
                        // It was let go of meanwhile: the thread has been told so before this.
                        self.started(container);
                    }
                }
                Found::New {
                    container,
                    identity,
                    file,
                    found,
                    n_unknown,
                } => {
                    let name = &container.name;
                    if n_unknown > 0 {
                        diag.warning(format!(
                            "container `{name}`: {n_unknown} functions of `{}` are not traced: no \
                             file of this name had them at the start",
                            file.1.display()
                        ));
                    }
                    let object = tracer.add_file(file.0);
                    match attach(tracer, sink, (object, &found), (functions, policy), diag) {
                        Ok(n) => {
                            diag.info(
                                1,
                                format!(
                                    "container `{name}`: {n} functions of `{}` are traced from now on",
                                    file.1.display()
                                ),
                            );
                            let containers = HashSet::from([container.cgroup]);
                            let file = ProbedFile { object, containers };
                            self.files.insert(identity, file);
                        }
                        Err(error) => {
                            diag.warning(format!("container `{name}`: {error:#}"));
                            tracer.remove_file(object);
                        }
                    }
                }
            }
        }
    }
}

/// Returns the number of functions that were attached to.
fn attach(
    tracer: &mut Tracer<'_>,
    sink: &mut dyn Sink,
    (object, found): (ObjectId, &[(HookId, u64)]),
    (functions, policy): (&[TracedFunction], &BackendPolicy),
    diag: &Diag,
) -> Result<usize> {
    let at = |(id, offset): &(HookId, u64)| {
        let offset = *offset;
        Some(TracedFunction {
            hook: Hook::UserFunction { object, offset },
            ..functions.get(id.index())?.clone()
        })
    };
    let wanted: Vec<TracedFunction> = found.iter().filter_map(at).collect();
    let assigned = assign(&wanted, policy);
    let attach = |tracer: &mut Tracer<'_>| tracer.attach(&wanted, &assigned, &mut |_, _| true);
    let attached = tracer.beside(sink, attach)??;
    attaching::report(&attached, &wanted, diag);
    Ok(attached.n_functions)
}

/// Returns the globs of functions of files.
fn globs(config: &Config) -> Vec<UserGlob> {
    let (_, of_user) = config.globs.split_user();
    let wanted = of_user.iter().filter(|(role, _)| *role != Role::Deny);
    let of_files = wanted.filter_map(|(_, glob)| match glob.spec.kind() {
        GlobKind::User(user) if matches!(user.object, UserObject::File(_)) => Some(user.clone()),
        _ => None,
    });
    of_files.collect()
}

fn templates(functions: &[TracedFunction]) -> Templates {
    let mut templates = Templates::new();
    for function in functions {
        if let (Some(_), Some(file)) = (function.hook.user_function(), &function.module) {
            let of_file = templates.entry(file.clone()).or_default();
            of_file.insert(function.name.clone(), function.id);
        }
    }
    templates
}
