// SPDX-License-Identifier: BSD-2-Clause
//! Runs the program in a folder of its own, with nothing of the machine around it: no
//! environment, no terminal, no privileges.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

/// The user id that Linux keeps for nobody.
const NOBODY: u32 = 65534;

/// A folder with the files that command lines name, and the program.
pub(super) struct Stage {
    folder: TempDir,
    program: PathBuf,
}

impl Stage {
    /// Files for `@FILE` and `--cases-dir`.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(path, open.clone()).unwrap();
        // Where the build puts it, nobody may be unable to reach it.
        let program = path.join("retsnoop-rs");
        fs::copy(env!("CARGO_BIN_EXE_retsnoop-rs"), &program).unwrap();
        fs::set_permissions(&program, open).unwrap();
        for (name, text) in [
            ("empty", &b"# nothing but a remark\n\n"[..]),
            ("bad", b"vfs_*\nxfs_* xfs\n"),
            ("binary", b"\x7fELF\xff\xfe\x00"),
            ("globs", b"vfs_*\n"),
        ] {
            fs::write(path.join(name), text).unwrap();
        }
        fs::create_dir(path.join("cases")).unwrap();
        fs::write(
            path.join("cases/broken.toml"),
            "description = \"x\"\nentry\n",
        )
        .unwrap();
        fs::write(path.join("cases/empty.toml"), "description = \"x\"\n").unwrap();
        Self { folder, program }
    }

    /// A file of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder that the program may write to, and nobody else.
    pub(super) fn own_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        path
    }

    /// The program with these arguments, to be run as it is.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// What the program answers.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        output(&mut self.command(arguments))
    }
}

/// Runs a command to its end.
pub(super) fn output(command: &mut Command) -> Output {
    insist(|| command.output())
}

/// Starts a command.
pub(super) fn spawn(command: &mut Command) -> Child {
    insist(|| command.spawn())
}

/// A thread that starts a program while another one copies ours keeps the copy open for writing
/// for a moment, and until then the kernel does not run it.
fn insist<T>(mut start: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match start() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => thread::yield_now(),
            started => return started.unwrap(),
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// An answer as a golden file shows it.
pub(super) fn transcript(arguments: &[&str], output: &Output) -> String {
    let mut text = String::from("$ retsnoop-rs");
    for argument in arguments {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,/:@=+".contains(c);
        if !argument.is_empty() && argument.chars().all(is_plain) {
            text.push_str(&format!(" {argument}"));
        } else {
            text.push_str(&format!(" '{argument}'"));
        }
    }
    let exit = output
        .status
        .code()
        .map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    text.push_str(&format!("\nexit {exit}\n"));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(bytes)));
        }
    }
    text
}
