// SPDX-License-Identifier: BSD-2-Clause
//! Parses BTF bytes in one pass, and gives access to the types by id.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use rustc_hash::FxHashMap;

use super::by_name::ByName;
use super::bytes::BtfBytes;
use super::format::{BtfKind, RECORD_SIZE, kind_flag, kind_number, read_u32, sections, vlen};
use super::names::NameSet;

/// Maximum length of a name in bytes. Names of the kernel have at most 512 (`KSYM_NAME_LEN`).
const LONGEST_NAME: usize = 4096;

/// Parsed type information of the kernel, or of a module based on the kernel's.
pub struct Btf {
    bytes: BtfBytes,
    /// For a module, the kernel's BTF, whose ids and strings this one continues.
    base: Option<Arc<Self>>,
    /// Offset in `bytes` of the record of type `first_id + index`.
    records: Vec<u32>,
    /// Ids of the functions of this BTF, without its base.
    functions: Vec<u32>,
    by_name: OnceLock<ByName>,
    strings: Range<usize>,
    first_id: u32,
    first_string: u32,
    unknown: Option<Unknown>,
}

/// What is known about types of unknown kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// They were skipped: their number, and the kind of the first one.
    Skipped(usize, u32),
    /// The length of the first one is unknown, so that parsing stopped: its id and kind.
    Ended(u32, u32),
}

/// A function that BTF describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BtfFunction<'a> {
    /// Name of the function.
    pub name: &'a str,
    /// Id of its `FUNC` type.
    pub id: u32,
    /// Whether all functions of this BTF with this name have the same prototype.
    pub unique: bool,
}

/// A type record.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    pub(super) kind: BtfKind,
    pub(super) name_offset: u32,
    /// A size in bytes or the id of another type, depending on the kind.
    pub(super) size_or_type: u32,
    pub(super) flag: bool,
    /// The payload after the record: members, parameters, values.
    pub(super) payload: &'a [u8],
}

impl Btf {
    /// Parses BTF. `base` is the kernel's BTF if the bytes belong to a module.
    ///
    /// # Errors
    ///
    /// When the bytes are not BTF or are truncated, or when parsing of the base stopped early, so
    /// that the ids of these types are not known.
    pub fn parse(bytes: impl Into<BtfBytes>, base: Option<Arc<Self>>) -> Result<Self> {
        let bytes = bytes.into();
        let sections = sections(&bytes)?;
        if u32::try_from(bytes.len()).is_err() {
            bail!("type information of more than 4 GiB");
        }
        if let Some(Unknown::Ended(..)) = base.as_ref().and_then(|base| base.unknown) {
            bail!("the types that it is based on could not be read to their end");
        }
        let first_id = base.as_ref().map_or(1, |base| base.next_id());
        let first_string = base.as_ref().map_or(0, |base| base.next_string());
        let mut records = Vec::with_capacity(sections.types.len() / 20);
        let mut functions = Vec::new();
        let mut unknown = None;
        let mut at = sections.types.start;
        while at < sections.types.end {
            let Some(info) = read_u32(&bytes, at + 4) else {
                bail!("a BTF type record is cut short");
            };
            let id = first_id.saturating_add(records.len() as u32);
            let payload = match BtfKind::of(info) {
                Some(kind) => kind.payload(vlen(info)),
                None => match sections.payload_of_unknown(&bytes, info) {
                    Some(payload) => {
                        let (n_skipped, first) = match unknown {
                            Some(Unknown::Skipped(n_skipped, first)) => (n_skipped, first),
                            _ => (0, kind_number(info)),
                        };
                        unknown = Some(Unknown::Skipped(n_skipped + 1, first));
                        payload
                    }
                    None => {
                        unknown = Some(Unknown::Ended(id, kind_number(info)));
                        break;
                    }
                },
            };
            records.push(at as u32);
            if BtfKind::of(info) == Some(BtfKind::Func) {
                functions.push(id);
            }
            at = at.saturating_add(RECORD_SIZE).saturating_add(payload);
        }
        let is_ended = matches!(unknown, Some(Unknown::Ended(..)));
        if at != sections.types.end && !is_ended {
            bail!("the last BTF type record is cut short");
        }
        let strings = sections.strings;
        Ok(Self {
            bytes,
            base,
            records,
            functions,
            by_name: OnceLock::new(),
            strings,
            first_id,
            first_string,
            unknown,
        })
    }

