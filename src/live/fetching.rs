// SPDX-License-Identifier: BSD-2-Clause
//! Fetches missing debug information if the user asked for it; otherwise explains how to get it.

use std::env;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::config::Download;
use crate::debuginfod::{Client, DownloadSettings, FetchError, example_server, system_servers};
use crate::diag::Diag;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::{self, BuildId, KernelIdentity};

/// The debuginfod client and its options.
#[derive(Clone, Debug)]
pub(crate) struct Fetching {
    download: Download,
    /// The directory that contains `/etc`.
    root: PathBuf,
    client: Arc<OnceLock<Client>>,
    /// Set once nothing can be fetched at all. The reason was reported.
    is_hopeless: Arc<AtomicBool>,
}

impl Fetching {
    /// Creates it from the options. No connection is made yet.
    pub(crate) fn new(download: Download, files: &KernelFiles) -> Self {
        Self {
            download,
            root: files.path(""),
            client: Arc::default(),
            is_hopeless: Arc::default(),
        }
    }

    /// Fetches the debug information of a build id into the cache, if the user asked for it.
    /// Returns true if it is there now. Reports errors.
    pub(crate) fn fetch(&self, id: &BuildId, diag: &Diag) -> bool {
        if !self.download.is_allowed || self.is_hopeless.load(Ordering::Relaxed) {
            return false;
        }
        let client = self.client.get_or_init(|| {
            let settings = self.settings();
            for word in &settings.unusable {
                diag.warning(format!(
                    "DEBUGINFOD_URLS: `{word}` is not asked: it is neither http nor https"
                ));
            }
            Client::new(settings)
        });
        match client.fetch(id, diag) {
            Ok(path) => {
                diag.info(1, format!("debug information in `{}`", path.display()));
                true
            }
            Err(error) => {
                diag.warning(format!(
                    "the debug information of build id {id} was not fetched: {error}"
                ));
                self.say_what_to_set(&error, diag);
                false
            }
        }
    }

    /// Fetches the debug information of loaded modules that have none on this machine.
    pub(crate) fn fetch_modules<'a>(&self, names: impl IntoIterator<Item = &'a str>, diag: &Diag) {
        if !self.download.is_allowed {
            return;
        }
        let Ok(kernel) = KernelIdentity::read(&self.root) else {
            return;
        };
        let caches = images::debuginfod_caches(|name| env::var_os(name));
        for name in names {
            let is_missing = images::find_module(&self.root, &caches, &kernel, name).is_err();
            if let (true, Some(id)) = (is_missing, images::module_build_id(&self.root, name)) {
                self.fetch(&id, diag);
            }
        }
    }

    /// Returns how to get debug information of a kernel of this release; `None`: an unknown one.
    pub(crate) fn remedy(&self, release: Option<&str>) -> String {
        let remedy = images::remedy(&self.root, release, self.way().as_deref());
        format!("{remedy}, or name its `vmlinux` with -k")
    }

    /// Returns how to get debug information of the running kernel.
    pub(crate) fn remedy_of_running(&self) -> String {
        self.remedy(self.release().as_deref())
    }

    /// Returns how to get debug information of the running kernel's modules.
    pub(crate) fn remedy_of_modules(&self) -> String {
        images::remedy(&self.root, self.release().as_deref(), self.way().as_deref())
    }

    fn release(&self) -> Option<String> {
        let kernel = KernelIdentity::read(&self.root).ok()?;
        Some(kernel.release)
    }

    /// Returns how to fetch it; `None` if fetching was enabled and has failed.
    fn way(&self) -> Option<String> {
        if self.download.is_allowed {
            return None;
        }
        Some(if self.settings().servers.is_empty() {
            format!(
                "`--debuginfod` with DEBUGINFOD_URLS={} fetches it",
                self.example()
            )
        } else {
            "`--debuginfod` fetches it".to_owned()
        })
    }

    fn say_what_to_set(&self, error: &FetchError, diag: &Diag) {
        let example = self.example();
        let is_hopeless = !matches!(error, FetchError::Refused(_));
        self.is_hopeless.store(is_hopeless, Ordering::Relaxed);
        match error {
            FetchError::NoServer => diag.hint(format!(
                "name servers in DEBUGINFOD_URLS, for instance {example}; behind sudo: \
                 `sudo DEBUGINFOD_URLS={example} retsnoop-rs --debuginfod`"
            )),
            FetchError::NoCache | FetchError::Store(..) => {
                diag.hint("set DEBUGINFOD_CACHE_PATH to a directory of your own");
            }
            FetchError::Refused(_) => {}
        }
    }

    fn example(&self) -> &'static str {
        example_server(images::family(&self.root))
    }

    fn settings(&self) -> DownloadSettings {
        DownloadSettings::read(
            |name| env::var_os(name),
            || system_servers(&self.root),
            self.download.max_size.map(|mib| u64::from(mib) << 20),
        )
    }
}
