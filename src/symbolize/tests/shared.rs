// SPDX-License-Identifier: BSD-2-Clause
//! Entries that dwz moved to a file that several images share (`tests/data/image/make`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{check, data, kallsyms, symbolizer};
use crate::spec::{Addr, Ip};
use crate::symbolize::{Level, LineOptions, LineSource, Symbolizer};

/// The build id of `dwz.common`.
const BUILD_ID: &str = "194ddbf397f8a39c23c964eab02f6cbe8b17335e";

fn open(path: &Path) -> LineSource {
    let opened = Symbolizer::prepare(path.to_owned(), &kallsyms("dwarf5"), LineOptions::default());
    opened.unwrap().join().unwrap()
}

fn copy(from: &str, to: &Path) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(data(from), to).unwrap();
    to.to_owned()
}

#[test]
fn what_is_shared_is_read_where_it_is() {
    check("dwz", "dwarf5", 0);
    // The image may be opened through a link from elsewhere.
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("vmlinux");
    symlink(data("dwz"), &link).unwrap();
    assert_eq!(open(&link).problem(), None);
}

#[test]
fn in_debuginfods_cache_it_is_called_by_its_build_id() {
    let cache = tempfile::tempdir().unwrap();
    let image = copy("dwz", &cache.path().join("1234/debuginfo"));
    assert!(open(&image).problem().is_some());
    copy("dwz.common", &cache.path().join(BUILD_ID).join("debuginfo"));
    assert_eq!(open(&image).problem(), None);
}

#[test]
fn without_it_lines_are_there_and_what_is_missing_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let image = copy("dwz", &directory.path().join("vmlinux"));
    let told = |path: &Path| open(path).problem().unwrap().to_owned();
    assert!(told(&image).contains(BUILD_ID));
    // Another file with that name is rejected.
    for other in ["dwarf4", "make"] {
        copy(other, &directory.path().join("dwz.common"));
        assert!(told(&image).contains("`dwz.common`"));
    }
    let symbolizer = symbolizer(&image, &kallsyms("dwarf5"), Level::Inlines);
    let frame = symbolizer.frame(Ip::exact(Addr(0xffff_ffff_8100_0039)));
    let source = frame.source.as_ref().unwrap();
    assert_eq!((&*source.path, source.line), ("kernel/main.c", 18));
}
