// SPDX-License-Identifier: BSD-2-Clause
//! Expected texts in files: compared, or with `UPDATE_GOLDEN=1` written.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The path of a file of the repository.
pub(super) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Holds `actual` to the text of a file of the repository.
pub(super) fn check(path: &str, actual: &str) {
    let file = repository(path);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        actual == expected,
        "`{path}` differs (UPDATE_GOLDEN=1 writes it anew)\n--- expected\n{expected}--- actual\n\
         {actual}"
    );
}
