// SPDX-License-Identifier: BSD-2-Clause
//! The functions that probes are in: their returns end the sessions that the probes open.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::notes::ProbeSite;
use super::unwinding::{is_on_top, return_places};
use crate::spec::{EnclosingFunction, ReturnPlace};
use crate::user::elf::UserElf;
use crate::user::symbols::{Functions, UserSymbol};

/// What the compiler appends to the name of a function for the part of it that it places elsewhere.
/// That part is not called.
const COLD: &str = ".cold";

/// The functions that sites are in, by the offsets of the sites. A site is missing if it is in no
/// function whose return can be found: the reason is the error.
pub(super) type EnclosingFunctions = BTreeMap<u64, Result<EnclosingFunction, &'static str>>;

/// Finds the functions that the sites are in.
pub(super) fn enclosing_functions<'s>(
    elf: &UserElf<'_>,
    of_file: &Functions,
    sites: impl Iterator<Item = &'s ProbeSite> + Clone,
) -> EnclosingFunctions {
    let names = OnceCell::new();
    let only = |name: &str| {
        let names = names.get_or_init(|| of_file.unique_names());
        names.get(name).copied().flatten()
    };
    let with_symbol: Vec<_> = sites
        .map(|site| (site, callable(of_file, &only, site.site.offset)))
        .collect();
    let begins = |symbol: &UserSymbol| elf.addr_of(symbol.offset);
    let mut addrs = BTreeSet::new();
    for (site, symbol) in &with_symbol {
        addrs.insert(site.addr);
        addrs.extend(symbol.ok().and_then(begins));
    }
    let places = return_places(elf, addrs);
    let function = |site: &ProbeSite, symbol: &UserSymbol| {
        let place = |addr: u64| places.get(&addr).copied();
        let return_place = place(site.addr).ok_or(NO_PLACE)?;
        let at_begin: ReturnPlace = begins(symbol).and_then(place).ok_or(NO_PLACE)?;
        if !is_on_top(at_begin) {
            return Err("it is in a part of a function that is not called");
        }
        Ok(EnclosingFunction {
            offset: symbol.offset,
            return_place,
        })
    };
    let found = with_symbol.into_iter().map(|(site, symbol)| {
        let found = symbol.and_then(|symbol| function(site, symbol));
        (site.site.offset, found)
    });
    found.collect()
}

const NO_PLACE: &str = "there is no unwind information that tells where its function's return \
                        address is";

/// Returns the function that the code at an offset belongs to, if it can be called and its return
/// traced. `only` returns the function with a name, if one alone has it.
fn callable<'f>(
    of_file: &'f Functions,
    only: &dyn Fn(&str) -> Option<&'f UserSymbol>,
    offset: u64,
) -> Result<&'f UserSymbol, &'static str> {
    let enclosing = of_file.enclosing(offset);
    let symbol = enclosing.ok_or("no symbol of a function encloses it")?;
    let symbol = match symbol.name.split_once(COLD) {
        None => symbol,
        Some((name, _)) => only(name).ok_or("it is in a part of a function that is not called")?,
    };
    if of_file.denied.contains_key(&symbol.offset) {
        return Err("its function depends on the return address, which tracing replaces");
    }
    Ok(symbol)
}

impl Functions {
    /// Returns the function whose code is at an offset.
    fn enclosing(&self, offset: u64) -> Option<&UserSymbol> {
        let n_before = self
            .defined
            .partition_point(|symbol| symbol.offset <= offset);
        // Several names have the same offset, and not all of them have a size.
        let start = self.defined[..n_before].last()?.offset;
        let named = self.defined[..n_before].iter().rev();
        named
            .take_while(|symbol| symbol.offset == start)
            .find(|symbol| offset - symbol.offset < symbol.size)
    }

    /// Returns the functions by their names; `None` where several have the same.
    fn unique_names(&self) -> HashMap<&str, Option<&UserSymbol>> {
        let mut names: HashMap<&str, Option<&UserSymbol>> = HashMap::new();
        for symbol in &self.defined {
            let known = names.entry(&symbol.name);
            known
                .and_modify(|known| *known = None)
                .or_insert(Some(symbol));
        }
        names
    }
}
