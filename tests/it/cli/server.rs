// SPDX-License-Identifier: BSD-2-Clause
//! An HTTP server that answers as it is told to, and remembers what it was asked.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::golden::repository;

/// A request: its first line and its headers, as they came.
#[derive(Clone, Debug)]
pub(crate) struct Request(pub(crate) Vec<String>);

/// What is sent, and then.
pub(crate) enum Reply {
    /// The connection ends.
    End(Vec<u8>),
    /// Nothing, for longer than any test.
    Stall(Vec<u8>),
    /// The same again and again.
    Endless(Vec<u8>),
}

/// A server at an address of this machine.
pub(crate) struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.iter().filter_map(|line| line.split_once(": "));
        let header = headers.find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(header.1)
    }
}

impl Server {
    /// Answers the request of this number (from 0).
    pub(crate) fn start(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (noted, reply) = (Arc::clone(&requests), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, reply) = (Arc::clone(&noted), Arc::clone(&reply));
                thread::spawn(move || answer(&stream, &noted, &*reply));
            }
        });
        Self { url, requests }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    noted: &Mutex<Vec<Request>>,
    reply: &dyn Fn(usize, &Request) -> Reply,
) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let request = Request(lines);
    let mut noted = noted.lock().unwrap();
    noted.push(request.clone());
    let number = noted.len() - 1;
    drop(noted);
    // Who asked may have gone.
    let _ = match reply(number, &request) {
        Reply::End(bytes) => stream.write_all(&bytes),
        Reply::Stall(bytes) => {
            let written = stream.write_all(&bytes);
            thread::sleep(Duration::from_secs(600));
            written
        }
        Reply::Endless(bytes) => {
            while stream.write_all(&bytes).is_ok() {}
            Ok(())
        }
    };
    let _ = stream.shutdown(Shutdown::Both);
}

/// An answer with this status, these headers and this body.
pub(crate) fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// One with the length of its body.
pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    response("200 OK", &[&length], body)
}

/// A server that speaks TLS and answers every request the same; its URL, and the file with the
/// certificate that vouches for it.
pub(crate) fn start_encrypted(reply: Vec<u8>) -> (String, PathBuf) {
    let files = repository("tests/data/tls");
    let certificate = fs::read(files.join("certificate.der")).unwrap();
    let key = fs::read(files.join("key.der")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.into()],
            PrivatePkcs8KeyDer::from(key).into(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
            // Who asked may not trust us.
            if lines.any(|line| line.is_empty()) {
                let _ = stream.write_all(&reply);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (url, files.join("certificate.pem"))
}
