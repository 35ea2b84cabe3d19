// SPDX-License-Identifier: BSD-2-Clause
//! Downloads one file from one server, and appends to what was downloaded before.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls_native_certs::load_native_certs;
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::settings::DownloadSettings;
use super::store::{Origin, Partial, Store};
use crate::diag::Diag;
use crate::kernel::images::BuildId;

/// Minimum number of bytes per timeout. A slower server is given up, as by other clients.
const MIN_BYTES_PER_TIMEOUT: u64 = 100 << 10;

/// Maximum number of consecutive redirects.
const MAX_REDIRECTS: u32 = 5;

/// Interval at which the progress line is updated.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Maximum length in bytes of a validator.
const LONGEST_VALIDATOR: usize = 1000;

/// Why a download failed.
#[derive(Debug)]
pub(super) enum TransferError {
    /// The server has nothing for the build id.
    NotThere,
    /// The server answered with this HTTP status.
    Status(u16),
    /// The file exceeds the limit: its size, if known, and the limit, both in bytes.
    TooLarge(Option<u64>, u64),
    /// The server sent less than the minimum in this time.
    Stalled(Duration),
    /// The download exceeded this maximum time.
    TooLong(Duration),
    /// The connection failed, or broke after this number of bytes.
    Broken(u64, String),
    /// The server sent another range than requested.
    OtherPart,
    /// The data is not the requested debug information.
    Wrong(String),
    /// The data could not be written.
    Disk(io::Error),
}

/// A download with its source and its destination.
pub(super) struct Transfer<'a> {
    pub(super) agent: &'a Agent,
    pub(super) settings: &'a DownloadSettings,
    pub(super) store: &'a Store,
    pub(super) partial: Partial,
    pub(super) began: Instant,
    pub(super) diag: &'a Diag,
}

/// Creates the HTTP agent. It trusts the certificates that the system trusts (`SSL_CERT_FILE` too).
pub(super) fn agent(settings: &DownloadSettings) -> Agent {
    let certificates = load_native_certs().certs;
    let certificates = certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates.collect())))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let config: Config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("retsnoop-rs/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .timeout_resolve(settings.timeout)
        .timeout_connect(settings.timeout)
        .timeout_recv_response(settings.timeout)
        .timeout_per_read(settings.timeout)
        .timeout_per_write(settings.timeout)
        .build();
    config.into()
}

