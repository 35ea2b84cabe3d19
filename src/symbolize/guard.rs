// SPDX-License-Identifier: BSD-2-Clause
//! Catches panics of our parsers, so that damaged debug information costs lines and not the run.
//!
//! A parser should never panic. Nothing is caught in tests and in fuzzers. In production the panics
//! are kept and reported at the end, in place of Rust's own message.

use std::cell::Cell;
use std::mem;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

/// Maximum number of messages that are kept.
const MOST_KEPT: usize = 8;

static CAUGHT: Mutex<Caught> = Mutex::new(Caught {
    count: 0,
    places: Vec::new(),
});

thread_local! {
    /// Whether a panic of this thread is caught.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The panics that were caught in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// Number of panics.
    pub count: usize,
    /// Location and message of the first 8 panics.
    pub places: Vec<String>,
}

/// Returns the panics that were caught since the last call, in the whole process.
#[must_use]
pub fn take_caught() -> Caught {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    mem::take(&mut *caught)
}

/// Runs code that reads untrusted bytes; returns `None` if it panicked.
pub(super) fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    if cfg!(any(test, fuzzing)) {
        return Some(read());
    }
    catch(read)
}

fn catch<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_GUARDED.get() {
                keep(info);
            } else {
                default(info);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(read));
    IS_GUARDED.set(outer);
    done.ok()
}

fn keep(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("?");
    let place = info
        .location()
        .map_or_else(String::new, |at| format!("{at}: "));
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    caught.count += 1;
    if caught.places.len() < MOST_KEPT {
        caught.places.push(format!("{place}{what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{catch, take_caught};

    #[test]
    fn a_panic_that_is_caught_is_kept_with_its_place() {
        assert_eq!(catch(|| 7), Some(7));
        assert_eq!(catch(|| -> u8 { panic!("no such unit") }), None);
        let caught = take_caught();
        assert_eq!(caught.count, 1);
        assert!(caught.places[0].contains("guard.rs"), "{caught:?}");
        assert!(caught.places[0].ends_with(": no such unit"), "{caught:?}");
        assert_eq!(take_caught().count, 0);
    }
}
