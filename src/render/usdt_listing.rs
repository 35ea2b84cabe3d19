// SPDX-License-Identifier: BSD-2-Clause
//! Output of `list usdt`: a line or a JSON object for each probe.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;
use crate::spec::{UsdtArgument, UsdtSite};

const SCHEMA: u32 = 1;

/// A USDT probe of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUsdt {
    /// Who has it: a program or a part of it.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Path of its file.
    pub file: String,
    /// The places where it is, each with its arguments as the file has them.
    pub sites: Vec<(UsdtSite, String)>,
}

#[derive(Serialize)]
struct ListedUsdtObject<'a> {
    schema: u32,
    kind: &'static str,
    provider: &'a str,
    name: &'a str,
    file: &'a str,
    semaphore: bool,
    sites: Vec<SiteObject<'a>>,
}

#[derive(Serialize)]
struct SiteObject<'a> {
    offset: u64,
    semaphore_offset: Option<u64>,
    arguments: Vec<ArgumentObject>,
    operands: &'a str,
}

#[derive(Serialize)]
struct ArgumentObject {
    size: u8,
    signed: bool,
    readable: bool,
}

/// Writes the probes as text, one per line.
///
/// # Errors
///
/// When writing fails.
pub fn write_text(probes: &[ListedUsdt], out: &mut dyn Write) -> io::Result<()> {
    for probe in probes {
        let name = |text: &str| escape(text.as_bytes());
        write!(out, "{}:{}", name(&probe.provider), name(&probe.name))?;
        // Nearly always all places have the same arguments.
        let arguments = probe.sites.first().map(|(site, _)| &*site.arguments);
        let arguments: Vec<String> = arguments.unwrap_or_default().iter().map(of_type).collect();
        write!(out, "({}) [{}]", arguments.join(", "), name(&probe.file))?;
        let n_sites = probe.sites.len();
        let plural = if n_sites == 1 { "" } else { "s" };
        write!(out, ": {n_sites} site{plural}")?;
        if probe.has_semaphore() {
            write!(out, ", semaphore")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the probes as JSON, one object per line.
///
/// # Errors
///
/// When writing fails.
pub fn write_json(probes: &[ListedUsdt], mut out: &mut dyn Write) -> io::Result<()> {
    for probe in probes {
        let object = ListedUsdtObject {
            schema: SCHEMA,
            kind: "usdt",
            provider: &probe.provider,
            name: &probe.name,
            file: &probe.file,
            semaphore: probe.has_semaphore(),
            sites: probe.sites.iter().map(site_object).collect(),
        };
        serde_json::to_writer(&mut out, &object)?;
        writeln!(out)?;
    }
    Ok(())
}

impl ListedUsdt {
    fn has_semaphore(&self) -> bool {
        self.sites.iter().any(|(site, _)| site.semaphore.is_some())
    }
}

fn site_object((site, operands): &(UsdtSite, String)) -> SiteObject<'_> {
    SiteObject {
        offset: site.offset,
        semaphore_offset: site.semaphore,
        arguments: site
            .arguments
            .iter()
            .map(|argument| ArgumentObject {
                size: argument.size,
                signed: argument.is_signed,
                readable: argument.place.is_some(),
            })
            .collect(),
        operands,
    }
}

/// Returns the type of an argument, such as `i32`; `?` if its value cannot be read.
fn of_type(argument: &UsdtArgument) -> String {
    let sign = if argument.is_signed { 'i' } else { 'u' };
    match argument.place {
        Some(_) => format!("{sign}{}", 8 * u32::from(argument.size)),
        None => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{ListedUsdt, write_json, write_text};
    use crate::spec::{ArgumentPlace, UsdtArgument, UsdtSite};

    fn probes() -> [ListedUsdt; 2] {
        let argument = |size, is_signed, place| UsdtArgument {
            size,
            is_signed,
            place,
        };
        let five = Some(ArgumentPlace::Constant(5));
        let arguments = vec![
            argument(4, true, five),
            argument(8, false, five),
            argument(8, false, None),
        ];
        let probe = |name: &str, sites| ListedUsdt {
            provider: "app".to_owned(),
            name: name.to_owned(),
            file: "/usr/bin/app".to_owned(),
            sites,
        };
        let site = |offset, semaphore, arguments: &[UsdtArgument]| UsdtSite {
            offset,
            semaphore,
            arguments: arguments.to_vec(),
        };
        [
            probe(
                "start",
                vec![
                    (
                        site(64, Some(512), &arguments),
                        "-4@$5 8@$5 8f@%xmm0".to_owned(),
                    ),
                    (site(96, Some(512), &arguments), String::new()),
                ],
            ),
            probe("\u{1b}done", vec![(site(128, None, &[]), String::new())]),
        ]
    }

    #[test]
    fn a_line_has_types_file_sites_and_semaphore() {
        let mut out = Vec::new();
        write_text(&probes(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "app:start(i32, u64, ?) [/usr/bin/app]: 2 sites, semaphore\n\
             app:\\x1bdone() [/usr/bin/app]: 1 site\n"
        );
    }

    #[test]
    fn an_object_has_every_site() {
        let mut out = Vec::new();
        write_json(&probes(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["kind"], "usdt");
        assert_eq!(first["semaphore"], true);
        assert_eq!(first["sites"][0]["offset"], 64);
        assert_eq!(first["sites"][0]["semaphore_offset"], 512);
        assert_eq!(first["sites"][0]["operands"], "-4@$5 8@$5 8f@%xmm0");
        let arguments = &first["sites"][1]["arguments"];
        assert_eq!(arguments[0]["signed"], true);
        assert_eq!(arguments[2]["readable"], false);
    }
}
