// SPDX-License-Identifier: BSD-2-Clause
//! The thread that looks for files in containers which start while we trace. A container has its
//! control group before its processes have its root directory, and reading symbols takes too long for
//! the thread that reads sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::bpf::real_inode;
use crate::scope::{Roots, TracedContainer};
use crate::spec::{HookId, UserGlob};
use crate::user::{FileSearch, Surroundings, find_functions};

/// How often a container is looked at until its files are found.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long a container is looked at. Preparing its file systems takes long before that only on a
/// very busy machine.
const MAX_LOOKING: Duration = Duration::from_secs(10);

/// After so long a container counts as one that has the root directory of the host.
const MAX_BEGINNING: Duration = Duration::from_secs(2);

/// Maximum number of containers that are looked at.
const MAX_CONTAINERS: usize = 1024;

/// The functions that are known since the start, by name of their file and their own name.
pub(super) type Templates = HashMap<String, BTreeMap<String, HookId>>;

/// A message to the thread.
pub(super) enum News {
    /// A container has started.
    Started(TracedContainer),
    /// A file with this identity is not probed any more.
    Forgotten(Vec<u8>),
}

/// A message from the thread.
pub(super) enum Found {
    /// A file that is to be probed.
    New {
        container: TracedContainer,
        identity: Vec<u8>,
        /// The file, and its path in the container.
        file: (File, PathBuf),
        /// Functions and their offsets.
        found: Vec<(HookId, u64)>,
        /// Number of functions that match, and that have no id.
        n_unknown: usize,
    },
    /// A container has a file that is probed already.
    Known {
        container: TracedContainer,
        identity: Vec<u8>,
    },
    /// A container does not have a file.
    Failed {
        container: TracedContainer,
        why: String,
    },
}

/// The state of the thread.
pub(super) struct Looking {
    pub(super) roots: Roots,
    pub(super) globs: Vec<UserGlob>,
    pub(super) templates: Templates,
    /// Identities of the files that are probed.
    pub(super) known: HashSet<Vec<u8>>,
    pub(super) n_sought: Arc<AtomicUsize>,
}

/// A container whose files are looked for.
struct Sought {
    container: TracedContainer,
    since: Instant,
    /// Root directories that were looked at.
    seen: HashSet<(u64, u64)>,
    /// Indexes of the globs whose files are still missing, and why.
    missing: BTreeMap<usize, Option<String>>,
}

impl Looking {
    /// Handles messages until the other side is gone.
    pub(super) fn run(mut self, news: &Receiver<News>, found: &Sender<Found>) {
        let mut sought: Vec<Sought> = Vec::new();
        loop {
            let told = if sought.is_empty() {
                news.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                news.recv_timeout(LOOK_INTERVAL)
            };
            match told {
                Ok(News::Started(container)) if sought.len() < MAX_CONTAINERS => {
                    sought.push(Sought::new(container, self.globs.len()));
                }
                Ok(News::Started(container)) => {
                    let why = "too many containers start at once".to_owned();
                    let _ = found.send(Found::Failed { container, why });
                    self.n_sought.fetch_sub(1, Ordering::AcqRel);
                }
                Ok(News::Forgotten(identity)) => {
                    self.known.remove(&identity);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for mut one in mem::take(&mut sought) {
                self.look(&mut one, found);
                if one.missing.is_empty() || one.since.elapsed() >= MAX_LOOKING {
                    one.end(found);
                    self.n_sought.fetch_sub(1, Ordering::AcqRel);
                } else {
                    sought.push(one);
                }
            }
        }
    }

    fn look(&mut self, sought: &mut Sought, found: &Sender<Found>) {
        let has_begun = sought.since.elapsed() >= MAX_BEGINNING;
        let roots = self
            .roots
            .open(&sought.container, has_begun, &mut sought.seen);
        for root in roots {
            let search = FileSearch {
                around: vec![Surroundings::below(root)],
                identify: real_inode,
            };
            let missing: Vec<usize> = sought.missing.keys().copied().collect();
            for number in missing {
                match self.find(number, &search, &sought.container) {
                    Ok(all) => {
                        sought.missing.remove(&number);
                        // The receiver may be gone; this thread then ends soon.
                        all.into_iter().for_each(|it| drop(found.send(it)));
                    }
                    Err(why) => {
                        sought.missing.insert(number, Some(why));
                    }
                }
            }
        }
    }

    /// Looks for the file of a glob. The functions of all globs that name this file are found with it.
    fn find(
        &mut self,
        number: usize,
        search: &FileSearch,
        container: &TracedContainer,
    ) -> Result<Option<Found>, String> {
        let container = container.clone();
        let mut identity = Vec::new();
        let known = &self.known;
        let mut is_known = |of_file: &[u8]| {
            identity = of_file.to_vec();
            known.contains(of_file)
        };
        let Some(functions) = find_functions(&self.globs[number], search, &mut is_known)? else {
            return Ok(Some(Found::Known {
                container,
                identity,
            }));
        };
        let mut all = functions.functions;
        for (other, glob) in self.globs.iter().enumerate() {
            // A file may be named by several globs, in different words.
            let mut is_other = |of_file: &[u8]| of_file != identity;
            if other != number
                && let Ok(Some(more)) = find_functions(glob, search, &mut is_other)
            {
                all.extend(more.functions);
            }
        }
        let file_name = functions.path.file_name().unwrap_or_default();
        let templates = self.templates.get(&*file_name.to_string_lossy());
        let id_of = |name: &str| templates.and_then(|templates| templates.get(name).copied());
        let mut by_offset: BTreeMap<u64, Option<HookId>> = BTreeMap::new();
        for (name, offset) in all {
            let id = by_offset.entry(offset).or_default();
            *id = id.or(id_of(&name));
        }
        let n_unknown = by_offset.values().filter(|id| id.is_none()).count();
        let found: Vec<(HookId, u64)> = by_offset
            .into_iter()
            .filter_map(|(offset, id)| Some((id?, offset)))
            .collect();
        if found.is_empty() {
            return Err(format!(
                "no function of `{}` is traced: no file of this name had one that matches at the \
                 start",
                functions.path.display()
            ));
        }
        self.known.insert(identity.clone());
        Ok(Some(Found::New {
            container,
            identity,
            file: (functions.file, functions.path),
            found,
            n_unknown,
        }))
    }
}

impl Sought {
    fn new(container: TracedContainer, n_globs: usize) -> Self {
        Self {
            container,
            since: Instant::now(),
            seen: HashSet::new(),
            missing: (0..n_globs).map(|number| (number, None)).collect(),
        }
    }

    /// Tells which files it does not have. A container that ended before it had a root directory has
    /// no reasons.
    fn end(self, found: &Sender<Found>) {
        for why in self.missing.into_values().flatten() {
            let container = self.container.clone();
            let _ = found.send(Found::Failed { container, why });
        }
    }
}
