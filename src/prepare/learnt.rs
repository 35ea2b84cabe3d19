// SPDX-License-Identifier: BSD-2-Clause
//! Functions that were called too often on this kernel. The governor found them in earlier runs in
//! which the program chose the functions, and such runs leave them out from then on.

use crate::cache::{Cache, user_directory};
use crate::config::{Config, DEFAULT_MAX_RATE, GlobOrigin, GlobUse, Globs};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::KernelIdentity;
use crate::knowledge::deciders::is_common_decider;
use crate::spec::{GlobSpec, base_name};

/// Functions that are kept for a kernel: the last ones.
const MAX_KEPT: usize = 256;

/// What is kept for one kernel.
struct Learnt {
    cache: Cache,
    key: Vec<u8>,
}

impl Learnt {
    /// Returns `None` if this run neither uses nor adds to it, or if there is no cache.
    fn open(config: &Config, files: &KernelFiles) -> Option<Self> {
        if !config.cache || !config.globs.is_broad() {
            return None;
        }
        let build_id = KernelIdentity::read(&files.path("")).ok()?.build_id?;
        Some(Self {
            cache: Cache::open(&user_directory()?).ok()?,
            key: format!("called too often {build_id:?}").into_bytes(),
        })
    }

    fn names(&self) -> Vec<String> {
        let kept = self.cache.get(&self.key).unwrap_or_default();
        serde_json::from_slice(&kept).unwrap_or_default()
    }

    fn add(&self, new: Vec<String>) {
        let mut names = self.names();
        names.retain(|name| !new.contains(name));
        names.extend(new);
        names.drain(..names.len().saturating_sub(MAX_KEPT));
        if let Ok(value) = serde_json::to_vec(&names) {
            // A failure only makes the next run find them out again.
            let _ = self.cache.put(&self.key, &value);
        }
    }
}

/// Returns the settings with the functions left out that were called too often in earlier runs. Those
/// that the user asks for stay.
pub(crate) fn without_learnt(config: &Config, files: &KernelFiles, diag: &Diag) -> Config {
    let mut config = config.clone();
    let names = Learnt::open(&config, files).map(|learnt| learnt.names());
    let names = names.unwrap_or_default();
    if !names.is_empty() {
        diag.note(format!(
            "{} left out that earlier runs found called too often: -v names them, --no-cache tries them \
             again",
            counted(names.len())
        ));
        diag.info(1, format!("  {}", names.join(", ")));
    }
    leave_out(&mut config.globs, &names);
    config
}

fn counted(n_functions: usize) -> String {
    match n_functions {
        1 => "a function is".to_owned(),
        n => format!("{n} functions are"),
    }
}

fn leave_out(globs: &mut Globs, names: &[String]) {
    let known = |globs: &Globs, spec: &GlobSpec| globs.deny.iter().any(|glob| glob.spec == *spec);
    for spec in names.iter().filter_map(|name| name.parse().ok()) {
        if !known(globs, &spec) {
            globs.deny.push(GlobUse::new(spec, GlobOrigin::Learnt));
        }
    }
}

/// Keeps the inner functions that the governor left out, unless the user chose its limits.
pub(crate) fn remember(config: &Config, files: &KernelFiles, left_out: Vec<String>) {
    let limits = &config.limits;
    let is_usual = limits.max_rate == Some(DEFAULT_MAX_RATE) && limits.budget.is_none();
    let lasting = lasting(left_out);
    if !is_usual || lasting.is_empty() {
        return;
    }
    if let Some(learnt) = Learnt::open(config, files) {
        learnt.add(lasting);
    }
}

/// Returns the functions that are not worth trying again. One that often decides is: it was called too
/// often by what ran at that time.
fn lasting(mut left_out: Vec<String>) -> Vec<String> {
    left_out.retain(|name| !is_common_decider(base_name(name)));
    left_out
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::process;

    use super::{Learnt, MAX_KEPT, lasting, leave_out};
    use crate::cache::Cache;
    use crate::config::Globs;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn functions_are_kept_once_and_the_last_ones_of_many() {
        let directory = env::temp_dir().join(format!("retsnoop-learnt-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let learnt = Learnt {
            cache: Cache::open(&directory).unwrap(),
            key: b"a kernel".to_vec(),
        };
        assert_eq!(learnt.names(), names(&[]));
        learnt.add(names(&["hot", "hotter"]));
        learnt.add(names(&["hot"]));
        assert_eq!(learnt.names(), names(&["hotter", "hot"]));
        learnt.add((0..MAX_KEPT).map(|n| format!("f{n}")).collect());
        assert_eq!(learnt.names().len(), MAX_KEPT);
        assert_eq!(learnt.names().last().unwrap(), "f255");
        // What is damaged is nothing.
        learnt.cache.put(&learnt.key, b"[1, 2").unwrap();
        assert_eq!(learnt.names(), names(&[]));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_often_decides_is_tried_again() {
        let left_out = names(&["orc_sort_cmp", "step_into", "copy_strings.isra.0"]);
        assert_eq!(lasting(left_out), names(&["orc_sort_cmp"]));
    }

    #[test]
    fn what_is_left_out_is_denied_once_to_what_the_program_chooses() {
        let mut globs = Globs::default();
        leave_out(
            &mut globs,
            &names(&["hot.isra.0", "hot.isra.0", "no\u{1b}name["]),
        );
        leave_out(&mut globs, &names(&["hot.isra.0"]));
        let [hot] = &globs.deny[..] else {
            panic!("{:?}", globs.deny);
        };
        assert!(hot.is_of_default_case() && !hot.is_users());
        assert_eq!(
            hot.to_string(),
            "`hot.isra.0`, called too often in an earlier run"
        );
    }
}
