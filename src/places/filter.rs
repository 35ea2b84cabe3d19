// SPDX-License-Identifier: BSD-2-Clause
//! A log → the same log with source lines behind what names a place in code, and inlined functions
//! on lines of their own before it. A line that is an address and nothing else gets a block.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use memchr::{memmem, memrchr};

use super::symbols::{PlaceSymbols, Unplaced};
use crate::config::PlacesOptions;
use crate::diag::Diag;
use crate::output::print;
use crate::render::{escape, write_place_json, write_place_rows};
use crate::spec::{Addr, CodePlace};
use crate::symbolize::{FoundPlace, Frame, find_places};

/// What is read at once: addresses that come together are cheaper than one by one.
const CHUNK: usize = 1 << 20;

/// A line that is longer is cut there: it is no log's.
const LONGEST_LINE: usize = 1 << 20;

/// A line that names more places gets no rows of inlined functions: no log has such lines, and each
/// row repeats what stands before its place.
const MOST_PLACES: usize = 64;

/// Rows of inlined functions are indented by no more columns.
const WIDEST_INDENT: usize = 120;

/// A name that so many functions have tells nothing about the place.
const MOST_NAMESAKES: usize = 8;

/// What is kept before it is printed, in bytes.
const PRINT_AT: usize = 1 << 16;

/// A place of a line with the addresses that it may mean.
struct Asked {
    found: FoundPlace,
    addrs: Vec<Addr>,
}

struct Filter<'a> {
    known: &'a PlaceSymbols,
    diag: &'a Diag,
    options: &'a PlacesOptions,
    /// Whether control characters must not pass.
    is_terminal: bool,
    n_lines: u64,
    n_placed: u64,
    n_unplaced: u64,
    /// The first symbol that is no address, and why.
    unplaced: Option<(String, Unplaced)>,
}

/// Passes stdin through.
pub(crate) fn filter(known: &PlaceSymbols, options: &PlacesOptions, diag: &Diag) -> Result<()> {
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
    let mut chunk = vec![0; CHUNK];
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
        let asked: Vec<(Addr, bool)> = lines
            .iter()
            .flat_map(|(_, asked)| asked)
            .flat_map(|asked| {
                let is_return = self.is_return(&asked.found);
                asked.addrs.iter().map(move |addr| (*addr, is_return))
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
                    taken.map(|((addr, _), frame)| (*addr, frame)).collect()
                })
                .collect();
            if self.options.json {
                for (addr, frame) in answers.iter().flatten() {
                    write_place_json(*addr, frame, Some(self.n_lines), &mut out)?;
                }
            } else {
                self.write(line, asked, &answers, &mut out)?;
            }
            if out.len() >= PRINT_AT {
                print(&out)?;
                out.clear();
            }
        }
        print(&out)
    }

    fn is_return(&self, found: &FoundPlace) -> bool {
        // Nothing returns to the first byte of a function.
        let is_start = matches!(&found.place, CodePlace::Symbol(symbol) if symbol.offset == 0);
        found.is_return && !self.options.exact && !is_start
    }

    fn asked(&mut self, line: &[u8]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for found in find_places(line) {
            let addrs = match &found.place {
                // Registers hold addresses of data, too; who asks for one address gets an answer.
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
            // Which of several namesakes it is, is not known: their inlined functions neither.
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

    /// As it is; without what could steer a terminal, if that is what it goes to.
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

/// Whether a line is this address and nothing else.
fn is_alone(line: &[u8], found: &FoundPlace) -> bool {
    matches!(found.place, CodePlace::Address(_))
        && line[..found.at.start].trim_ascii().is_empty()
        && line[found.at.end..].trim_ascii().is_empty()
}

/// What stands before the rows of inlined functions: the time and the blanks, nothing that says
/// more about the place.
fn indent(before: &[u8]) -> Vec<u8> {
    let time_end = memmem::rfind(before, b"] ").map_or(0, |at| at + 2);
    let blank = |byte: &u8| if *byte == b'\t' { b'\t' } else { b' ' };
    let mut indent = before[..time_end].to_vec();
    indent.extend(before[time_end..].iter().map(blank));
    indent.truncate(WIDEST_INDENT);
    indent
}
