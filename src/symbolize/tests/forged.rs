// SPDX-License-Identifier: BSD-2-Clause
//! Debug files that were made to harm: files that they name are not opened, and sizes that they
//! claim cost neither memory nor time.

use std::fs;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::forge;
use crate::symbolize::{LineOptions, PendingLines};

#[test]
fn a_debug_file_that_names_a_device_does_not_have_it_opened() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let pipe = elsewhere.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let file = elsewhere.path().join("file");
    fs::write(&file, b"secret").unwrap();
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    for named in [&pipe, &file] {
        watch.add_watch(named, AddWatchFlags::IN_OPEN).unwrap();
        let image = directory.path().join("image");
        fs::write(
            &image,
            forge::shares_with(named.as_os_str().as_encoded_bytes()),
        )
        .unwrap();
        let opened = PendingLines::open_alone(image, None, &LineOptions::default());
        let (lines, _) = opened.unwrap();
        let problem = lines.problem().unwrap();
        assert!(problem.contains("is not opened"), "{problem}");
        assert!(
            watch.read_events().is_err(),
            "{} was opened",
            named.display()
        );
    }
}
