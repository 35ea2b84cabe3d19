// SPDX-License-Identifier: BSD-2-Clause
//! `symbolize`: resolves addresses, or a log on stdin, to functions, lines and inlined functions.

mod filter;
mod symbols;

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};

use self::symbols::PlaceSymbols;
use crate::config::SymbolizeConfig;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::output::print;
use crate::render::{write_place_json, write_place_rows};
use crate::spec::{CodePlace, Ip};

/// Resolves the places of the command line, or those in stdin if there are none.
pub(crate) fn symbolize(options: &SymbolizeConfig, files: &KernelFiles, diag: &Diag) -> Result<()> {
    let known = PlaceSymbols::open(options, files, diag)?;
    if options.places.is_empty() {
        if io::stdin().is_terminal() {
            diag.note("reading a log from the terminal; Ctrl-D ends it");
        }
        return filter::filter(&known, options, diag);
    }
    let mut asked = Vec::new();
    for place in &options.places {
        asked.extend(asked_for(place, &known, options.exact)?);
    }
    let frames = known.frames(&asked, diag);
    let mut out = Vec::new();
    for (ip, frame) in asked.iter().zip(&frames) {
        if options.json {
            write_place_json(ip.location.addr, frame, None, &mut out)?;
        } else {
            writeln!(out, "{:#x}", ip.location.addr.0)?;
            write_place_rows(frame, &mut out)?;
        }
    }
    known.complain(diag);
    print(&out).context("failed to print")
}

/// Returns what a place of the command line denotes: an address for each function with that name.
fn asked_for(place: &CodePlace, known: &PlaceSymbols, is_exact: bool) -> Result<Vec<Ip>> {
    let symbol = match place {
        CodePlace::Address(addr) => {
            let ip = if is_exact { Ip::exact } else { Ip::return_to };
            return Ok(vec![ip(*addr)]);
        }
        CodePlace::Symbol(symbol) => symbol,
    };
    match known.addresses(symbol) {
        Ok(found) => {
            // The first byte of a function cannot be a return address.
            let is_return = !is_exact && symbol.offset > 0;
            let ip = if is_return { Ip::return_to } else { Ip::exact };
            Ok(found.into_iter().map(ip).collect())
        }
        Err(why) => Err(Failure::hinted(
            format!("`{place}`: {why}"),
            "the image must be the one of the kernel that printed it: -k IMAGE names it",
        )),
    }
}
