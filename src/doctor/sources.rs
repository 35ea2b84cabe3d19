// SPDX-License-Identifier: BSD-2-Clause
//! Checks of the sources of names and source lines, with the places that were searched.

use std::env;
use std::path::Path;

use anyhow::Result;

use crate::kernel::facts::KernelFiles;
use crate::kernel::host_settings::HostSettings;
use crate::kernel::images::{self, ImageProblem, ImageSearch, KernelIdentity};
use crate::render::{Check, CheckSection, CheckState};

pub(crate) fn checks(
    files: &KernelFiles,
    named: Option<&Path>,
    host_settings: &HostSettings,
) -> Result<Vec<Check>> {
    let image = match KernelIdentity::read(&files.path("")) {
        Ok(kernel) => image(&look(files, named, &kernel)),
        Err(error) => dwarf(CheckState::Unknown, error.to_string()),
    };
    Ok(vec![image, kcore(host_settings)])
}

fn look(files: &KernelFiles, named: Option<&Path>, kernel: &KernelIdentity) -> ImageSearch {
    let (root, caches) = (
        files.path(""),
        images::debuginfod_caches(|name| env::var_os(name)),
    );
    let Some(path) = named else {
        return images::find(&root, &caches, kernel);
    };
    images::named(&root, &caches, path, kernel).unwrap_or_else(|problem| ImageSearch {
        image: None,
        problems: vec![problem],
    })
}

fn image(found: &ImageSearch) -> Check {
    match &found.image {
        Some(image) if image.is_verified => {
            dwarf(CheckState::Ok, format!("`{}`", image.file.path.display()))
        }
        Some(image) => dwarf(
            CheckState::Limited,
            format!(
                "`{}`, which has no build id to compare with the kernel's",
                image.file.path.display()
            ),
        ),
        None => {
            let problems: Vec<String> = found.problems.iter().map(words).collect();
            dwarf(CheckState::Missing, problems.join("; "))
        }
    }
}

/// Formats a problem. The searched places are included, because the user needs them.
fn words(problem: &ImageProblem) -> String {
    match problem {
        ImageProblem::NotFound { places, .. } => {
            let places = places.iter().map(|place| format!("`{}`", place.display()));
            format!(
                "none of these is there: {}",
                places.collect::<Vec<_>>().join(", ")
            )
        }
        other => other.to_string(),
    }
}

fn dwarf(state: CheckState, found: String) -> Check {
    Check::new(
        CheckSection::Symbols,
        "dwarf",
        "debug information",
        state,
        found,
    )
    .cost("no source lines and no inlined functions, or wrong ones: names and offsets only")
    .hint("install the kernel's debug package (Debian: `linux-image-$(uname -r)-dbg`), or -k PATH")
}

fn kcore(host_settings: &HostSettings) -> Check {
    let (state, found) = match &host_settings.kcore_problem {
        None => (CheckState::Ok, "readable".to_owned()),
        Some(why) => (CheckState::Limited, why.clone()),
    };
    Check::new(CheckSection::Symbols, "kcore", "/proc/kcore", state, found).cost(
        "slower starts: symbols come from `/proc/kallsyms`, what is traceable from tracefs; \
             and no word on where an error's trail ends",
    )
}
