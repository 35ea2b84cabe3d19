// SPDX-License-Identifier: BSD-2-Clause
//! `--on-load`: arms functions of modules before the modules are loaded.

use std::sync::Arc;

use anyhow::Result;

use crate::config::{GlobOrigin, GlobUse, Globs, OnLoadModules, Role};
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::absent::{AbsentModule, NotAbsent};
use crate::kernel::facts::KernelFiles;
use crate::kernel::kallsyms::Kallsyms;
use crate::session::Placement;
use crate::spec::Addr;

/// A symbol whose address is in the kernel's text.
const TEXT_SYMBOL: &str = "_stext";

/// Reads the files of the modules that `--on-load` names.
pub(crate) fn find(
    on_load: &OnLoadModules,
    files: &KernelFiles,
    diag: &Diag,
) -> Result<Arc<[AbsentModule]>> {
    if on_load.modules.is_empty() {
        return Ok(Arc::default());
    }
    check_tracefs(files)?;
    let release = files.release()?;
    let mut modules: Vec<AbsentModule> = Vec::new();
    for (number, what) in (0..).zip(&on_load.modules) {
        let module = AbsentModule::find(files, &release, what, number).map_err(explain)?;
        if modules.iter().any(|known| known.name == module.name) {
            continue;
        }
        diag.info(
            1,
            format!(
                "module `{}`: {} symbols of functions in `{}`",
                module.name,
                module.functions.len(),
                module.path.display()
            ),
        );
        modules.push(module);
    }
    Ok(modules.into())
}

fn check_tracefs(files: &KernelFiles) -> Result<()> {
    let Some(tracefs) = files.tracefs_directory() else {
        return Err(Failure::hinted(
            "functions of modules that are not loaded yet are armed through tracefs, which is not mounted",
            "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`",
        ));
    };
    if tracefs.join("kprobe_events").exists() {
        return Ok(());
    }
    Err(Failure::hinted(
        "this kernel cannot arm functions of modules that are not loaded yet: `kprobe_events` is absent",
        "it is built without `CONFIG_KPROBE_EVENTS`; load the module first, and trace it without --on-load",
    ))
}

fn explain(problem: NotAbsent) -> anyhow::Error {
    let hint = match &problem {
        NotAbsent::Loaded(name) => format!(
            "`-a '* [{name}]'` without --on-load traces it as it is; to see its start, unload it \
             first: `modprobe -r {name}`"
        ),
        NotAbsent::BuiltIn(_) => {
            "its functions are the kernel's: name them with -e and -a, without --on-load".to_owned()
        }
        NotAbsent::Unknown(..) => {
            "--on-load takes a module's name, or the path of its file with a \
             `/` in it: `--on-load ./mine.ko`"
                .to_owned()
        }
        NotAbsent::Unreadable(..) | NotAbsent::NoModule(_) => {
            "--on-load takes the file that `insmod` would take: `mine.ko`, `mine.ko.xz`, \
             `mine.ko.zst` or `mine.ko.gz`"
                .to_owned()
        }
        NotAbsent::NoFunctions(_) => "it may be stripped; build it with its symbols".to_owned(),
    };
    Failure::hinted(format!("{problem}"), hint)
}

/// Returns the globs with globs added for all functions of the modules.
pub(crate) fn with_modules(
    globs: &Globs,
    on_load: &OnLoadModules,
    modules: &[AbsentModule],
) -> Globs {
    let mut globs = globs.clone();
    for module in modules {
        let name = &module.name;
        globs.add(
            Role::Allow,
            glob(&format!("* [{name}]"), "the module's functions"),
        );
        if on_load.is_whole_job {
            let why = "a driver's, which fails without its module failing";
            globs.add(Role::Entry, glob(&format!("*probe* [{name}]"), why));
        }
    }
    globs
}

fn glob(text: &str, why: &str) -> GlobUse {
    let spec = text
        .parse()
        .expect("a module's name has no letters that mean something in a glob");
    let origin = GlobOrigin::Case {
        name: "on-load".to_owned(),
        why: why.to_owned(),
    };
    GlobUse::new(spec, origin)
}

/// Returns the placement that finds the modules in the kernel's memory once they are loaded.
pub(crate) fn placement(modules: &[AbsentModule], kallsyms: &Kallsyms) -> Placement {
    let sections = modules.iter().flat_map(|module| &module.sections);
    let near = kallsyms
        .named(TEXT_SYMBOL)
        .next()
        .map_or(Addr(0), |text| text.addr);
    Placement::new(sections.map(|section| section.range.clone()), near)
}
