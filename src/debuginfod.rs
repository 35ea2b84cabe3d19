// SPDX-License-Identifier: BSD-2-Clause
//! Downloads debug information by build id from debuginfod servers. It uses the cache directory of
//! debuginfod's own clients, so that each finds what another downloaded.
//!
//! It is only used if the user asked for it. Data from servers is not trusted until its build id
//! was compared, and has another file name until then. Compressed answers, `file:` URLs and
//! signatures (IMA) are not supported; the clients of elfutils support them.

mod settings;
mod store;
mod transfer;

use std::cell::RefCell;
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use nix::unistd::geteuid;

pub use self::settings::{DownloadSettings, example_server, system_servers};
use self::store::{Store, StoreError};
use self::transfer::{Transfer, TransferError, agent, is_open_to_others, shown};
use crate::diag::Diag;
use crate::kernel::images::{BuildId, check_debug};

/// Downloads debug information. Servers are asked in order.
#[derive(Debug)]
pub struct Client {
    settings: DownloadSettings,
    agent: ureq::Agent,
    /// Servers that did not answer. They are not asked again.
    silent: RefCell<HashSet<String>>,
}

/// Why debug information could not be downloaded.
#[derive(Debug)]
pub enum FetchError {
    /// No server is configured: `DEBUGINFOD_URLS` is not set.
    NoServer,
    /// There is no cache directory: neither `HOME` nor another variable gives one.
    NoCache,
    /// The cache directory cannot be used.
    Store(PathBuf, StoreError),
    /// The reason of each server.
    Refused(Vec<String>),
}

impl Client {
    /// Creates a client with these settings.
    #[must_use]
    pub fn new(settings: DownloadSettings) -> Self {
        let agent = agent(&settings);
        Self {
            settings,
            agent,
            silent: RefCell::default(),
        }
    }

    /// Returns the file with the debug information of a build id, and downloads it if it is not in
    /// the cache. Reports what it does and, on a terminal, the progress.
    ///
    /// # Errors
    ///
    /// When no server has it, when none sends it completely, or when it cannot be stored.
    pub fn fetch(&self, id: &BuildId, diag: &Diag) -> Result<PathBuf, FetchError> {
        if self.settings.servers.is_empty() {
            return Err(FetchError::NoServer);
        }
        let cache = self.settings.cache.as_deref().ok_or(FetchError::NoCache)?;
        let failed = |error| FetchError::Store(cache.to_owned(), error);
        let store = Store::open(cache, id).map_err(failed)?;
        let waits = || diag.progress("waiting for another process that fetches the same");
        let partial = store.lock(waits).map_err(failed)?;
        diag.end_progress();
        // The process that had the lock may have downloaded it.
        if let Some(path) = store.whole().filter(|path| check_debug(path, id).is_ok()) {
            store.discard();
            return Ok(path);
        }
        let mut transfer = Transfer {
            agent: &self.agent,
            settings: &self.settings,
            store: &store,
            partial,
            began: Instant::now(),
            diag,
        };
        let mut refused = Vec::new();
        for server in &self.settings.servers {
            if geteuid().is_root() && is_open_to_others(server) {
                diag.note(format!(
                    "`{}` is asked without encryption: whoever is on the way can change what it sends",
                    shown(server)
                ));
            }
            if self.silent.borrow().contains(server) {
                refused.push(format!("`{}`: it did not answer before", shown(server)));
                continue;
            }
            let done = transfer.from(server, id).and_then(|()| {
                check_debug(&store.partial_path(&transfer.partial), id)
                    .map_err(TransferError::Wrong)
            });
            diag.end_progress();
            match done {
                Ok(()) => return store.publish(&transfer.partial).map_err(failed),
                Err(why) => {
                    if !why.leaves_what_came() {
                        transfer.forget().map_err(|error| failed(error.into()))?;
                    }
                    refused.push(format!("`{}`: {why}", shown(server)));
                    if matches!(why, TransferError::Stalled(_) | TransferError::Broken(0, _)) {
                        self.silent.borrow_mut().insert(server.clone());
                    }
                    if matches!(why, TransferError::Disk(_)) {
                        break;
                    }
                }
            }
        }
        store.tidy(&transfer.partial);
        Err(FetchError::Refused(refused))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => write!(f, "no debuginfod server is known"),
            Self::NoCache => write!(f, "there is no directory to keep debug information in"),
            Self::Store(cache, why) => {
                write!(f, "nothing can be kept in `{}`: {why}", cache.display())
            }
            Self::Refused(refused) => write!(f, "{}", refused.join("; ")),
        }
    }
}

impl Error for FetchError {}
