// SPDX-License-Identifier: BSD-2-Clause
//! Explains why a command could not be executed: what the errno means for its file.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

/// Returns a hint for an error of `execve`. `name` is the command as the user gave it.
pub(crate) fn hint(name: &OsStr, error: &io::Error) -> String {
    let Some(path) = file_of(name) else {
        return "it is looked for along $PATH, which sudo may have changed: give its whole path"
            .to_owned();
    };
    let shown = path.display();
    match error.raw_os_error() {
        Some(libc::ENOENT) => missing(&path),
        Some(libc::EACCES) => forbidden(&path),
        Some(libc::ETXTBSY) => {
            format!("`{shown}` is open for writing: `fuser -v {shown}` shows who has it")
        }
        Some(libc::ENOEXEC) => {
            format!("`{shown}` is no program for this machine, and no script that begins with `#!`")
        }
        Some(libc::E2BIG) => {
            "arguments and environment together are too long: `ulimit -s` bounds them".to_owned()
        }
        Some(libc::ELOOP) => format!("`{shown}` has too many links on its way"),
        Some(libc::ENOMEM) => "there is too little memory for it".to_owned(),
        Some(libc::EPERM) => {
            format!(
                "`{shown}` may be set-user-id where that is not allowed, or a security module forbids it"
            )
        }
        _ => format!("--trace-exec shows what the kernel did with `{shown}`"),
    }
}

/// Returns the file that a command name refers to, as a path or along `$PATH`; `None` if there is
/// no such file.
fn file_of(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return fs::symlink_metadata(&path).is_ok().then_some(path);
    }
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|place| place.join(name));
    places.find(|path| path.is_file())
}

/// Explains `ENOENT` for a file that exists: something that it needs does not exist.
fn missing(path: &Path) -> String {
    let shown = path.display();
    if fs::metadata(path).is_err() {
        return format!("`{shown}` is a link to something that is not there");
    }
    match script_interpreter(path) {
        Some(interpreter) => {
            format!("`{shown}` is a script of `{interpreter}` (its first line), which is not there")
        }
        None => format!(
            "`{shown}` is there, but not the loader that it names: `readelf -p .interp {shown}` \
             shows it"
        ),
    }
}

fn forbidden(path: &Path) -> String {
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else {
        return format!("a directory on the way to `{shown}` may not be searched");
    };
    if found.is_dir() {
        return format!("`{shown}` is a directory");
    }
    if !found.is_file() {
        return format!("`{shown}` is no ordinary file");
    }
    if found.permissions().mode() & 0o111 == 0 {
        return format!("`{shown}` is not executable: `chmod +x {shown}`");
    }
    if statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC)) {
        return format!("`{shown}` is on a file system that is mounted `noexec`");
    }
    if let Some(interpreter) = script_interpreter(path) {
        return format!("`{shown}` or its interpreter `{interpreter}` may not be executed");
    }
    format!("`{shown}` may be executed by others only, or a security module forbids it")
}

/// Returns the interpreter in the first line of a script; `None` if the file has no `#!`.
fn script_interpreter(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    // The size of `BINPRM_BUF_SIZE` in the kernel.
    File::open(path)
        .ok()?
        .take(256)
        .read_to_end(&mut start)
        .ok()?;
    let line = start.strip_prefix(b"#!")?;
    let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next()?).into_owned();
    line.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt;

    use super::hint;

    fn said(path: &str, errno: i32) -> String {
        hint(OsStr::new(path), &io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_command_that_cannot_be_executed_gets_the_reason_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let script = put("script", "#!/no/such/shell -e\n", 0o755);
        let plain = put("plain", "text", 0o644);
        for (path, errno, expected) in [
            (
                script.as_str(),
                libc::ENOENT,
                "is a script of `/no/such/shell`",
            ),
            (&plain, libc::ENOENT, "not the loader that it names"),
            (&plain, libc::EACCES, "is not executable: `chmod +x"),
            (&script, libc::ETXTBSY, "is open for writing"),
            (&plain, libc::ENOEXEC, "no program for this machine"),
            ("/", libc::EACCES, "`/` is a directory"),
            ("/no/such/file", libc::ENOENT, "give its whole path"),
            ("no-such-command-anywhere", libc::ENOENT, "along $PATH"),
        ] {
            let said = said(path, errno);
            assert!(said.contains(expected), "{path} {errno}: {said}");
        }
    }
}
