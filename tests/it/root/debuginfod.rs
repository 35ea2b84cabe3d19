// SPDX-License-Identifier: BSD-2-Clause
//! `--debuginfod` for modules: what is missing is fetched before tracing begins, and when
//! `symbolize` first meets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::{Trace, program};
use crate::cli::server::{Reply, Server, response, whole};

/// Where the debug files of modules are, by which no program of these tests shall find them.
const PLACE: &str = "/usr/lib/debug/lib/modules";

fn debug_file(directory: &Path, module: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(&format!("{module}.ko")) {
            return Some(path);
        }
        if let Some(found) = entry
            .file_type()
            .unwrap()
            .is_dir()
            .then(|| debug_file(&path, module))
            .flatten()
        {
            return Some(found);
        }
    }
    None
}

/// The build id, which is the end of the module's note.
fn build_id(module: &str) -> String {
    let note = fs::read(format!("/sys/module/{module}/notes/.note.gnu.build-id")).unwrap();
    note[16..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A server that has the debug information of a module.
fn server_of(module: &str) -> Server {
    let path = format!("GET /buildid/{}/debuginfo ", build_id(module));
    let file = debug_file(Path::new(PLACE), module).unwrap();
    let bytes = whole(&fs::read(file).unwrap());
    Server::start(move |_, request| {
        Reply::End(if request.0[0].starts_with(&path) {
            bytes.clone()
        } else {
            response("404 Not Found", &[], b"")
        })
    })
}

/// How often it was asked for the module's. (Some kernels have their own image in the same place.)
fn n_asked(server: &Server, module: &str) -> usize {
    let id = build_id(module);
    let requests = server.requests();
    let of_module = requests.iter().filter(|request| request.0[0].contains(&id));
    of_module.count()
}

fn without_debug_files(server: &Server, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c"]);
    command.arg(format!("mount -t tmpfs none {PLACE} && exec \"$@\""));
    command.args(["sh", program(&[]).get_program().to_str().unwrap()]);
    command
        .args(arguments)
        .env("DEBUGINFOD_URLS", server.url())
        .env("DEBUGINFOD_CACHE_PATH", cache)
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped());
    command
}

#[test]
fn lines_of_a_module_come_from_a_server_where_that_is_asked_for() {
    let (server, cache) = (server_of("overlay"), tempfile::tempdir().unwrap());
    let symbolize = |options: &[&str]| {
        let arguments = ["symbolize", "--no-cache", "ovl_lookup+0x10 [overlay]"];
        let arguments = [&arguments, options].concat();
        let mut command = without_debug_files(&server, cache.path(), &arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let (text, said) = symbolize(&[]);
    assert!(!text.contains("fs/overlayfs/"), "{text}");
    assert!(
        said.contains("no source lines of module `overlay`"),
        "{said}"
    );
    assert!(
        said.contains("hint: `apt install") || said.contains("hint: install"),
        "{said}"
    );
    assert!(said.contains("or `--debuginfod` fetches it"), "{said}");
    assert!(server.requests().is_empty());
    let (text, said) = symbolize(&["--debuginfod"]);
    assert!(text.contains("ovl_lookup fs/overlayfs/"), "{text}{said}");
    assert_eq!(n_asked(&server, "overlay"), 1);
    // It is in the cache now.
    let (text, _) = symbolize(&[]);
    assert!(text.contains("ovl_lookup fs/overlayfs/"), "{text}");
    assert_eq!(n_asked(&server, "overlay"), 1);
}

#[test]
fn what_will_be_traced_is_fetched_before() {
    let (server, cache) = (server_of("overlay"), tempfile::tempdir().unwrap());
    let arguments = ["-e", "ovl_lookup", "--no-cache", "-v", "--debuginfod"];
    let trace = Trace::spawn(without_debug_files(&server, cache.path(), &arguments)).ready();
    assert_eq!(n_asked(&server, "overlay"), 1);
    assert!(trace.said("debug information in `"));
    let stderr = trace.interrupt().stderr;
    assert!(!stderr.contains("no source lines of module"), "{stderr}");
    let kept = cache.path().join(build_id("overlay")).join("debuginfo");
    assert!(kept.exists());
}
