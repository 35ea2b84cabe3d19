// SPDX-License-Identifier: BSD-2-Clause
//! Settings of the kernel that tests change.

use std::fs;

/// A file of `/proc/sys` with another value until this is dropped.
pub(super) struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    pub(super) fn set(path: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, value).unwrap();
        Self { path, before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // Of a test that fails, this would hide why.
        let written = fs::write(self.path, &self.before);
        assert!(written.is_ok() || std::thread::panicking(), "{written:?}");
    }
}
