// SPDX-License-Identifier: BSD-2-Clause
//! The map of the places where USDT probes are: what a program must know there
//! (`bpf/include/usdt.bpf.h`).

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::skel::{RetsnoopSkel, types};
use crate::spec::{
    ArgumentPlace, MAX_USDT_ARGUMENTS, Register, TracedProbe, TracedSite, UsdtArgument,
};

/// `enum usdt_flags`.
const RETURNS: u32 = 1;
const AT_START: u32 = 2;

/// `enum usdt_kind`.
const UNKNOWN: u8 = 0;
const CONSTANT: u8 = 1;
const REGISTER: u8 = 2;
const MEMORY: u8 = 3;

/// `NO_REGISTER`.
const NO_REGISTER: u8 = 0xff;

/// Writes the sites of all probes into the map, in order.
pub(super) fn fill(skel: &RetsnoopSkel<'_>, probes: &[TracedProbe]) -> Result<()> {
    let sites = probes.iter().flat_map(|probe| {
        let source = probe.source;
        probe.sites.iter().map(move |site| bytes(site, source))
    });
    for (site, number) in sites.zip(0_u32..) {
        skel.maps
            .usdt_sites
            .update(&number.to_ne_bytes(), &site, MapFlags::ANY)
            .context("failed to write the sites of USDT probes")?;
    }
    Ok(())
}

/// Returns the `struct usdt_site` of `usdt.bpf.h`.
fn bytes(site: &TracedSite, source: u32) -> Vec<u8> {
    let (offset, register, flags) = match site.function {
        Some(function) => {
            let is_at_start = function.offset == site.site.offset;
            let flags = RETURNS | if is_at_start { AT_START } else { 0 };
            let place = function.return_place;
            (place.offset, place.register.0, flags)
        }
        None => (0, 0, 0),
    };
    let arguments = site.site.arguments.iter().take(MAX_USDT_ARGUMENTS);
    let n_arguments = arguments.len() as u32;
    let mut bytes = offset.to_ne_bytes().to_vec();
    for number in [register.into(), flags, source, n_arguments] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(arguments.flat_map(argument_bytes));
    bytes.resize(size_of::<types::usdt_site>(), 0);
    bytes
}

/// Returns the `struct usdt_argument`.
fn argument_bytes(argument: &UsdtArgument) -> [u8; 16] {
    let number = |register: Option<Register>| {
        let number = register.and_then(|register| u8::try_from(register.0).ok());
        number.unwrap_or(NO_REGISTER)
    };
    let (kind, displacement, base, index, shift) = match argument.place {
        None => (UNKNOWN, 0, None, None, 0),
        Some(ArgumentPlace::Constant(value)) => (CONSTANT, value, None, None, 0),
        Some(ArgumentPlace::Register(register)) => (REGISTER, 0, Some(register), None, 0),
        Some(ArgumentPlace::Memory {
            base,
            index,
            displacement,
        }) => {
            let shift = index.map_or(0, |(_, shift)| shift);
            (
                MEMORY,
                displacement,
                base,
                index.map(|(index, _)| index),
                shift,
            )
        }
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&displacement.to_ne_bytes());
    let rest = [
        kind,
        argument.size,
        argument.is_signed.into(),
        number(base),
        number(index),
        shift,
    ];
    bytes[8..14].copy_from_slice(&rest);
    bytes
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::{bytes, types};
    use crate::bpf::headers::value_of;
    use crate::spec::{
        ArgumentPlace, EnclosingFunction, MAX_USDT_ARGUMENTS, Register, ReturnPlace, TracedSite,
        UsdtArgument, UsdtSite,
    };

    #[test]
    fn a_site_has_the_layout_that_the_programs_read() {
        assert_eq!(value_of("MAX_USDT_ARGUMENTS"), MAX_USDT_ARGUMENTS as u64);
        let argument = |place| UsdtArgument {
            size: 4,
            is_signed: true,
            place,
        };
        let site = TracedSite {
            site: UsdtSite {
                offset: 64,
                semaphore: None,
                arguments: vec![
                    argument(Some(ArgumentPlace::Constant(-5))),
                    argument(Some(ArgumentPlace::Memory {
                        base: Some(Register(80)),
                        index: Some((Register(96), 2)),
                        displacement: -8,
                    })),
                ],
            },
            function: Some(EnclosingFunction {
                offset: 64,
                return_place: ReturnPlace {
                    register: Register(152),
                    offset: 24,
                },
            }),
        };
        let bytes = bytes(&site, 7);
        assert_eq!(bytes.len(), size_of::<types::usdt_site>());
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(types::usdt_site, return_offset)), 24);
        assert_eq!(word(offset_of!(types::usdt_site, return_register)), 152);
        assert_eq!(word(offset_of!(types::usdt_site, flags)), 3);
        assert_eq!(word(offset_of!(types::usdt_site, source)), 7);
        assert_eq!(word(offset_of!(types::usdt_site, n_arguments)), 2);
        let first = offset_of!(types::usdt_site, arguments);
        assert_eq!(word(first), (-5_i32).cast_unsigned());
        let second = first + size_of::<types::usdt_argument>();
        assert_eq!(word(second), (-8_i32).cast_unsigned());
        let byte = |at: usize| bytes[second + at];
        assert_eq!(byte(offset_of!(types::usdt_argument, kind)), super::MEMORY);
        assert_eq!(byte(offset_of!(types::usdt_argument, size)), 4);
        assert_eq!(byte(offset_of!(types::usdt_argument, is_signed)), 1);
        assert_eq!(byte(offset_of!(types::usdt_argument, base)), 80);
        assert_eq!(byte(offset_of!(types::usdt_argument, index)), 96);
        assert_eq!(byte(offset_of!(types::usdt_argument, shift)), 2);
    }
}
