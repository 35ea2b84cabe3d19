// SPDX-License-Identifier: BSD-2-Clause
//! Expected texts of tests, stored in files. `UPDATE_GOLDEN=1` rewrites them.

use std::path::PathBuf;
use std::{env, fs};

/// Compares a text with `tests/golden/render/NAME`.
pub(super) fn check_golden(name: &str, actual: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/golden/render").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "`{}` differs (UPDATE_GOLDEN=1 writes it anew)\n--- expected\n{expected}--- actual\n{actual}",
        path.display()
    );
}
