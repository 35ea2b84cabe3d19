// SPDX-License-Identifier: BSD-2-Clause
//! Attaches links that are for many functions. The kernel accepts all functions of such a link or
//! none, and does not say which one it refuses.
//!
//! A refused batch is halved until the refused functions are alone. This also helps against
//! `ENOMEM`: from 6.7 (4bbd93455659, "kprobes: kretprobe scalability improvement") to 6.11, kernels
//! refuse large batches of kprobe.multi. 6.12 accepts them (aff1871bfc81, "objpool: fix choosing
//! allocation for percpu slots").

use std::io;
use std::os::fd::OwnedFd;

use anyhow::Result;

use super::{Links, Refused};
use crate::select::TracedFunction;

/// The largest number of functions that may be refused one by one. If more are refused, something
/// is wrong with all of them (lockdown, no permission), and the last error is returned.
const MAX_REFUSED: usize = 256;

/// Attaches to a batch of functions, and returns the links. Fails if the kernel refuses the batch.
pub(super) type AttachBatch<'a> = dyn Fn(&[&TracedFunction]) -> io::Result<Vec<OwnedFd>> + 'a;

/// Attaches to all of `functions` that the kernel accepts, and adds the links and the refused
/// functions to `links`.
///
/// Fails with `EPERM` at once, because smaller batches would be forbidden, too.
pub(super) fn attach_all(
    attach: &AttachBatch<'_>,
    functions: &[&TracedFunction],
    links: &mut Links,
) -> Result<()> {
    if functions.is_empty() {
        return Ok(());
    }
    match attach(functions) {
        Ok(new) => {
            links.hold(new, functions);
            return Ok(());
        }
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error.into()),
        Err(error) if functions.len() == 1 => {
            links.refused.push(Refused {
                func: functions[0].id,
                why: error.to_string(),
                is_final: error.raw_os_error() == Some(libc::ENOENT),
            });
            if links.refused.len() > MAX_REFUSED {
                return Err(error.into());
            }
            return Ok(());
        }
        Err(_) => {}
    }
    let (left, right) = functions.split_at(functions.len() / 2);
    attach_all(attach, left, links)?;
    attach_all(attach, right, links)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::{Links, attach_all};
    use crate::select::TracedFunction;
    use crate::spec::{Addr, Hook, HookId, ResultType};

    fn function(id: u32) -> TracedFunction {
        TracedFunction {
            id: HookId(id),
            name: format!("f{id}"),
            module: None,
            hook: Hook::KernelFunction(Addr(u64::from(id))),
            size: 1,
            entry: None,
            result: ResultType::Unknown,
            prototype: None,
            parameters: Vec::new(),
        }
    }

    #[test]
    fn the_refused_ones_are_found_and_the_rest_is_attached() {
        let functions: Vec<_> = (0..1000).map(function).collect();
        let functions: Vec<_> = functions.iter().collect();
        let calls = Cell::new(0);
        let bad = [3, 500, 501, 999];
        let attach = |batch: &[&TracedFunction]| {
            calls.set(calls.get() + 1);
            if batch.iter().any(|function| bad.contains(&function.id.0)) {
                Err(io::Error::from_raw_os_error(libc::EINVAL))
            } else {
                Ok(Vec::new())
            }
        };
        let mut links = Links::default();
        attach_all(&attach, &functions, &mut links).unwrap();
        let refused: Vec<u32> = links.refused.iter().map(|refused| refused.func.0).collect();
        assert_eq!(refused, bad);
        assert_eq!(links.n_attached, 996);
        assert!(calls.get() < 80, "{} attempts", calls.get());
    }

    #[test]
    fn what_is_forbidden_is_not_tried_again() {
        let functions: Vec<_> = (0..8).map(function).collect();
        let functions: Vec<_> = functions.iter().collect();
        let calls = Cell::new(0);
        let attach = |_: &[&TracedFunction]| {
            calls.set(calls.get() + 1);
            Err(io::Error::from_raw_os_error(libc::EPERM))
        };
        attach_all(&attach, &functions, &mut Links::default()).unwrap_err();
        assert_eq!(calls.get(), 1);
    }
}
