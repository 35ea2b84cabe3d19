// SPDX-License-Identifier: BSD-2-Clause
//! Reads the environment variables of debuginfod, as elfutils documents them in
//! `debuginfod-client-config`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::trusted::directory_of;

/// Default timeout in seconds. A server that sends less than 100 KiB in this time is given up.
const DEFAULT_TIMEOUT_SECONDS: u64 = 90;

/// Default maximum time for one file in seconds. A limit is needed because 100 KiB per timeout
/// would take days.
const DEFAULT_MAX_SECONDS: u64 = 30 * 60;

/// Default number of retries after a broken connection.
const DEFAULT_RETRIES: u32 = 2;

/// Default maximum size of a file in bytes. A variable or an option can raise it. The debug
/// information of a distribution's kernel has 350 to 1,000 MiB.
const DEFAULT_MAX_SIZE: u64 = 2 << 30;

/// Maximum size of a configuration file in bytes.
const LARGEST_FILE: u64 = 64 << 10;

/// Servers and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadSettings {
    /// URLs of the servers, in the order in which they are asked.
    pub servers: Vec<String>,
    /// Words of `DEBUGINFOD_URLS` that are not the URL of a supported server.
    pub unusable: Vec<String>,
    /// The cache directory of debuginfod clients; `None` if no variable gives one.
    pub cache: Option<PathBuf>,
    /// Maximum wait for an answer, and the time in which 100 KiB must arrive; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Maximum time for one file; `None` for no limit.
    pub longest: Option<Duration>,
    /// Maximum size of a file in bytes.
    pub most_bytes: u64,
    /// Number of retries after a broken connection.
    pub retries: u32,
}

impl DownloadSettings {
    /// Reads the settings from environment variables. `most_bytes` is the user's own limit and has
    /// priority. `servers` are the URLs that are used if no variable gives any.
    #[must_use]
    pub fn read(
        variable: impl Fn(&str) -> Option<OsString>,
        servers: impl FnOnce() -> String,
        most_bytes: Option<u64>,
    ) -> Self {
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?;
            (!value.trim().is_empty()).then(|| value.trim().to_owned())
        };
        // As with `atol()`, text that is not a number is 0. 0 or less means no limit.
        let number = |name: &str| text(name).map(|value| value.parse::<i64>().unwrap_or(0));
        let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        let urls = text("DEBUGINFOD_URLS").unwrap_or_else(servers);
        let (servers, unusable) = urls
            .split_whitespace()
            // These words select how signatures are checked, which is not supported.
            .filter(|word| !word.starts_with("ima:"))
            .map(str::to_owned)
            .partition(|word| word.starts_with("http://") || word.starts_with("https://"));
        let timeout = match number("DEBUGINFOD_TIMEOUT") {
            Some(value) => positive(value),
            None => Some(DEFAULT_TIMEOUT_SECONDS),
        };
        let of_variable =
            number("DEBUGINFOD_MAXSIZE").map(|value| positive(value).unwrap_or(u64::MAX));
        Self {
            servers,
            unusable,
            cache: cache(&variable),
            timeout: timeout.map(Duration::from_secs),
            longest: number("DEBUGINFOD_MAXTIME")
                .map_or(Some(DEFAULT_MAX_SECONDS), positive)
                .map(Duration::from_secs),
            most_bytes: most_bytes.or(of_variable).unwrap_or(DEFAULT_MAX_SIZE),
            retries: number("DEBUGINFOD_RETRY_LIMIT").map_or(DEFAULT_RETRIES, |value| {
                u32::try_from(value).unwrap_or(0).min(100)
            }),
        }
    }
}

/// The cache directory of clients. An old location is used if it exists.
fn cache(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let cache = variable("DEBUGINFOD_CACHE_PATH").filter(|value| !value.is_empty());
    if let Some(cache) = cache {
        return Some(cache.into());
    }
    let home = directory_of(variable("HOME"));
    let old = home
        .as_ref()
        .map(|home| home.join(".debuginfod_client_cache"));
    old.filter(|old| old.is_dir()).or_else(|| {
        let caches =
            directory_of(variable("XDG_CACHE_HOME")).or_else(|| Some(home?.join(".cache")));
        caches.map(|caches| caches.join("debuginfod_client"))
    })
}

