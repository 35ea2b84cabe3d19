// SPDX-License-Identifier: BSD-2-Clause
//! The one pass over BTF bytes, and access to the types by id.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};

use super::by_name::ByName;
use super::bytes::BtfBytes;
use super::format::{Kind, RECORD, kind_flag, kind_number, read_u32, sections, vlen};
use super::names::NameSet;

/// In bytes, and more than any has: the kernel's own names end at 512 (`KSYM_NAME_LEN`).
const LONGEST_NAME: usize = 4096;

/// Parsed type information: of the kernel, or of a module on top of the kernel's.
pub struct Btf {
    bytes: BtfBytes,
    /// For module BTF: the kernel's, which ids and strings continue.
    base: Option<Arc<Self>>,
    /// Where the record of type `first_id + index` starts in `bytes`.
    records: Vec<u32>,
    /// Ids of the functions that this BTF (not its base) has.
    functions: Vec<u32>,
    by_name: OnceLock<ByName>,
    strings: Range<usize>,
    first_id: u32,
    first_string: u32,
    unknown: Option<Unknown>,
}

/// Types of kinds that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// So many were skipped, the first of them of this kind.
    Skipped(usize, u32),
    /// What follows the first of them could not be read: its id and kind.
    Ended(u32, u32),
}

/// A function that BTF describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BtfFunction<'a> {
    /// Its name.
    pub name: &'a str,
    /// The id of its `FUNC`.
    pub id: u32,
    /// Whether no other function of the same BTF has this name with another prototype.
    pub unique: bool,
}

/// One type record, read from the bytes.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    pub(super) kind: Kind,
    pub(super) name_offset: u32,
    /// A size in bytes or another type's id, by kind.
    pub(super) size_or_type: u32,
    pub(super) flag: bool,
    /// What follows the record: members, parameters, values.
    pub(super) payload: &'a [u8],
}

impl Btf {
    /// Parses BTF; for a module's, `base` is the kernel's.
    ///
    /// # Errors
    ///
    /// Fails when the bytes are no BTF or are cut short, or when the base's types could not be read
    /// to their end, so that the ids of these are not known.
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
            let payload = match Kind::of(info) {
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
            if Kind::of(info) == Some(Kind::Func) {
                functions.push(id);
            }
            at = at.saturating_add(RECORD).saturating_add(payload);
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

    /// What of the types is not known, for who wants to know everything.
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

    /// Whether its types stand in the order of their names, those without one first: as far as the
    /// first thousand names tell.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        let names = (self.first_id..self.next_id()).map(|id| self.name_bytes(id));
        let named = names.skip_while(|name| name.is_empty());
        named.take(1000).is_sorted()
    }

    /// Number of types, the base's included.
    #[must_use]
    pub fn type_count(&self) -> usize {
        (self.next_id() - 1) as usize
    }

    /// The functions of this BTF, its base's not included, in the order of their ids.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = (u32, &str)> + '_ {
        self.functions.iter().map(|&id| (id, self.name(id)))
    }

    /// All functions by name: for those who ask often.
    #[must_use]
    pub fn functions_by_name(&self) -> HashMap<&str, BtfFunction<'_>> {
        // To make room again and again costs as much as the rest.
        let room = HashMap::with_capacity(self.functions.len());
        self.by_name(room, |_| true)
    }

    /// The functions of these names: a fraction of the time that all of them take.
    #[must_use]
    pub fn functions_of_names(&self, names: &NameSet<'_>) -> HashMap<&str, BtfFunction<'_>> {
        self.by_name(HashMap::new(), |name| {
            names.may_contain(name) && str::from_utf8(name).is_ok_and(|name| names.contains(name))
        })
    }

    fn by_name<'a>(
        &'a self,
        mut by_name: HashMap<&'a str, BtfFunction<'a>>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> HashMap<&'a str, BtfFunction<'a>> {
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

    /// Whether two functions of one name take and return the same. System calls stand twice in
    /// the BTF of some kernels: as they are, and as the weak stub for kernels without them.
    fn has_same_prototype(&self, one: u32, other: u32) -> bool {
        let proto = |id| self.typ(id).map(|func| func.size_or_type);
        let name = self.name(one);
        proto(one) == proto(other)
            || (self.shape(one) == self.shape(other)
                && self.result_type(name, one) == self.result_type(name, other))
    }

    /// The name of a type, empty where it has none or does not exist.
    #[must_use]
    pub fn name(&self, id: u32) -> &str {
        let offset = match self.name_offset(id) {
            Some(offset) => Some(offset),
            None => self.typ(id).map(|typ| typ.name_offset),
        };
        offset.map_or("", |offset| self.string(offset))
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

    /// This BTF's own string bytes, and the offset that the first of them has in type records.
    pub(super) fn own_strings(&self) -> (&[u8], u32) {
        (
            self.bytes.get(self.strings.clone()).unwrap_or_default(),
            self.first_string,
        )
    }

    /// The name of a type of this BTF's own, as bytes.
    fn name_bytes(&self, id: u32) -> &[u8] {
        let offset = self.name_offset(id).unwrap_or_default();
        let Some(own) = offset.checked_sub(self.first_string) else {
            return self.string(offset).as_bytes();
        };
        self.own_string(own)
    }

    /// The string at an offset, empty where there is none.
    pub(super) fn string(&self, offset: u32) -> &str {
        let Some(own) = offset.checked_sub(self.first_string) else {
            return self.base().map_or("", |base| base.string(offset));
        };
        str::from_utf8(self.own_string(own)).unwrap_or_default()
    }

    /// What stands at a place of this BTF's own strings, empty where that is too long for a name:
    /// in hostile BTF a million types may share one of a hundred megabytes.
    fn own_string(&self, place: u32) -> &[u8] {
        let (strings, _) = self.own_strings();
        let tail = strings.get(place as usize..).unwrap_or_default();
        let tail = tail.get(..LONGEST_NAME).unwrap_or(tail);
        &tail[..memchr::memchr(0, tail).unwrap_or(0)]
    }

    /// The ids of this BTF's own types of a name, ascending.
    pub(super) fn ids_named(&self, name: &str) -> impl Iterator<Item = u32> {
        let all = self.first_id..self.next_id();
        let names = || all.map(|id| self.name_bytes(id));
        let by_name = self.by_name.get_or_init(|| ByName::new(names()));
        let possible = by_name.possible(name.as_bytes());
        possible
            .map(|place| self.first_id + place as u32)
            .filter(move |id| self.name_bytes(*id) == name.as_bytes())
    }

    /// Where the name of a type of this BTF's own stands; `None` for others.
    pub(super) fn name_offset(&self, id: u32) -> Option<u32> {
        let index = id.checked_sub(self.first_id)?;
        read_u32(&self.bytes, *self.records.get(index as usize)? as usize)
    }

    /// The type of an id; `None` for `void` (0) and for ids that do not exist.
    pub(super) fn typ(&self, id: u32) -> Option<Type<'_>> {
        let Some(index) = id.checked_sub(self.first_id) else {
            return self.base()?.typ(id);
        };
        let at = *self.records.get(index as usize)? as usize;
        let info = read_u32(&self.bytes, at + 4)?;
        let kind = Kind::of(info)?;
        let payload = at + RECORD;
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
