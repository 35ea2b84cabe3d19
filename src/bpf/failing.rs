// SPDX-License-Identifier: BSD-2-Clause
//! The system calls that failed while tracing, counted by the program at `sys_exit`.

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::tracer::Tracer;
use crate::syscalls::Abi;

/// Kinds of failing calls that are counted: a few hundred system calls with a few errnos each.
pub(super) const MAX_CALLS: u32 = 4096;

/// Processes whose last words are held back at the same time; see `told.bpf.h`.
pub(super) const MAX_PROCESSES: u32 = 512;

/// Size of `struct failing_call`, in bytes.
const KEY_SIZE: usize = 8;

/// Equal failing system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailingCalls {
    /// The table of the number.
    pub abi: Abi,
    /// Number of the system call.
    pub number: u32,
    /// The errno, positive.
    pub errno: u16,
    /// How often it failed so.
    pub count: u64,
}

impl Tracer<'_> {
    /// Returns how many writes to standard error, and ends of processes, were not sent: there were
    /// too many, or no room.
    #[must_use]
    pub fn told_left_out(&self) -> u64 {
        let bss = self.loaded.skel.maps.bss_data.as_deref();
        bss.map_or(0, |bss| bss.told_left_out)
    }

    /// Returns the failing system calls so far, and how many found no room.
    ///
    /// # Errors
    /// If the kernel does not let us read the counters.
    pub fn failing_calls(&self) -> Result<(Vec<FailingCalls>, u64)> {
        let skel = &self.loaded.skel;
        let map = &skel.maps.failing_calls;
        let mut all = Vec::new();
        for key in map.keys() {
            let value = map.lookup(&key, MapFlags::ANY);
            let value = value.context("failed to read the failing system calls")?;
            all.extend(value.and_then(|value| calls_of(&key, &value)));
        }
        all.sort_unstable();
        let bss = skel.maps.bss_data.as_deref();
        Ok((all, bss.map_or(0, |bss| bss.failing_calls_lost)))
    }
}

fn calls_of(key: &[u8], value: &[u8]) -> Option<FailingCalls> {
    let key: &[u8; KEY_SIZE] = key.try_into().ok()?;
    let [a, b, c, d, is_compat, _, low, high] = *key;
    Some(FailingCalls {
        abi: if is_compat == 0 {
            Abi::Native
        } else {
            Abi::Compat
        },
        number: u32::from_ne_bytes([a, b, c, d]),
        errno: u16::from_ne_bytes([low, high]),
        count: u64::from_ne_bytes(*value.first_chunk()?),
    })
}