/// The URLs that the administrator configured. Login shells set `DEBUGINFOD_URLS` from these files,
/// and `sudo` removes the variable.
#[must_use]
pub fn system_servers(root: &Path) -> String {
    let Ok(entries) = fs::read_dir(root.join("etc/debuginfod")) else {
        return String::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "urls"))
        .filter(|path| {
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_FILE)
        })
        .collect();
    files.sort_unstable();
    let texts = files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    texts.collect::<Vec<_>>().join("\n")
}

/// The public server of a distribution family.
#[must_use]
pub fn example_server(family: Option<&str>) -> &'static str {
    match family {
        Some("debian") => "https://debuginfod.debian.net",
        Some("ubuntu") => "https://debuginfod.ubuntu.com",
        Some("fedora") => "https://debuginfod.fedoraproject.org",
        Some("suse") => "https://debuginfod.opensuse.org",
        _ => "https://debuginfod.elfutils.org",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{DownloadSettings, system_servers};

    fn settings(variables: &[(&str, &str)]) -> DownloadSettings {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).into())
        };
        DownloadSettings::read(variable, || "https://of.the.system".to_owned(), None)
    }

    #[test]
    fn what_is_not_set_is_as_other_clients_have_it_but_for_the_size() {
        let settings = settings(&[("HOME", "/home/me")]);
        let expected = DownloadSettings {
            servers: vec!["https://of.the.system".to_owned()],
            unusable: Vec::new(),
            cache: Some(PathBuf::from("/home/me/.cache/debuginfod_client")),
            timeout: Some(Duration::from_secs(90)),
            longest: Some(Duration::from_secs(30 * 60)),
            most_bytes: 2 << 30,
            retries: 2,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn variables_say_otherwise() {
        let found = settings(&[
            (
                "DEBUGINFOD_URLS",
                " ima:enforcing http://a/ https://b file:///c\n",
            ),
            ("DEBUGINFOD_CACHE_PATH", "/c"),
            ("HOME", "/home/me"),
            ("DEBUGINFOD_TIMEOUT", "7"),
            ("DEBUGINFOD_MAXTIME", "60"),
            ("DEBUGINFOD_MAXSIZE", "1000"),
            ("DEBUGINFOD_RETRY_LIMIT", "0"),
        ]);
        assert_eq!(found.servers, ["http://a/", "https://b"]);
        assert_eq!(found.unusable, ["file:///c"]);
        assert_eq!(found.cache.as_deref(), Some(Path::new("/c")));
        assert_eq!(found.timeout, Some(Duration::from_secs(7)));
        assert_eq!(found.longest, Some(Duration::from_secs(60)));
        assert_eq!((found.most_bytes, found.retries), (1000, 0));
        // 0 or less means no limit.
        for none in ["0", "-1", "no number"] {
            let found = settings(&[("DEBUGINFOD_TIMEOUT", none), ("DEBUGINFOD_MAXSIZE", none)]);
            assert_eq!((found.timeout, found.most_bytes), (None, u64::MAX));
        }
        let found = settings(&[("DEBUGINFOD_URLS", " "), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(found.servers, ["https://of.the.system"]);
        assert_eq!(found.cache, Some(PathBuf::from("/x/debuginfod_client")));
        assert_eq!(settings(&[]).cache, None);
    }

    #[test]
    fn the_old_place_is_kept_where_it_is_there() {
        let home = tempfile::tempdir().unwrap();
        let old = home.path().join(".debuginfod_client_cache");
        fs::create_dir(&old).unwrap();
        let found = settings(&[("HOME", home.path().to_str().unwrap())]);
        assert_eq!(found.cache, Some(old));
    }

    #[test]
    fn servers_of_the_system_are_in_the_files_of_its_administrator() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(system_servers(root.path()), "");
        let directory = root.path().join("etc/debuginfod");
        fs::create_dir_all(directory.join("directory.urls")).unwrap();
        fs::write(directory.join("b.urls"), "https://b\n").unwrap();
        fs::write(directory.join("a.urls"), "https://a\n").unwrap();
        fs::write(directory.join("a.certpath"), "/certificates\n").unwrap();
        fs::write(directory.join("long.urls"), " ".repeat(100 << 10)).unwrap();
        let servers = system_servers(root.path());
        let servers: Vec<&str> = servers.split_whitespace().collect();
        assert_eq!(servers, ["https://a", "https://b"]);
    }
}
