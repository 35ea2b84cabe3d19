// SPDX-License-Identifier: BSD-2-Clause
//! When a run ends: a signal, enough sessions, the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Longest wait for records: a signal that arrives just before a wait is noticed after it.
const WAIT: Duration = Duration::from_millis(100);

/// Set by SIGINT, SIGTERM and SIGHUP.
#[derive(Clone, Debug, Default)]
pub(super) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Takes over the signals; the first one asks for a clean end.
    pub(super) fn on_signals() -> Result<Self> {
        let flag = Self::default();
        let raised = flag.clone();
        ctrlc::set_handler(move || raised.raise()).context("failed to handle signals")?;
        Ok(flag)
    }

    fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of a run by the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(duration: Option<Duration>) -> Self {
        Self(duration.and_then(|duration| Instant::now().checked_add(duration)))
    }

    /// How long to wait for records now; `None` when the time is up.
    pub(super) fn wait(self) -> Option<Duration> {
        let Some(end) = self.0 else { return Some(WAIT) };
        let left = end.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(WAIT))
    }
}
