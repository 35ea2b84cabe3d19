// SPDX-License-Identifier: BSD-2-Clause
//! The map of the places where USDT probes are: what a program must know there
//! (`bpf/include/usdt.bpf.h`).

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::skel::{RetsnoopSkel, types};
use crate::spec::{TracedProbe, TracedSite};

/// `enum usdt_flags`.
const RETURNS: u32 = 1;
const AT_START: u32 = 2;

/// Writes the sites of all probes into the map, in order.
pub(super) fn fill(skel: &RetsnoopSkel<'_>, probes: &[TracedProbe]) -> Result<()> {
    let sites = probes.iter().flat_map(|probe| &probe.sites);
    for (site, number) in sites.zip(0_u32..) {
        let value = bytes(&usdt_site(site));
        skel.maps
            .usdt_sites
            .update(&number.to_ne_bytes(), &value, MapFlags::ANY)
            .context("failed to write the sites of USDT probes")?;
    }
    Ok(())
}

fn usdt_site(site: &TracedSite) -> types::usdt_site {
    let Some(function) = site.function else {
        return types::usdt_site::default();
    };
    let is_at_start = function.offset == site.site.offset;
    types::usdt_site {
        return_offset: function.return_place.offset.cast_unsigned(),
        return_register: function.return_place.register.0.into(),
        flags: RETURNS | if is_at_start { AT_START } else { 0 },
    }
}

/// Returns the bytes of a value of the map.
fn bytes(site: &types::usdt_site) -> Vec<u8> {
    let types::usdt_site {
        return_offset,
        return_register,
        flags,
    } = site;
    let mut bytes = return_offset.to_ne_bytes().to_vec();
    bytes.extend(return_register.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes
}
