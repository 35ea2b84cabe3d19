// SPDX-License-Identifier: BSD-2-Clause
//! Merges the chain and the kernel stack into rows.
//!
//! Both run from the entry function inwards. The traced calls are found in the stack in order and
//! by address range, because names are ambiguous and recursion repeats them. A traced call that is
//! not in the stack gets a row of its own at its position in the chain. This happens after a tail
//! call, and for a culprit that has returned when the stack is taken.

use super::types::{Call, ChainLink, StackRow};
use crate::knowledge::arch::PATCHED_CALL_END;
use crate::select::TracedFunction;
use crate::spec::{Addr, EntryReason, Ip};

/// What an address of a kernel stack belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrRole {
    /// Code of the kernel or of a module.
    Code,
    /// Code of the kernel that calls the functions of system calls.
    SyscallEntry,
    /// Our own tracing: a trampoline, a BPF program or the probe machinery.
    Tracer,
    /// A BPF program whose owner is unknown, such as a subprogram of one of ours.
    Program,
    /// The entry code of an interrupt or exception. The next outer frame was interrupted, so its
    /// address is exact and no return address.
    Interrupt,
}

/// Merges the chain with a stack. `addrs` is innermost first, as the kernel delivers it; `roles` are
/// the roles of these addresses. The rows are outermost first.
pub(super) fn merge(
    chain: &[ChainLink],
    calls: &[Call],
    functions: &[TracedFunction],
    addrs: &[Addr],
    roles: &[AddrRole],
) -> Vec<StackRow> {
    let traced: Vec<&TracedFunction> = chain
        .iter()
        .map(|link| &functions[calls[link.call].func.index()])
        .collect();
    if addrs.is_empty() {
        return without_stack(chain, calls, &traced);
    }
    let mut rows = rows(addrs, roles, chain.len());
    mark_trampoline_calls(&mut rows, &traced);
    let sites: Vec<Option<Ip>> = chain
        .iter()
        .map(|link| calls[link.call].call_site.map(Ip::return_to))
        .collect();
    let n_outer = roles
        .iter()
        .rev()
        .take_while(|role| **role == AddrRole::SyscallEntry)
        .count();
    place(&mut rows, &traced, &sites, n_outer);
    rows
}

/// Creates a row for each address, outermost first. Reserves room for the rows of `n_links` links.
fn rows(addrs: &[Addr], roles: &[AddrRole], n_links: usize) -> Vec<StackRow> {
    // The innermost addresses that belong to our own program and its subprograms. A traced function
    // lies between them and programs of others. Symbols may be missing among those of programs that
    // come and go, so some of ours may have names of others.
    let n_parts = roles
        .iter()
        .take_while(|role| matches!(role, AddrRole::Program | AddrRole::Tracer))
        .enumerate()
        .filter(|(_, role)| **role == AddrRole::Tracer)
        .last()
        .map_or(0, |(index, _)| index + 1);
    let mut interrupted = false;
    let mut rows = Vec::with_capacity(addrs.len() + n_links);
    for (index, (addr, role)) in addrs.iter().zip(roles).enumerate() {
        let ip = if interrupted {
            Ip::exact
        } else {
            Ip::return_to
        };
        rows.push(StackRow {
            ip: Some(ip(*addr)),
            link: None,
            is_tracer: *role == AddrRole::Tracer || index < n_parts,
        });
        interrupted = *role == AddrRole::Interrupt;
    }
    rows.reverse();
    rows
}

