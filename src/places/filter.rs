// SPDX-License-Identifier: BSD-2-Clause
//! Copies a log and adds source lines after each place in code, and inlined functions on lines of
//! their own before it. A line that contains only an address gets a block.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use memchr::{memmem, memrchr};

use super::symbols::{PlaceSymbols, Unplaced};
use crate::config::SymbolizeConfig;
use crate::diag::Diag;
use crate::output::print;
use crate::render::{escape, write_place_json, write_place_rows};
use crate::spec::{Addr, CodePlace, Ip};
use crate::symbolize::{FoundPlace, Frame, find_places};

/// Number of bytes to read at once. Resolving many addresses together is cheaper than one by one.
const READ_SIZE: usize = 1 << 20;

/// Longer lines are cut at this many bytes; logs have no such lines.
const LONGEST_LINE: usize = 1 << 20;

/// A line with more places than this gets no rows of inlined functions. Logs have no such lines,
/// and each row repeats the text before its place.
const MOST_PLACES: usize = 64;

/// Maximum indentation of rows of inlined functions, in columns.
const WIDEST_INDENT: usize = 120;

/// Maximum number of source lines to show for a name that several functions share.
const MOST_NAMESAKES: usize = 8;

/// Output is printed when the buffer has this many bytes.
const PRINT_SIZE: usize = 1 << 16;

/// A place in a line with the addresses that it may denote.
struct Asked {
    found: FoundPlace,
    addrs: Vec<Addr>,
}

struct Filter<'a> {
    known: &'a PlaceSymbols,
    diag: &'a Diag,
    options: &'a SymbolizeConfig,
    /// Whether stdout is a terminal, which control characters must not reach.
    is_terminal: bool,
    n_lines: u64,
    n_placed: u64,
    n_unplaced: u64,
    /// The first symbol without an address, and the reason.
    unplaced: Option<(String, Unplaced)>,
}

/// Copies stdin to stdout and adds the source lines.
pub(crate) fn filter(known: &PlaceSymbols, options: &SymbolizeConfig, diag: &Diag) -> Result<()> {
    let mut filter = Filter {
        known,
        diag,
        options,
        is_terminal: io::stdout().is_terminal(),
        n_lines: 0,
        n_placed: 0,
        n_unplaced: 0,
        unplaced: None,
    };
    let mut input = io::stdin().lock();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; READ_SIZE];
    loop {
        let n_read = match input.read(&mut chunk) {
            Ok(n_read) => n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("failed to read stdin"),
        };
        bytes.extend_from_slice(&chunk[..n_read]);
        let end = match memrchr(b'\n', &bytes) {
            _ if n_read == 0 => bytes.len(),
            Some(last) => last + 1,
            None if bytes.len() >= LONGEST_LINE => bytes.len(),
            None => 0,
        };
        filter.pass(&bytes[..end])?;
        bytes.drain(..end);
        if n_read == 0 {
            break;
        }
    }
    known.complain(diag);
    filter.complain(diag);
    Ok(())
}

