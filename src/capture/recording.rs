// SPDX-License-Identifier: BSD-2-Clause
//! The recording as a value, and its conversion from and to JSON.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Not;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::fate::RecordedFate;
use super::trail::RecordedTrail;
use crate::kernel::kallsyms::Kallsyms;
use crate::select::{TracedFunction, entry_reason};
use crate::spec::{
    Addr, AddressSpace, EntryReason, FilterResult, Hook, HookId, NoteSource, ObjectId, Parameter,
    ResultType,
};
use crate::symbolize::{Inlined, LineAnswer, SourceLine};

/// Version of the format. It is raised if older readers would misinterpret a recording.
const VERSION: u32 = 1;

/// A recorded run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Version of the format.
    pub version: u32,
    /// Release of the kernel.
    pub kernel: String,
    /// Nanoseconds; see `render::Clock`.
    pub realtime_offset_ns: i64,
    /// Seconds; see `render::Clock`.
    pub utc_offset_seconds: i32,
    /// The traced functions that occur, by id.
    pub functions: Vec<RecordedFunction>,
    /// The symbols around the addresses that occur, sorted by address.
    pub symbols: Vec<RecordedSymbol>,
    /// The lines of the addresses that occur.
    pub lines: Vec<RecordedLine>,
    /// The trails of functions that were culprits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trails: Vec<RecordedTrail>,
    /// What the machine code says about the results of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<RecordedFate>,
    /// The sources of notes, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub note_sources: Vec<NoteSource>,
    /// The records of the ring buffer in hexadecimal, in the order of arrival.
    pub records: Vec<String>,
}

/// A traced function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFunction {
    /// Id in the recorded run.
    pub id: u32,
    /// Name of the function.
    pub name: String,
    /// Name of its module; `None` for the kernel itself.
    pub module: Option<String>,
    /// Start address in the recorded run; of a user function, its offset in the file.
    pub addr: u64,
    /// Number of the file that a user function belongs to; `None` for the kernel's functions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<u32>,
    /// Whether it is a USDT probe, not a function.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub usdt: bool,
    /// Size in bytes.
    pub size: u64,
    /// Whether it is an entry function.
    pub entry: bool,
    /// Whether its failure is shown even if its callers succeed.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub request: bool,
    /// The result type, in the `Debug` format of [`ResultType`].
    pub result: String,
    /// The parameters of an entry function whose arguments are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// A symbol of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSymbol {
    /// Start address.
    pub addr: u64,
    /// Name as in kallsyms.
    pub name: String,
    /// Name of its module; `None` for the kernel itself.
    pub module: Option<String>,
}

/// The lines of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedLine {
    /// The address that was symbolized.
    pub addr: u64,
    /// `path:line` in the outermost function; `None` if unknown.
    pub source: Option<String>,
    /// Inlined functions, outermost first.
    pub inlined: Vec<RecordedInline>,
}

/// An inlined function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedInline {
    /// Name of the function.
    pub function: String,
    /// `path:line` in that function; `None` if unknown.
    pub source: Option<String>,
}

impl Recording {
    /// Creates an empty recording of the current version. `kernel` is the release.
    #[must_use]
    pub fn new(kernel: String) -> Self {
        Self {
            version: VERSION,
            kernel,
            ..Self::default()
        }
    }

    /// Parses a recording.
    ///
    /// # Errors
    ///
    /// When the text is not a recording of this version.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let recording: Self =
            serde_json::from_slice(text).context("failed to read the recording")?;
        if recording.version != VERSION {
            bail!(
                "the recording is of version {}, not {VERSION}",
                recording.version
            );
        }
        Ok(recording)
    }

    /// Serializes the recording.
    ///
    /// # Errors
    ///
    /// Never in practice, because all keys are strings.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("failed to write the recording")
    }

    /// Appends a record of the ring buffer.
    pub fn push_record(&mut self, bytes: &[u8]) {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _infallible = write!(text, "{byte:02x}");
        }
        self.records.push(text);
    }

    /// Decodes the records.
    ///
    /// # Errors
    ///
    /// When one is not hexadecimal.
    pub fn records(&self) -> Result<Vec<Vec<u8>>> {
        self.records.iter().map(|text| from_hex(text)).collect()
    }

    /// The traced functions, indexed by id. Ids that do not occur have an unnamed function.
    ///
    /// # Errors
    ///
    /// When a result type is unknown, or when an id is 2^20 or more.
    pub fn functions(&self) -> Result<Vec<TracedFunction>> {
        const MAX: u32 = 1 << 20;
        let mut functions: Vec<TracedFunction> = Vec::new();
        for recorded in &self.functions {
            if recorded.id >= MAX {
                bail!("function id {} is too large", recorded.id);
            }
            while functions.len() <= recorded.id as usize {
                functions.push(unused(functions.len() as u32));
            }
            functions[recorded.id as usize] = recorded.function()?;
        }
        Ok(functions)
    }

    /// The symbols; all are functions.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn kallsyms(&self) -> Result<Kallsyms> {
        let mut text = String::new();
        for RecordedSymbol { addr, name, module } in &self.symbols {
            let module = module.as_ref().map(|module| format!("\t[{module}]"));
            let _infallible = writeln!(text, "{addr:016x} T {name}{}", module.unwrap_or_default());
        }
        Kallsyms::parse(text.into_bytes())
    }

    /// The lines, by address.
    #[must_use]
    pub fn answers(&self) -> HashMap<Addr, LineAnswer> {
        self.lines
            .iter()
            .map(|line| (Addr(line.addr), line.answer()))
            .collect()
    }
}

