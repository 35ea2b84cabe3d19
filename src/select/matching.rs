// SPDX-License-Identifier: BSD-2-Clause
//! Matches many globs against many names: which globs does each name match?
//!
//! A run has up to a few hundred globs and a kernel has 70,000 functions. A few globs are searched
//! for in the text of all names. For many globs, each one is represented by three characters. All
//! of these trigrams are searched for at once, and only globs whose trigram occurs in a name are
//! matched against it. The other globs, and names that are looked up one by one, use an index by
//! the first or last byte of a matching name, which skips most globs.

use crate::config::GlobUse;
use crate::kernel::kallsyms::{FoundPart, Kallsyms, Symbol};
use crate::spec::{FunctionName, GlobKind, GlobSpec};

/// Returns the functions that each glob matches, as index in [`Kallsyms`] and number of the glob,
/// ascending.
pub(super) fn matching(globs: &[GlobUse], kallsyms: &Kallsyms) -> Vec<(usize, u16)> {
    let mut found = few_in_text(globs, kallsyms, false)
        .unwrap_or_else(|| matching_of(globs, kallsyms, kallsyms.function_names()));
    found.extend(by_source(globs, kallsyms));
    found.sort_unstable();
    found
}

/// Does the same as [`matching`], for functions of modules only.
pub(super) fn matching_in_modules(globs: &[GlobUse], kallsyms: &Kallsyms) -> Vec<(usize, u16)> {
    let mut found = few_in_text(globs, kallsyms, true)
        .unwrap_or_else(|| matching_of(globs, kallsyms, kallsyms.module_function_names()));
    let in_module = |(index, _): &(usize, u16)| kallsyms.symbol(*index).module.is_some();
    found.extend(by_source(globs, kallsyms).filter(in_module));
    found.sort_unstable();
    found
}

/// Returns the functions of source globs, which contain the functions' addresses.
fn by_source<'a>(
    globs: &'a [GlobUse],
    kallsyms: &'a Kallsyms,
) -> impl Iterator<Item = (usize, u16)> + 'a {
    let all = (0..).zip(globs).flat_map(move |(number, glob)| {
        let functions = glob.functions.iter();
        functions.filter_map(move |addr| Some((kallsyms.starts_at(*addr)?, number)))
    });
    // A source file also lists the cold parts of its functions.
    all.filter(|(index, _)| {
        let symbol = kallsyms.symbol(*index);
        is_function(&symbol) && !symbol.name.contains(".cold")
    })
}

/// Returns the functions that a few globs match. Returns `None` if there are too many globs, or if
/// one has no literal part to search for.
fn few_in_text(
    globs: &[GlobUse],
    kallsyms: &Kallsyms,
    only_modules: bool,
) -> Option<Vec<(usize, u16)>> {
    let (mut parts, mut specs) = (Vec::new(), Vec::new());
    for (number, glob) in (0..).zip(globs) {
        if let GlobKind::Function { name, .. } = glob.spec.kind() {
            let part = name.required_literal();
            let is_rare = part.len() >= 3 && specs.len() < MAX_LITERAL_SEARCHES;
            let is_rare = is_rare && part.bytes().all(|byte| byte.is_ascii_graphic());
            parts.push(is_rare.then_some(part)?);
            specs.push((number, &glob.spec));
        }
    }
    let found = kallsyms.functions_with(&parts, only_modules);
    let matches = found.filter_map(|FoundPart { index, name, part }| {
        let symbol = kallsyms.symbol(index);
        let function = FunctionName::new(name, symbol.module);
        let (number, spec) = specs[usize::from(part)];
        (is_function(&symbol) && spec.matches_function(&function)).then_some((index, number))
    });
    Some(matches.collect())
}