    /// A message about types of unknown kinds; `None` if there are none.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        Some(match self.unknown? {
            Unknown::Skipped(n_skipped, kind) => format!(
                "{n_skipped} types of this kernel are of kinds that are not known, such as kind {kind}: \
                 they are left out"
            ),
            Unknown::Ended(id, kind) => format!(
                "type {id} of this kernel is of kind {kind}, which is not known, and the kernel does \
                 not say how long it is: types that follow it are left out"
            ),
        })
    }

    /// Whether the types are sorted by name, with nameless ones first. Only the first thousand
    /// names are checked.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        let names = (self.first_id..self.next_id()).map(|id| self.name_bytes(id));
        let named = names.skip_while(|name| name.is_empty());
        named.take(1000).is_sorted()
    }

    /// Number of types, including those of the base.
    #[must_use]
    pub fn type_count(&self) -> usize {
        (self.next_id() - 1) as usize
    }

    /// Iterates over the functions of this BTF without its base, in the order of their ids.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = (u32, &str)> + '_ {
        self.functions.iter().map(|&id| (id, self.name(id)))
    }

    /// Returns all functions by name, for callers with many lookups.
    #[must_use]
    pub fn functions_by_name(&self) -> FxHashMap<&str, BtfFunction<'_>> {
        // Growing the map repeatedly would cost as much as the rest.
        let mut room = FxHashMap::default();
        room.reserve(self.functions.len());
        self.by_name(room, |_| true)
    }

    /// Returns the functions with these names. This takes a fraction of the time of
    /// [`Self::functions_by_name`].
    #[must_use]
    pub fn functions_of_names(&self, names: &NameSet<'_>) -> FxHashMap<&str, BtfFunction<'_>> {
        self.by_name(FxHashMap::default(), |name| {
            names.may_contain(name) && str::from_utf8(name).is_ok_and(|name| names.contains(name))
        })
    }

    fn by_name<'a>(
        &'a self,
        mut by_name: FxHashMap<&'a str, BtfFunction<'a>>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> FxHashMap<&'a str, BtfFunction<'a>> {
        for &id in &self.functions {
            if !wanted(self.name_bytes(id)) {
                continue;
            }
            let name = self.name(id);
            by_name
                .entry(name)
                .and_modify(|function: &mut BtfFunction<'_>| {
                    function.unique &= self.has_same_prototype(function.id, id);
                })
                .or_insert(BtfFunction {
                    name,
                    id,
                    unique: true,
                });
        }
        by_name
    }

    /// Whether two functions with the same name have the same parameters and results. BTF of some
    /// kernels has system calls twice: the real one, and the weak stub for kernels without it.
    fn has_same_prototype(&self, one: u32, other: u32) -> bool {
        let proto = |id| self.typ(id).map(|func| func.size_or_type);
        let name = self.name(one);
        proto(one) == proto(other)
            || (self.shape(one) == self.shape(other)
                && self.result_type(name, one) == self.result_type(name, other))
    }

    /// The name of a type; empty if it has none or does not exist.
    #[must_use]
    pub fn name(&self, id: u32) -> &str {
        let offset = match self.name_offset(id) {
            Some(offset) => Some(offset),
            None => self.typ(id).map(|typ| typ.name_offset),
        };
        offset.map_or("", |offset| self.string(offset))
    }

    /// The ids of the types of this BTF, without its base.
    pub(super) fn own_ids(&self) -> Range<u32> {
        self.first_id..self.next_id()
    }

    pub(super) fn next_id(&self) -> u32 {
        self.first_id.saturating_add(self.records.len() as u32)
    }

    fn next_string(&self) -> u32 {
        self.first_string.saturating_add(self.strings.len() as u32)
    }

    pub(super) fn base(&self) -> Option<&Self> {
        self.base.as_deref()
    }

    /// The string section of this BTF without its base, and the offset of its first byte in type
    /// records.
    pub(super) fn own_strings(&self) -> (&[u8], u32) {
        (
            self.bytes.get(self.strings.clone()).unwrap_or_default(),
            self.first_string,
        )
    }

    /// The name of a type of this BTF, as bytes.
    fn name_bytes(&self, id: u32) -> &[u8] {
        let offset = self.name_offset(id).unwrap_or_default();
        let Some(own) = offset.checked_sub(self.first_string) else {
            return self.string(offset).as_bytes();
        };
        self.own_string(own)
    }

    /// The string at an offset; empty if there is none.
    pub(super) fn string(&self, offset: u32) -> &str {
        let Some(own) = offset.checked_sub(self.first_string) else {
            return self.base().map_or("", |base| base.string(offset));
        };
        str::from_utf8(self.own_string(own)).unwrap_or_default()
    }

    /// The string at an index of this BTF's own section; empty if it is too long for a name. In
    /// malformed BTF a million types may share a name of a hundred megabytes.
    fn own_string(&self, place: u32) -> &[u8] {
        let (strings, _) = self.own_strings();
        let tail = strings.get(place as usize..).unwrap_or_default();
        let tail = tail.get(..LONGEST_NAME).unwrap_or(tail);
        &tail[..memchr::memchr(0, tail).unwrap_or(0)]
    }

    /// The ids of this BTF's own types with a name, in ascending order.
    pub(super) fn ids_named(&self, name: &str) -> impl Iterator<Item = u32> {
        let all = self.first_id..self.next_id();
        let names = || all.map(|id| self.name_bytes(id));
        let by_name = self.by_name.get_or_init(|| ByName::new(names()));
        let possible = by_name.possible(name.as_bytes());
        possible
            .map(|place| self.first_id + place as u32)
            .filter(move |id| self.name_bytes(*id) == name.as_bytes())
    }

    /// String offset of the name of one of this BTF's own types; `None` for other types.
    pub(super) fn name_offset(&self, id: u32) -> Option<u32> {
        let index = id.checked_sub(self.first_id)?;
        read_u32(&self.bytes, *self.records.get(index as usize)? as usize)
    }

    /// The type with an id; `None` for `void` (0), for ids that do not exist, and for unknown
    /// kinds.
    pub(super) fn typ(&self, id: u32) -> Option<Type<'_>> {
        let Some(index) = id.checked_sub(self.first_id) else {
            return self.base()?.typ(id);
        };
        let at = *self.records.get(index as usize)? as usize;
        let info = read_u32(&self.bytes, at + 4)?;
        let kind = BtfKind::of(info)?;
        let payload = at + RECORD_SIZE;
        Some(Type {
            kind,
            name_offset: read_u32(&self.bytes, at)?,
            size_or_type: read_u32(&self.bytes, at + 8)?,
            flag: kind_flag(info),
            payload: self
                .bytes
                .get(payload..payload + kind.payload(vlen(info)))?,
        })
    }
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.records.len())
            .field("functions", &self.functions.len())
            .field("first_id", &self.first_id)
            .finish_non_exhaustive()
    }
}
