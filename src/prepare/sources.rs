// SPDX-License-Identifier: BSD-2-Clause
//! Resolves source globs (`:kernel/bpf/*.c`) to the addresses of the functions that these files
//! define.

use std::fs;

use anyhow::Result;

use crate::config::{GlobUse, Globs};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::module_path;
use crate::kernel::kallsyms::Kallsyms;
use crate::live::lines::{self, ImageChoice};
use crate::spec::{Addr, GlobKind, NameGlob};
use crate::symbolize::{LineSource, ModuleLines, SourceFunctions};

/// Returns the globs with the functions of source globs filled in.
pub(crate) fn resolve(
    globs: &Globs,
    image: &ImageChoice,
    files: &KernelFiles,
    kallsyms: &Kallsyms,
    diag: &Diag,
) -> Result<Globs> {
    let mut globs = globs.clone();
    let all = [&mut globs.entry, &mut globs.allow, &mut globs.deny];
    let mut by_source: Vec<&mut GlobUse> = all
        .into_iter()
        .flatten()
        .filter(|glob| glob.is_source())
        .collect();
    if by_source.is_empty() {
        return Ok(globs);
    }
    let lines = lines::of_functions(image, files, kallsyms, diag)?.join(diag)?;
    let Some(lines) = lines else {
        return Err(Failure::hinted(
            "functions are chosen by source file, and there is no debug information to tell them",
            image.fetching().remedy_of_running(),
        ));
    };
    if lines.is_fgkaslr() {
        return Err(Failure::hinted(
            "the functions of this kernel were moved one by one (FG-KASLR): they cannot be chosen \
             by source file",
            "choose them by name: `-a 'bpf_*'`",
        ));
    }
    let modules = lines::of_modules(files)?;
    for glob in &mut by_source {
        let GlobKind::Source(path) = glob.spec.kind() else {
            continue;
        };
        let found = functions(path, &lines, &modules, files);
        let is_known = |addr: &&u64| kallsyms.starts_at(Addr(**addr)).is_some();
        let n_known = found.addrs.iter().filter(is_known).count();
        diag.info(
            1,
            format!(
                "{glob}: {n_known} functions with code, {} inlined everywhere, {} not in this kernel",
                found.n_inlined,
                found.addrs.len() - n_known,
            ),
        );
        if found.n_damaged > 0 {
            diag.warning(format!(
                "{} compilation units could not be read: functions of {glob} may be missing",
                found.n_damaged
            ));
        }
        glob.functions = found.addrs.into_iter().map(Addr).collect();
    }
    diag.phase("looked for functions by source file");
    Ok(globs)
}

/// Returns the functions that matching files define, in the kernel and in its modules.
fn functions(
    path: &NameGlob,
    lines: &LineSource,
    modules: &ModuleLines,
    files: &KernelFiles,
) -> SourceFunctions {
    let mut found = lines.functions(path);
    for module in modules_below(path, files) {
        let of_module = modules.functions(&module, path);
        found.addrs.extend(of_module.addrs);
        found.n_inlined += of_module.n_inlined;
        found.n_damaged += of_module.n_damaged;
    }
    found
}

/// Returns the loaded modules whose file is in a directory that the path begins with. Reading all
/// modules would take seconds.
fn modules_below(path: &NameGlob, files: &KernelFiles) -> Vec<String> {
    /// Number of leading directories to compare, as in `fs/xfs` and `net/ipv4`. Deeper ones may
    /// belong to a module elsewhere, as in `drivers/gpu/drm/amd`.
    const DEPTH: usize = 2;
    let text = path.text();
    let literal = text.split(['*', '?', '[']).next().unwrap_or_default();
    let mut directories: Vec<&str> = literal.split('/').collect();
    // The part after the last slash belongs to the name of a file or of a directory.
    directories.pop();
    directories.truncate(DEPTH);
    let beginning: String = directories.iter().map(|name| format!("{name}/")).collect();
    let Ok(release) = files.release() else {
        return Vec::new();
    };
    let loaded = fs::read_to_string(files.path("proc/modules")).unwrap_or_default();
    let names = loaded.lines().filter_map(|line| line.split(' ').next());
    let is_below = |name: &&str| {
        let place = module_path(&files.path(""), &release, name);
        let place = place
            .as_deref()
            .and_then(|path| path.strip_prefix("kernel/"));
        place.is_some_and(|place| place.starts_with(&beginning))
    };
    names.filter(is_below).map(str::to_owned).collect()
}