fn matching_of<'k>(
    globs: &[GlobUse],
    kallsyms: &'k Kallsyms,
    names: impl Iterator<Item = (usize, &'k str)>,
) -> Vec<(usize, u16)> {
    let mut letters = Letters::default();
    let mut others = GlobIndex::new(&[]);
    for (number, glob) in (0..).zip(globs) {
        match three_letters(&glob.spec) {
            Some(three) => letters.add(three, number, &glob.spec),
            None => others.add(number, &glob.spec),
        }
    }
    letters
        .globs
        .sort_by_key(|&(three, number, _)| (three, number));
    let mut found = Vec::new();
    let mut possible = Vec::new();
    for (index, name) in names {
        if name.starts_with("__pfx_") {
            continue;
        }
        possible.clear();
        letters.find(name, &mut possible);
        if possible.is_empty() && others.is_empty() {
            continue;
        }
        let symbol = kallsyms.symbol(index);
        if !is_function(&symbol) {
            continue;
        }
        let function = FunctionName::new(symbol.name, symbol.module);
        possible.sort_unstable();
        possible.dedup();
        let first = found.len();
        for &place in &possible {
            let (_, number, spec) = letters.globs[place];
            if spec.matches_function(&function) {
                found.push((index, number));
            }
        }
        found.extend(others.matches(function).map(|number| (index, number)));
        found[first..].sort_unstable();
    }
    found
}

/// Returns three characters that occur in every name that the glob matches; `None` if there are
/// none. Trigrams without underscores are preferred, because underscores occur in nearly every
/// name.
fn three_letters(glob: &GlobSpec) -> Option<u32> {
    let GlobKind::Function { name, .. } = glob.kind() else {
        return None;
    };
    let literal = name.required_literal().as_bytes();
    let all = literal.windows(3);
    let best = all.min_by_key(|three| three.iter().filter(|&&byte| byte == b'_').count())?;
    Some(
        best.iter()
            .fold(0, |word, &byte| word << 8 | u32::from(byte)),
    )
}

/// Maximum number of globs to search for in the text. Searching for more takes as long as matching
/// every name.
const MAX_LITERAL_SEARCHES: usize = 24;

/// Size of the Bloom filter in front of the trigrams, as a power of two in bits.
const FILTER_BITS: u32 = 16;

/// The trigrams of many globs, searched for at once.
struct Letters<'a> {
    /// Trigram, number and glob, in ascending order of trigram.
    globs: Vec<(u32, u16, &'a GlobSpec)>,
    filter: Vec<u64>,
}

impl Default for Letters<'_> {
    fn default() -> Self {
        Self {
            globs: Vec::new(),
            filter: vec![0; 1 << (FILTER_BITS - 6)],
        }
    }
}

impl<'a> Letters<'a> {
    fn add(&mut self, three: u32, number: u16, glob: &'a GlobSpec) {
        let bit = Self::bit(three);
        self.filter[bit / 64] |= 1 << (bit % 64);
        self.globs.push((three, number, glob));
    }

    /// Adds the indexes of the globs whose trigram occurs in `name`. An index may be added twice.
    fn find(&self, name: &str, places: &mut Vec<usize>) {
        let mut three = 0;
        for &byte in name.as_bytes() {
            three = (three << 8 | u32::from(byte)) & 0x00ff_ffff;
            let bit = Self::bit(three);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 1 {
                let first = self.globs.partition_point(|(of_glob, ..)| *of_glob < three);
                let same = self.globs[first..]
                    .iter()
                    .take_while(|(of_glob, ..)| *of_glob == three);
                places.extend(first..first + same.count());
            }
        }
    }

    fn bit(three: u32) -> usize {
        (three.wrapping_mul(0x9e37_79b1) >> (32 - FILTER_BITS)) as usize
    }
}

