// SPDX-License-Identifier: BSD-2-Clause
//! `list usdt`: the USDT probes of executables, libraries and processes.

use anyhow::Result;

use crate::config::UsdtConfig;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::output::print;
use crate::render::{ListedUsdt, write_usdt_json, write_usdt_text};
use crate::user::{FileProbes, ListedProbe, ListedSite, list_probes};

/// Writes the list to stdout.
pub(super) fn list(config: &UsdtConfig, diag: &Diag) -> Result<()> {
    let mut listed = Vec::new();
    for object in &config.objects {
        let hint = "`list usdt` takes a path, the name of a library or a program, or a process id";
        let found = list_probes(object).map_err(|why| Failure::hinted(why, hint))?;
        for file in found {
            if file.n_damaged > 0 {
                diag.warning(format!(
                    "`{}` has {} damaged notes of USDT probes, which are left out",
                    file.path.display(),
                    file.n_damaged
                ));
            }
            listed.extend(listed_of(file));
        }
    }
    let mut out = Vec::new();
    if config.json {
        write_usdt_json(&listed, &mut out)?;
    } else {
        write_usdt_text(&listed, &mut out)?;
    }
    print(&out)
}

fn listed_of(file: FileProbes) -> impl Iterator<Item = ListedUsdt> {
    let FileProbes {
        path,
        probes,
        n_damaged: _,
    } = file;
    let path = path.to_string_lossy().into_owned();
    probes.into_iter().map(move |probe| {
        let ListedProbe {
            provider,
            name,
            sites,
        } = probe;
        let site = |ListedSite { site, arguments }| (site, arguments);
        ListedUsdt {
            provider,
            name,
            file: path.clone(),
            sites: sites.into_iter().map(site).collect(),
        }
    })
}