impl Transfer<'_> {
    /// Downloads the file from a server. Retries after a broken connection if that had brought
    /// data.
    pub(super) fn from(&mut self, server: &str, id: &BuildId) -> Result<(), TransferError> {
        let url = url_of(server, id);
        let mut retries = self.settings.retries;
        loop {
            let before = self.length()?;
            let why = match self.once(&url) {
                Err(why @ (TransferError::Broken(..) | TransferError::Stalled(_))) => why,
                done => return done,
            };
            let has_more = self.length()? > before && self.store.origin().is_some();
            if retries == 0 || !has_more || matches!(why, TransferError::Stalled(_)) {
                return Err(why);
            }
            retries -= 1;
        }
    }

    /// Discards what was downloaded.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.store.set_origin(None)?;
        self.partial.set_len(0)
    }

    fn once(&mut self, url: &str) -> Result<(), TransferError> {
        let most = self.settings.most_bytes;
        if let Some(longest) = self
            .settings
            .longest
            .filter(|most| self.began.elapsed() > *most)
        {
            return Err(TransferError::TooLong(longest));
        }
        let known = self.resumable(url)?;
        // If the URL is encrypted, redirects must be too.
        let is_encrypted = url.starts_with("https://");
        let mut request = self
            .agent
            .get(url)
            .config()
            .https_only(is_encrypted)
            .build();
        if most < u64::MAX {
            // With this header, debuginfod servers do not search for larger files.
            request = request.header("X-DEBUGINFOD-MAXSIZE", most.to_string());
        }
        if let Some((offset, validator)) = &known {
            request = request
                .header("Range", format!("bytes={offset}-"))
                .header("If-Range", validator);
        }
        let response = request.call().map_err(|error| self.broken(&error))?;
        let headers = response.headers();
        let at = match (response.status(), known) {
            (StatusCode::OK, _) => {
                self.begin(url, headers).map_err(TransferError::Disk)?;
                0
            }
            (StatusCode::PARTIAL_CONTENT, Some((offset, _)))
                if part(headers).is_some_and(|(start, _)| start == offset) =>
            {
                offset
            }
            (StatusCode::PARTIAL_CONTENT, _) => return Err(TransferError::OtherPart),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                // The existing data is not the beginning of the server's current file.
                self.forget().map_err(TransferError::Disk)?;
                return Err(TransferError::Broken(
                    0,
                    "it has another file now".to_owned(),
                ));
            }
            (StatusCode::NOT_FOUND, _) => return Err(TransferError::NotThere),
            // debuginfod answers this if the file exceeds the limit in the header.
            (StatusCode::NOT_ACCEPTABLE | StatusCode::PAYLOAD_TOO_LARGE, _) => {
                return Err(TransferError::TooLarge(None, most));
            }
            (status, _) => return Err(TransferError::Status(status.as_u16())),
        };
        let rest = response.body().content_length();
        let total = rest.map(|rest| rest.saturating_add(at));
        if let Some(total) = total.filter(|total| *total > most) {
            return Err(TransferError::TooLarge(Some(total), most));
        }
        let size = total.map_or_else(String::new, |total| format!(" ({})", mebibytes(total)));
        let of = if at > 0 { "the rest of " } else { "" };
        self.diag
            .note(format!("fetching {of}`{}`{size}", shown(url)));
        self.read_all(response, at, total)
    }

    /// Size and validator of what was downloaded from this URL before; `None` if it cannot be
    /// resumed.
    fn resumable(&self, url: &str) -> Result<Option<(u64, String)>, TransferError> {
        let length = self.length()?;
        let origin = self.store.origin().filter(|origin| origin.url == url);
        Ok(origin
            .filter(|_| length > 0)
            .map(|origin| (length, origin.validator)))
    }

    fn length(&self) -> Result<u64, TransferError> {
        Ok(self.partial.metadata().map_err(TransferError::Disk)?.len())
    }

    /// Discards what was downloaded and stores the new origin.
    fn begin(&mut self, url: &str, headers: &HeaderMap) -> io::Result<()> {
        self.forget()?;
        let Some(validator) = validator(headers) else {
            return Ok(());
        };
        let url = url.to_owned();
        self.store.set_origin(Some(&Origin { url, validator }))
    }

    fn read_all(
        &mut self,
        response: Response<Body>,
        at: u64,
        total: Option<u64>,
    ) -> Result<(), TransferError> {
        let mut file: &File = &self.partial;
        file.seek(SeekFrom::Start(at))
            .map_err(TransferError::Disk)?;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        let mut pace = DownloadPace::new(at, self.settings.timeout);
        let mut came = at;
        let mut shown_at = Instant::now();
        loop {
            let n_bytes = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n_bytes) => n_bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => return Err(self.stalled()),
                Err(error) => return Err(TransferError::Broken(came, error.to_string())),
            };
            came += n_bytes as u64;
            if came > self.settings.most_bytes {
                return Err(TransferError::TooLarge(None, self.settings.most_bytes));
            }
            file.write_all(&buffer[..n_bytes])
                .map_err(TransferError::Disk)?;
            if pace.is_too_slow(came) {
                return Err(self.stalled());
            }
            if let Some(longest) = self.settings.longest
                && self.began.elapsed() > longest
            {
                return Err(TransferError::TooLong(longest));
            }
            if shown_at.elapsed() > PROGRESS_EVERY {
                shown_at = Instant::now();
                self.diag.progress(pace.text(came, total));
            }
        }
        self.diag.end_progress();
        Ok(())
    }

    fn broken(&self, error: &ureq::Error) -> TransferError {
        match error {
            ureq::Error::Timeout(_) => self.stalled(),
            error => TransferError::Broken(0, error.to_string()),
        }
    }

    fn stalled(&self) -> TransferError {
        TransferError::Stalled(self.settings.timeout.unwrap_or_default())
    }
}

/// Measures the speed of a download.
struct DownloadPace {
    timeout: Option<Duration>,
    began: Instant,
    first: u64,
    /// Time and number of bytes at the last check.
    looked: (Instant, u64),
}

impl DownloadPace {
    fn new(at: u64, timeout: Option<Duration>) -> Self {
        let began = Instant::now();
        Self {
            timeout,
            began,
            first: at,
            looked: (began, at),
        }
    }

    fn is_too_slow(&mut self, came: u64) -> bool {
        let (since, before) = self.looked;
        let Some(timeout) = self.timeout else {
            return false;
        };
        if since.elapsed() < timeout {
            return false;
        }
        self.looked = (Instant::now(), came);
        came - before < MIN_BYTES_PER_TIMEOUT
    }

    fn text(&self, came: u64, total: Option<u64>) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(1e-3);
        let rate = ((came - self.first) as f64 / seconds) as u64;
        match total.filter(|total| *total > 0) {
            Some(total) => {
                /// Width of the bar in columns.
                const WIDTH: u64 = 30;
                let full =
                    (u128::from(came.min(total)) * u128::from(WIDTH) / u128::from(total)) as usize;
                let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH as usize - full));
                let (came, total) = (mebibytes(came), mebibytes(total));
                format!("[{bar}] {came} of {total}, {}/s", mebibytes(rate))
            }
            None => format!("{}, {}/s", mebibytes(came), mebibytes(rate)),
        }
    }
}