impl Filter<'_> {
    fn pass(&mut self, text: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        let lines: Vec<(&[u8], Vec<Asked>)> = text
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| (line, self.asked(line)))
            .collect();
        let asked: Vec<Ip> = lines
            .iter()
            .flat_map(|(_, asked)| asked)
            .flat_map(|asked| {
                let is_return = self.is_return(&asked.found);
                let ip = if is_return { Ip::return_to } else { Ip::exact };
                asked.addrs.iter().copied().map(ip)
            })
            .collect();
        let mut frames = asked.iter().zip(self.known.frames(&asked, self.diag));
        for (line, asked) in &lines {
            self.n_lines += 1;
            let n_addrs = |asked: &Asked| asked.addrs.len();
            let answers: Vec<Vec<(Addr, Arc<Frame>)>> = asked
                .iter()
                .map(|asked| {
                    let taken = frames.by_ref().take(n_addrs(asked));
                    taken.map(|(ip, frame)| (ip.location.addr, frame)).collect()
                })
                .collect();
            if self.options.json {
                for (addr, frame) in answers.iter().flatten() {
                    write_place_json(*addr, frame, Some(self.n_lines), &mut out)?;
                }
            } else {
                self.write(line, asked, &answers, &mut out)?;
            }
            if out.len() >= PRINT_SIZE {
                print(&out)?;
                out.clear();
            }
        }
        print(&out)
    }

    fn is_return(&self, found: &FoundPlace) -> bool {
        // The first byte of a function cannot be a return address.
        let is_start = matches!(&found.place, CodePlace::Symbol(symbol) if symbol.offset == 0);
        found.is_return && !self.options.exact && !is_start
    }

    fn asked(&mut self, line: &[u8]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for found in find_places(line) {
            let addrs = match &found.place {
                // Registers also contain addresses of data, so these are skipped. An address that
                // is alone on a line is always resolved.
                CodePlace::Address(addr) if self.known.is_code(*addr) || is_alone(line, &found) => {
                    vec![*addr]
                }
                CodePlace::Address(_) => continue,
                CodePlace::Symbol(symbol) => match self.known.addresses(symbol) {
                    Ok(addrs) => addrs,
                    Err(why) => {
                        self.n_unplaced += 1;
                        self.unplaced
                            .get_or_insert_with(|| (found.place.to_string(), why));
                        continue;
                    }
                },
            };
            self.n_placed += 1;
            asked.push(Asked { found, addrs });
        }
        asked
    }

    fn write(
        &self,
        line: &[u8],
        asked: &[Asked],
        answers: &[Vec<(Addr, Arc<Frame>)>],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let n_places = asked.len();
        if let ([asked], [answers]) = (asked, answers)
            && is_alone(line, &asked.found)
        {
            self.copy(line, out);
            if !line.ends_with(b"\n") {
                out.push(b'\n');
            }
            return answers
                .iter()
                .try_for_each(|(_, frame)| write_place_rows(frame, out));
        }
        for (asked, answers) in asked.iter().zip(answers) {
            if n_places > MOST_PLACES {
                break;
            }
            // If several functions share the name, it is unknown which inlined functions apply.
            if let [(_, frame)] = &answers[..] {
                for inlined in frame.inlined.iter().rev() {
                    self.copy(&indent(&line[..asked.found.at.start]), out);
                    write!(out, "{}", escape(inlined.function.as_bytes()))?;
                    if let Some(source) = &inlined.source {
                        write!(out, " ({}:{})", escape(source.path.as_bytes()), source.line)?;
                    }
                    writeln!(out, " inlined")?;
                }
            }
        }
        let mut done = 0;
        for (asked, answers) in asked.iter().zip(answers) {
            self.copy(&line[done..asked.found.at.end], out);
            done = asked.found.at.end;
            if let (CodePlace::Address(_), [(_, frame)]) = (&asked.found.place, &answers[..])
                && let Some(symbol) = &frame.symbol
            {
                let name = escape(symbol.name.as_bytes());
                write!(out, " {name}+{:#x}/{:#x}", symbol.offset, symbol.size)?;
            }
            let sources = answers
                .iter()
                .filter_map(|(_, frame)| frame.source.as_ref());
            let sources: Vec<String> = sources
                .take(MOST_NAMESAKES)
                .map(|source| format!("{}:{}", escape(source.path.as_bytes()), source.line))
                .collect();
            if !sources.is_empty() {
                let others = if answers.len() > MOST_NAMESAKES {
                    " or others"
                } else {
                    ""
                };
                write!(out, " ({}{others})", sources.join(" or "))?;
            }
        }
        self.copy(&line[done..], out);
        Ok(())
    }

    /// Copies text unchanged; escapes control characters if it goes to a terminal.
    fn copy(&self, text: &[u8], out: &mut Vec<u8>) {
        if !self.is_terminal {
            out.extend_from_slice(text);
            return;
        }
        for piece in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\t' | b'\\')) {
            match piece.split_last() {
                Some((end @ (b'\n' | b'\t' | b'\\'), rest)) => {
                    out.extend(escape(rest).into_bytes());
                    out.push(*end);
                }
                _ => out.extend(escape(piece).into_bytes()),
            }
        }
    }

    fn complain(&self, diag: &Diag) {
        let Some((place, why)) = &self.unplaced else {
            return;
        };
        let (n_unplaced, n_all) = (self.n_unplaced, self.n_unplaced + self.n_placed);
        diag.warning(format!(
            "{n_unplaced} of {n_all} places are not in the image; the first is `{place}`: {why}"
        ));
        diag.hint(
            "the image must be the one of the kernel that printed the text: -k IMAGE names it",
        );
    }
}

/// Returns true if a line contains only this address.
fn is_alone(line: &[u8], found: &FoundPlace) -> bool {
    matches!(found.place, CodePlace::Address(_))
        && line[..found.at.start].trim_ascii().is_empty()
        && line[found.at.end..].trim_ascii().is_empty()
}

/// Returns the text before rows of inlined functions: the time stamp and blanks, without the rest
/// that describes the place.
fn indent(before: &[u8]) -> Vec<u8> {
    let time_end = memmem::rfind(before, b"] ").map_or(0, |at| at + 2);
    let blank = |byte: &u8| if *byte == b'\t' { b'\t' } else { b' ' };
    let mut indent = before[..time_end].to_vec();
    indent.extend(before[time_end..].iter().map(blank));
    indent.truncate(WIDEST_INDENT);
    indent
}