/// Returns true if a symbol is a function of the kernel or of a module. Excluded are symbols that
/// no code calls by this name: padding before functions, static call trampolines, BPF programs, and
/// the code pages of ftrace and kprobes.
pub(super) fn is_function(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name;
    let module = symbol.module.unwrap_or_default();
    symbol.is_function
        && !["__pfx_", "__cfi_", "__SCT__", "__SCK__"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        && module != "bpf"
        && !module.starts_with("__builtin__")
}

/// Globs of one role, indexed by the first or last byte of matching names.
pub(super) struct GlobIndex<'a> {
    /// The globs in the order of their addition, each with its number.
    globs: Vec<(u16, &'a GlobSpec)>,
    by_first: Vec<Vec<u16>>,
    by_last: Vec<Vec<u16>>,
    rest: Vec<u16>,
}

impl<'a> GlobIndex<'a> {
    pub(super) fn new(uses: &'a [GlobUse]) -> Self {
        let mut index = Self {
            by_first: vec![Vec::new(); 256],
            by_last: vec![Vec::new(); 256],
            rest: Vec::new(),
            globs: Vec::new(),
        };
        for (number, glob) in (0..).zip(uses) {
            index.add(number, &glob.spec);
        }
        index
    }

    fn add(&mut self, number: u16, glob: &'a GlobSpec) {
        let GlobKind::Function { name, .. } = glob.kind() else {
            return;
        };
        let place = self.globs.len() as u16;
        match (name.first_byte(), name.last_byte()) {
            (Some(first), _) => self.by_first[usize::from(first)].push(place),
            (None, Some(last)) => self.by_last[usize::from(last)].push(place),
            (None, None) => self.rest.push(place),
        }
        self.globs.push((number, glob));
    }

    fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Returns the numbers of the globs that match, in no particular order.
    pub(super) fn matches<'b>(
        &'b self,
        function: FunctionName<'b>,
    ) -> impl Iterator<Item = u16> + 'b {
        let (last, base_last) = function.last_bytes();
        let bucket = |buckets: &'b [Vec<u16>], byte: Option<u8>| {
            let bucket = byte.and_then(|byte| buckets.get(usize::from(byte)));
            bucket.map_or(&[][..], Vec::as_slice)
        };
        let possible = bucket(&self.by_first, function.first_byte())
            .iter()
            .chain(bucket(&self.by_last, last))
            .chain(bucket(&self.by_last, base_last))
            .chain(&self.rest)
            .copied();
        possible.filter_map(move |place| {
            let (number, glob) = self.globs[usize::from(place)];
            glob.matches_function(&function).then_some(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{few_in_text, matching_of};
    use crate::config::{GlobOrigin, GlobUse};
    use crate::kernel::kallsyms::Kallsyms;

    #[test]
    fn a_search_of_the_text_finds_what_a_look_at_every_name_does() {
        let kallsyms = Kallsyms::parse(
            b"ffffffff81000ff0 t __pfx_vfs_open\n\
              ffffffff81001000 T vfs_open\n\
              ffffffff81001100 T do_vfs_open_at\n\
              ffffffff81001200 t vfs_open.isra.0\n\
              ffffffff81001300 D vfs_open_data\n\
              ffffffff81001400 T openopen\n\
              ffffffffc0000000 t xfs_open\t[xfs]\n\
              ffffffffc0000100 t reopened\t[vfs_open]\n"
                .to_vec(),
        )
        .unwrap();
        let globs = |texts: &[&str]| -> Vec<GlobUse> {
            let spec = |text: &&str| GlobUse::new(text.parse().unwrap(), GlobOrigin::Option);
            texts.iter().map(spec).collect()
        };
        let asked = globs(&["vfs_open", "*open*", "*open* [xfs]", "xfs_*", "*_open"]);
        for only_modules in [false, true] {
            let mut all = if only_modules {
                matching_of(&asked, &kallsyms, kallsyms.module_function_names())
            } else {
                matching_of(&asked, &kallsyms, kallsyms.function_names())
            };
            all.sort_unstable();
            let mut few = few_in_text(&asked, &kallsyms, only_modules).unwrap();
            few.sort_unstable();
            assert!(few.len() >= 4, "{few:?}");
            assert_eq!(few, all);
        }
        let is_few = |texts: &[&str]| few_in_text(&globs(texts), &kallsyms, false).is_some();
        assert!(is_few(&[]));
        assert!(!is_few(&["vfs_open", "*"]));
        assert!(!is_few(&["?fs_open"]));
        assert!(!is_few(&["vfs_open"; 100]));
    }
}