/// Marks the return addresses of calls to trampolines. Under fentry/fexit a traced function has two
/// addresses in the stack: the call of its trampoline, and the trampoline's call of its body. The
/// first one carries no information.
fn mark_trampoline_calls(rows: &mut [StackRow], traced: &[&TracedFunction]) {
    for index in 0..rows.len() {
        let Some(ip) = rows[index].ip else {
            continue;
        };
        let at_start = |function: &&&TracedFunction| {
            let offset = ip.location.addr.0.wrapping_sub(function.addr().0);
            offset <= PATCHED_CALL_END
        };
        if rows[index].is_tracer || !rows.get(index + 1).is_some_and(|row| row.is_tracer) {
            continue;
        }
        let Some(function) = traced.iter().find(at_start) else {
            continue;
        };
        let body = rows[index + 1..].iter().find(|row| !row.is_tracer);
        if body.is_some_and(|row| is_in(row, function)) {
            rows[index].is_tracer = true;
        } else {
            // The culprit, at its first instruction.
            rows[index].ip = Some(Ip {
                is_return: false,
                ..ip
            });
        }
    }
}

/// Assigns a row to each link of the chain and inserts rows for the links that are not in the
/// stack. `sites` are the return addresses of the links' calls, `None` if unknown. The first `n_outer`
/// rows are of what calls the functions of system calls.
fn place(
    rows: &mut Vec<StackRow>,
    traced: &[&TracedFunction],
    sites: &[Option<Ip>],
    n_outer: usize,
) {
    // User functions are not on the kernel's stack. All of it is below them.
    let n_user = traced
        .iter()
        .take_while(|function| function.hook.is_of_user())
        .count();
    rows.splice(0..0, (0..n_user).map(row_without_ip));
    let mut start = n_user;
    let mut links_without_row: Vec<usize> = Vec::new();
    for (link, function) in traced.iter().enumerate().skip(n_user) {
        let found = (start..rows.len()).find(|index| {
            let row = &rows[*index];
            !row.is_tracer && is_in(row, function)
        });
        let Some(found) = found else {
            if link == 0 && function.entry == Some(EntryReason::SystemCall) && n_outer > 0 {
                // It ended with a tail call.
                rows.insert(n_outer, row_without_ip(link));
                start = n_outer + 1;
                continue;
            }
            // A function that ended with a tail call left its return address to the function it
            // jumped to.
            let caller = (start..rows.len())
                .find(|index| !rows[*index].is_tracer && rows[*index].ip == sites[link]);
            match caller.filter(|_| links_without_row.is_empty() && sites[link].is_some()) {
                Some(caller) => {
                    rows.insert(caller + 1, row_without_ip(link));
                    start = caller + 2;
                }
                None => links_without_row.push(link),
            }
            continue;
        };
        rows[found].link = Some(link);
        let n_links_without_row = links_without_row.len();
        for (offset, link) in links_without_row.drain(..).enumerate() {
            rows.insert(found + offset, row_without_ip(link));
        }
        start = found + n_links_without_row + 1;
    }
    let code_end = rows
        .iter()
        .rposition(|row| !row.is_tracer)
        .map_or(0, |index| index + 1);
    let end = code_end.max(start);
    for (offset, link) in links_without_row.into_iter().enumerate() {
        rows.insert((end + offset).min(rows.len()), row_without_ip(link));
    }
}

/// Builds the rows without a stack, from the return addresses of the calls. Each one shows where in
/// its caller a call was made.
fn without_stack(chain: &[ChainLink], calls: &[Call], traced: &[&TracedFunction]) -> Vec<StackRow> {
    let mut rows = Vec::new();
    for (link, function) in traced.iter().enumerate() {
        let site = chain
            .get(link + 1)
            .and_then(|callee| calls[callee.call].call_site)
            .map(Ip::return_to);
        let in_function = site.filter(|site| function.contains(site.location));
        rows.push(StackRow {
            ip: in_function,
            ..row_without_ip(link)
        });
        if let (Some(site), None) = (site, in_function) {
            // An untraced function between the two made the call.
            rows.push(StackRow {
                ip: Some(site),
                link: None,
                is_tracer: false,
            });
        }
    }
    rows
}

fn row_without_ip(link: usize) -> StackRow {
    StackRow {
        ip: None,
        link: Some(link),
        is_tracer: false,
    }
}

fn is_in(row: &StackRow, function: &TracedFunction) -> bool {
    row.ip.is_some_and(|ip| function.contains(ip.location))
}