impl RecordedFunction {
    /// Converts a traced function.
    #[must_use]
    pub fn of(function: &TracedFunction) -> Self {
        Self {
            id: function.id.0,
            name: function.name.clone(),
            module: function.module.clone(),
            addr: function.addr().0,
            object: match function.hook.location().space {
                AddressSpace::Object(object) => Some(object.0),
                _ => None,
            },
            usdt: function.hook.is_usdt(),
            size: function.size,
            entry: function.entry.is_some(),
            request: function.entry == Some(EntryReason::Request),
            result: format!("{:?}", function.result),
            parameters: function.parameters.clone(),
        }
    }

    fn function(&self) -> Result<TracedFunction> {
        let result = result_type(&self.result)?;
        Ok(TracedFunction {
            id: HookId(self.id),
            name: self.name.clone(),
            module: self.module.clone(),
            hook: match self.object.map(ObjectId) {
                Some(object) if self.usdt => Hook::UsdtProbe {
                    object,
                    offset: self.addr,
                },
                Some(object) => Hook::UserFunction {
                    object,
                    offset: self.addr,
                },
                None => Hook::of_symbol(Addr(self.addr)),
            },
            size: self.size,
            entry: self.entry.then(|| match self.object {
                Some(_) if self.usdt => EntryReason::Usdt,
                Some(_) => EntryReason::UserFunction,
                None => entry_reason(&self.name, self.request),
            }),
            result,
            prototype: None,
            parameters: self.parameters.clone(),
        })
    }
}

impl RecordedLine {
    /// Converts the answer about an address.
    #[must_use]
    pub fn of(addr: Addr, source: Option<&SourceLine>, inlined: &[Inlined]) -> Self {
        let text = |source: &SourceLine| format!("{}:{}", source.path, source.line);
        Self {
            addr: addr.0,
            source: source.map(text),
            inlined: inlined
                .iter()
                .map(|inlined| RecordedInline {
                    function: inlined.function.to_string(),
                    source: inlined.source.as_ref().map(text),
                })
                .collect(),
        }
    }

    fn answer(&self) -> LineAnswer {
        LineAnswer {
            source: self.source.as_deref().and_then(source_line),
            inlined: self
                .inlined
                .iter()
                .map(|inlined| Inlined {
                    function: inlined.function.as_str().into(),
                    source: inlined.source.as_deref().and_then(source_line),
                })
                .collect(),
        }
    }
}

const ALL_TYPES: [ResultType; 20] = [
    ResultType::Void,
    ResultType::Bool,
    ResultType::Unsigned(1),
    ResultType::Unsigned(2),
    ResultType::Unsigned(4),
    ResultType::Unsigned(8),
    ResultType::Signed(1),
    ResultType::Signed(2),
    ResultType::Signed(4),
    ResultType::Signed(8),
    ResultType::Pointer,
    ResultType::UlongErrno,
    ResultType::BlkStatus,
    ResultType::VmFault,
    ResultType::Unknown,
    ResultType::MinusOne,
    ResultType::False,
    ResultType::UserInteger,
    ResultType::Filter(FilterResult::MinusOne),
    ResultType::Filter(FilterResult::False),
];

/// Parses the `Debug` format of a result type.
pub(super) fn result_type(text: &str) -> Result<ResultType> {
    let known = ALL_TYPES
        .iter()
        .find(|result| format!("{result:?}") == text);
    known
        .copied()
        .with_context(|| format!("`{text}` is no type of a result"))
}

fn unused(id: u32) -> TracedFunction {
    TracedFunction {
        id: HookId(id),
        name: String::new(),
        module: None,
        hook: Hook::KernelFunction(Addr(0)),
        size: 0,
        entry: None,
        result: ResultType::Unknown,
        prototype: None,
        parameters: Vec::new(),
    }
}

fn source_line(text: &str) -> Option<SourceLine> {
    let (path, line) = text.rsplit_once(':')?;
    Some(SourceLine {
        path: path.into(),
        line: line.parse().ok()?,
    })
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        bail!("a record is not hexadecimal");
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair = str::from_utf8(pair)?;
            u8::from_str_radix(pair, 16).context("a record is not hexadecimal")
        })
        .collect()
}