impl TransferError {
    /// Whether the download can be resumed by a later run.
    pub(super) fn leaves_what_came(&self) -> bool {
        match self {
            Self::Broken(..)
            | Self::Stalled(_)
            | Self::TooLong(_)
            | Self::NotThere
            | Self::Status(_) => true,
            // Data that fills the disk must not stay there.
            Self::TooLarge(..) | Self::OtherPart | Self::Wrong(_) | Self::Disk(_) => false,
        }
    }
}

/// Whether others on the network may change what a server sends. This matters because a build id is
/// not a checksum of the content.
pub(super) fn is_open_to_others(server: &str) -> bool {
    let Some(rest) = server.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let is_ours = ["localhost", "127.", "[::1]"];
    !is_ours.iter().any(|ours| host.starts_with(ours))
}

fn url_of(server: &str, id: &BuildId) -> String {
    let server = server.trim_end_matches('/');
    // Some users include the first component of all paths in the URL.
    let server = server.strip_suffix("/buildid").unwrap_or(server);
    format!("{server}/buildid/{id}/debuginfo")
}

/// A URL without user name and password.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The validator of the server for exactly this content. Weak tags are not used, because they only
/// stand for equivalent content.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let tag = text("etag").filter(|tag| tag.starts_with('"'));
    let validator = tag.or_else(|| text("last-modified"))?;
    (validator.len() <= LONGEST_VALIDATOR).then(|| validator.to_owned())
}

/// Start of the range that was sent, and size of the whole file if known.
fn part(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get("content-range")?.to_str().ok()?;
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}

fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    let inner = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>());
    error.kind() == ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 10.0 {
        format!("{mebibytes:.1} MiB")
    } else {
        format!("{mebibytes:.0} MiB")
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => write!(f, "it does not have it"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::TooLarge(size, most) => {
                let size = size.map_or_else(|| "it".to_owned(), |size| mebibytes(size) + ", which");
                write!(f, "{size} is larger than the limit of {}", mebibytes(*most))
            }
            Self::Stalled(time) => write!(f, "it sent nothing or too little for {time:?}"),
            Self::TooLong(time) => write!(f, "it took longer than {time:?}"),
            Self::Broken(0, why) => write!(f, "{why}"),
            Self::Broken(came, why) => {
                write!(f, "the connection broke after {}: {why}", mebibytes(*came))
            }
            Self::OtherPart => write!(f, "it sent a part that was not asked for"),
            Self::Wrong(why) => write!(f, "what it sent is not used: {why}"),
            Self::Disk(error) => write!(f, "what it sent could not be written: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DownloadPace, is_open_to_others, mebibytes, shown, url_of};
    use crate::kernel::images::BuildId;

    #[test]
    fn addresses_are_made_as_other_clients_make_them() {
        for server in [
            "http://h",
            "http://h/",
            "http://h/buildid",
            "http://h/buildid/",
        ] {
            let url = url_of(server, &BuildId(vec![1, 0xab]));
            assert_eq!(url, "http://h/buildid/01ab/debuginfo");
        }
        assert_eq!(shown("https://me:secret@h:1/a@b"), "https://h:1/a@b");
        assert_eq!(shown("https://h"), "https://h");
    }

    #[test]
    fn what_goes_over_a_network_unencrypted_is_known() {
        assert!(is_open_to_others("http://debuginfod.example"));
        assert!(is_open_to_others("http://localhost@evil.example/"));
        assert!(!is_open_to_others("https://debuginfod.example"));
        assert!(!is_open_to_others("http://127.0.0.1:8002/"));
        assert!(!is_open_to_others("http://localhost"));
    }

    #[test]
    fn the_progress_line_holds_whatever_the_numbers_say() {
        let pace = DownloadPace::new(10, None);
        assert!(
            pace.text(20, Some(20))
                .starts_with("[##############################] 0.0 MiB")
        );
        assert!(pace.text(20, Some(10)).starts_with("[####"));
        assert!(pace.text(u64::MAX / 40, Some(u64::MAX)).starts_with("[---"));
        assert!(pace.text(20, None).starts_with("0.0 MiB, "));
        assert!(pace.text(20, Some(0)).starts_with("0.0 MiB, "));
        assert_eq!(mebibytes(600 << 20), "600 MiB");
    }

    #[test]
    fn a_server_that_trickles_is_too_slow() {
        let mut pace = DownloadPace::new(0, Some(Duration::ZERO));
        assert!(pace.is_too_slow(1));
        assert!(!pace.is_too_slow(1 + (100 << 10)));
        assert!(!DownloadPace::new(0, None).is_too_slow(1));
        assert!(!DownloadPace::new(0, Some(Duration::from_secs(90))).is_too_slow(1));
    }
}
