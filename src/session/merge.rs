// SPDX-License-Identifier: BSD-2-Clause
//! The chain and the kernel's stack, merged into rows.
//!
//! Both run from the entry function inwards, so the traced calls are found in the stack in
//! order, by address range: names are ambiguous and recursion repeats them. A traced call that
//! the stack does not have (a tail call, or the culprit, which has returned when the stack is
//! taken) gets a row of its own where it belongs.

use super::types::{Call, ChainLink, StackRow};
use crate::select::TracedFunction;
use crate::spec::Addr;

/// What an address of a kernel stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrRole {
    /// The kernel's code.
    Code,
    /// Ours: a trampoline, a BPF program, the probe machinery.
    Tracer,
    /// A BPF program that does not say whose it is, such as a part of one of ours.
    Program,
    /// Where an interrupt or exception enters: the frame outside it was interrupted, its address
    /// is exact.
    Interrupt,
}

/// A trampoline's call stands this near to its function's start: the patched call is five bytes
/// long and comes after at most a four-byte `endbr64`.
const PATCHED_CALL_END: u64 = 16;

/// Merges; `addrs` are innermost first as the kernel gives them.
pub(super) fn merge(
    chain: &[ChainLink],
    calls: &[Call],
    functions: &[TracedFunction],
    addrs: &[Addr],
    role: &dyn Fn(Addr) -> AddrRole,
) -> Vec<StackRow> {
    let traced: Vec<&TracedFunction> = chain
        .iter()
        .map(|link| &functions[calls[link.call].func.index()])
        .collect();
    if addrs.is_empty() {
        return without_stack(chain, calls, &traced);
    }
    let mut rows = rows(addrs, chain.len(), role);
    mark_trampoline_calls(&mut rows, &traced);
    let sites: Vec<Option<Addr>> = chain
        .iter()
        .map(|link| calls[link.call].call_site)
        .collect();
    place(&mut rows, &traced, &sites);
    rows
}

/// A row for each address, outermost first, with room for those of links that the stack lacks.
fn rows(addrs: &[Addr], n_links: usize, role: &dyn Fn(Addr) -> AddrRole) -> Vec<StackRow> {
    let roles: Vec<AddrRole> = addrs.iter().map(|addr| role(*addr)).collect();
    // What our program called to take the stack.
    let n_parts = roles
        .iter()
        .position(|role| *role != AddrRole::Program)
        .filter(|outside| roles[*outside] == AddrRole::Tracer)
        .unwrap_or_default();
    let mut interrupted = false;
    let mut rows = Vec::with_capacity(addrs.len() + n_links);
    for (index, (addr, role)) in addrs.iter().zip(roles).enumerate() {
        rows.push(StackRow {
            addr: Some(*addr),
            is_return: !interrupted,
            link: None,
            is_tracer: role == AddrRole::Tracer || index < n_parts,
        });
        interrupted = role == AddrRole::Interrupt;
    }
    rows.reverse();
    rows
}

/// Under fentry/fexit a traced function stands twice in the stack: where it called its
/// trampoline, and where the trampoline called its body. The first says nothing.
fn mark_trampoline_calls(rows: &mut [StackRow], traced: &[&TracedFunction]) {
    for index in 0..rows.len() {
        let Some(addr) = rows[index].addr else {
            continue;
        };
        let at_start = |function: &&&TracedFunction| {
            let offset = addr.0.wrapping_sub(function.addr.0);
            offset <= PATCHED_CALL_END
        };
        if rows[index].is_tracer || !rows.get(index + 1).is_some_and(|row| row.is_tracer) {
            continue;
        }
        let Some(function) = traced.iter().find(at_start) else {
            continue;
        };
        let body = rows[index + 1..].iter().find(|row| !row.is_tracer);
        let has_body =
            body.is_some_and(|row| row.addr.is_some_and(|addr| contains(function, addr)));
        if has_body {
            rows[index].is_tracer = true;
        } else {
            rows[index].is_return = false; // the culprit, at its first instruction
        }
    }
}

/// Gives every chain link its row, adding rows for links that the stack does not have. `sites` are
/// the return addresses of their calls, where these are known.
fn place(rows: &mut Vec<StackRow>, traced: &[&TracedFunction], sites: &[Option<Addr>]) {
    let mut start = 0;
    let mut links_without_row: Vec<usize> = Vec::new();
    for (link, function) in traced.iter().enumerate() {
        let found = (start..rows.len()).find(|index| {
            let row = &rows[*index];
            !row.is_tracer && row.addr.is_some_and(|addr| contains(function, addr))
        });
        let Some(found) = found else {
            // A function that jumped to another one has left its return address to that one.
            let caller = (start..rows.len())
                .find(|index| !rows[*index].is_tracer && rows[*index].addr == sites[link]);
            match caller.filter(|_| links_without_row.is_empty() && sites[link].is_some()) {
                Some(caller) => {
                    rows.insert(caller + 1, row_without_addr(link));
                    start = caller + 2;
                }
                None => links_without_row.push(link),
            }
            continue;
        };
        rows[found].link = Some(link);
        let n_links_without_row = links_without_row.len();
        for (offset, link) in links_without_row.drain(..).enumerate() {
            rows.insert(found + offset, row_without_addr(link));
        }
        start = found + n_links_without_row + 1;
    }
    let code_end = rows
        .iter()
        .rposition(|row| !row.is_tracer)
        .map_or(0, |index| index + 1);
    let end = code_end.max(start);
    for (offset, link) in links_without_row.into_iter().enumerate() {
        rows.insert((end + offset).min(rows.len()), row_without_addr(link));
    }
}

/// No stack: the calls' own return addresses say where in its caller each was made.
fn without_stack(chain: &[ChainLink], calls: &[Call], traced: &[&TracedFunction]) -> Vec<StackRow> {
    let mut rows = Vec::new();
    for (link, function) in traced.iter().enumerate() {
        let site = chain
            .get(link + 1)
            .and_then(|callee| calls[callee.call].call_site);
        let in_function = site.filter(|site| contains(function, *site));
        rows.push(StackRow {
            addr: in_function,
            ..row_without_addr(link)
        });
        if let (Some(site), None) = (site, in_function) {
            // Called from something between the two that is not traced.
            rows.push(StackRow {
                addr: Some(site),
                is_return: true,
                link: None,
                is_tracer: false,
            });
        }
    }
    rows
}

fn row_without_addr(link: usize) -> StackRow {
    StackRow {
        addr: None,
        is_return: true,
        link: Some(link),
        is_tracer: false,
    }
}

/// Whether a return address lies in a function: one past its last byte still does, where a
/// function ends with a call that does not return.
fn contains(function: &TracedFunction, addr: Addr) -> bool {
    addr.0 > function.addr.0 && addr.0 - function.addr.0 <= function.size
        || addr.0 == function.addr.0
}
