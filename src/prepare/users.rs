// SPDX-License-Identifier: BSD-2-Clause
//! Adds the user functions and USDT probes of a run to the selection of kernel functions.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;

use crate::bpf::real_inode;
use crate::config::{Config, GlobUse, Role};
use crate::diag::Diag;
use crate::scope::{Roots, TracedContainer};
use crate::select::Selection;
use crate::spec::{ErrnoPlace, HookId, ObjectId, TracedProbe};
use crate::user::{FileSearch, Surroundings, UserReport, UserSelection, select_user};

/// The user functions and USDT probes of a run, besides their hooks in the selection.
#[derive(Debug, Default)]
pub(crate) struct UserFunctions {
    /// The files; the index is the object id.
    pub(crate) files: Vec<File>,
    /// Where functions that return -1 have their errno.
    pub(crate) errno_places: Vec<(HookId, ErrnoPlace)>,
    /// Identities of the files, in the same order.
    pub(crate) identities: Vec<Vec<u8>>,
    /// The containers in which files were found.
    pub(crate) holders: Vec<(TracedContainer, ObjectId)>,
    /// What is attached to for the USDT probes.
    pub(crate) probes: Vec<TracedProbe>,
    /// Matching functions and probes that are not traced: name, name of the file, reason.
    pub(crate) left_out: Vec<(String, String, String)>,
    /// The result of each glob.
    pub(crate) reports: Vec<UserReport>,
}

/// Where files of user functions are looked for.
#[derive(Debug)]
pub(crate) struct Places {
    search: FileSearch,
    /// The containers of the places; `None` for the host.
    containers: Vec<Option<TracedContainer>>,
    /// Whether files of containers are looked for, now or later.
    is_of_containers: bool,
}

impl Places {
    /// Our own root directory, and what the loader of a command looks at.
    pub(crate) fn of_host(words: Option<&[OsString]>) -> Self {
        let around = words.map_or_else(Surroundings::default, Surroundings::of_command);
        Self {
            search: FileSearch {
                around: vec![around],
                identify: real_inode,
            },
            containers: vec![None],
            is_of_containers: false,
        }
    }

    /// The containers of the scope, if there are any that run, else as [`Self::of_host`].
    pub(crate) fn of_run(config: &Config, diag: &Diag) -> Self {
        let words = config.command.as_ref().map(|command| &*command.words);
        let of_host = || Self::of_host(words);
        if !config.scope.wants_containers() {
            return of_host();
        }
        let Some(roots) = Roots::new(&config.scope) else {
            return of_host();
        };
        let (mut around, mut containers) = (Vec::new(), Vec::new());
        for container in roots.running(&config.scope) {
            for root in roots.open(&container, true, &mut HashSet::new()) {
                around.push(Surroundings::below(root));
                containers.push(Some(container.clone()));
            }
        }
        if around.is_empty() {
            diag.note(
                "none of the containers runs now: names of user functions are read from the files of \
                 the host",
            );
            let mut places = of_host();
            places.is_of_containers = true;
            return places;
        }
        if config.scope.wants_other_groups() {
            around.push(words.map_or_else(Surroundings::default, Surroundings::of_command));
            containers.push(None);
        }
        Self {
            search: FileSearch {
                around,
                identify: real_inode,
            },
            containers,
            is_of_containers: true,
        }
    }
}

/// Selects the user functions and USDT probes, and appends them to the functions of the selection.
pub(crate) fn add(
    selection: &mut Selection,
    globs: &[(Role, GlobUse)],
    places: &Places,
    diag: &Diag,
) -> UserFunctions {
    if globs.is_empty() {
        return UserFunctions::default();
    }
    let first_id = HookId(selection.functions.len() as u32);
    let UserSelection {
        files,
        holders,
        functions,
        errno_places,
        probes,
        left_out,
        reports,
    } = select_user(globs, &places.search, first_id);
    for file in &files {
        diag.info(2, format!("user functions of `{}`", file.path.display()));
    }
    selection.functions.extend(functions);
    diag.phase("selected user functions");
    let (identities, files) = files
        .into_iter()
        .map(|file| (file.identity, file.file))
        .unzip();
    let holders = holders.into_iter().filter_map(|(place, object)| {
        let container = places.containers.get(place)?.as_ref()?;
        Some((container.clone(), object))
    });
    UserFunctions {
        files,
        // Functions of containers that start later have the ids of these, and other places.
        errno_places: match places.is_of_containers {
            true => Vec::new(),
            false => errno_places,
        },
        identities,
        holders: holders.collect(),
        probes,
        left_out,
        reports,
    }
}

impl UserFunctions {
    /// Returns the number of places that have the USDT probes.
    pub(crate) fn n_sites(&self) -> usize {
        self.probes.iter().map(|probe| probe.sites.len()).sum()
    }

    /// Returns why globs matched nothing, not even what is left out with a reason.
    pub(crate) fn whys_of_none(&self) -> impl Iterator<Item = &str> {
        let of_none = self.reports.iter().filter(|report| report.n_left_out == 0);
        of_none.filter_map(|report| report.why_nothing.as_deref())
    }

    /// Returns why globs selected nothing.
    pub(crate) fn whys(&self) -> impl Iterator<Item = &str> {
        self.reports
            .iter()
            .filter_map(|report| report.why_nothing.as_deref())
    }
}
