// SPDX-License-Identifier: BSD-2-Clause
//! `--debuginfod`: what is missing comes from a server, whatever that sends; without the option
//! nobody is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::golden::repository;
use super::program::{Stage, output, spawn};
use super::server::{Reply, Request, Server, response, start_encrypted, whole};

/// Of `dwarf5` and what was made of it.
const BUILD_ID: &str = "843139b19cae413a79db9f6405610b15c7ba6e0a";

const LINE: &str = "0xffffffff81000039\nplain kernel/main.c:18\n";

const TAG: &str = "ETag: \"one\"";

fn image(name: &str) -> Vec<u8> {
    fs::read(repository("tests/data/image").join(name)).unwrap()
}

/// A folder with an image without debug information.
struct Scene {
    stage: Stage,
    cache: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::new();
        fs::write(stage.path("vmlinux"), image("no-dwarf")).unwrap();
        let cache = stage.own_folder("cache");
        Self { stage, cache }
    }

    fn command(&self, servers: &[&Server], options: &[&str]) -> Command {
        let arguments = ["symbolize", "-k", "vmlinux", "--exact", "ffffffff81000039"];
        let mut command = self.stage.command(&[&arguments, options].concat());
        let urls: Vec<&str> = servers.iter().map(|server| server.url()).collect();
        command
            .env("DEBUGINFOD_URLS", urls.join(" "))
            .env("DEBUGINFOD_CACHE_PATH", &self.cache);
        command
    }

    fn fetch(&self, servers: &[&Server]) -> Output {
        output(&mut self.command(servers, &["--debuginfod"]))
    }

    /// What the cache has of the build id.
    fn kept(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache.join(BUILD_ID)) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn part(&self) -> PathBuf {
        self.cache.join(BUILD_ID).join("debuginfo.retsnoop-rs")
    }
}

fn assert_line(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), LINE, "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// What was said where there was no line.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The half of an image whose connection then ends, and the rest to who asks for it.
fn breaking(validator: &'static str) -> Server {
    let body = image("dwarf5");
    Server::start(move |_, request| match request.header("range") {
        None => Reply::End(half_of(&body, validator)),
        Some(range) => Reply::End(rest_of(&body, range)),
    })
}

fn half_of(body: &[u8], validator: &str) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let half = &body[..body.len() / 2];
    response("200 OK", &[&length, validator], half)
}

fn rest_of(body: &[u8], range: &str) -> Vec<u8> {
    let start = range.strip_prefix("bytes=").unwrap();
    let start: usize = start.strip_suffix('-').unwrap().parse().unwrap();
    let (last, total) = (body.len() - 1, body.len());
    let headers = [
        format!("Content-Range: bytes {start}-{last}/{total}"),
        format!("Content-Length: {}", total - start),
    ];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    response("206 Partial Content", &headers, &body[start..])
}

fn ranges(requests: &[Request]) -> Vec<Option<&str>> {
    requests
        .iter()
        .map(|request| request.header("range"))
        .collect()
}

#[test]
fn what_is_missing_is_fetched_once_and_kept_where_other_clients_look() {
    let (scene, server) = (
        Scene::new(),
        Server::start(|_, _| Reply::End(whole(&image("dwarf5")))),
    );
    assert_line(&scene.fetch(&[&server]));
    let requests = server.requests();
    let request = requests.first().unwrap();
    assert_eq!(
        request.0[0],
        format!("GET /buildid/{BUILD_ID}/debuginfo HTTP/1.1")
    );
    assert_eq!(request.header("x-debuginfod-maxsize"), Some("2147483648"));
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("retsnoop-rs/")
    );
    assert_eq!(scene.kept(), ["debuginfo"]);
    let path = scene.cache.join(BUILD_ID).join("debuginfo");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o400);
    assert_eq!(fs::read(&path).unwrap(), image("dwarf5"));
    // It is there now, with the option and without.
    assert_line(&scene.fetch(&[&server]));
    assert_line(&output(&mut scene.command(&[&server], &[])));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn without_the_option_nobody_is_asked_and_the_hint_names_it() {
    let (scene, server) = (Scene::new(), Server::start(|_, _| Reply::End(whole(b""))));
    let said = refused(&output(&mut scene.command(&[&server], &[])));
    assert!(said.contains(BUILD_ID), "{said}");
    assert!(
        said.contains("or `--debuginfod` fetches it, or name"),
        "{said}"
    );
    assert_eq!(said.matches("hint:").count(), 1, "{said}");
    let said = refused(&output(&mut scene.command(&[], &[])));
    // The machine may have servers in /etc/debuginfod.
    assert!(said.contains("or `--debuginfod` "), "{said}");
    assert!(server.requests().is_empty());
    assert!(scene.kept().is_empty());
}

#[test]
fn the_next_server_is_asked_where_one_does_not_have_it() {
    let scene = Scene::new();
    let without = Server::start(|_, _| Reply::End(response("404 Not Found", &[], b"no")));
    let with = Server::start(|_, _| Reply::End(whole(&image("dwarf5"))));
    assert_line(&scene.fetch(&[&without, &with]));
    assert_eq!(without.requests().len(), 1);
    let scene = Scene::new();
    let said = refused(&scene.fetch(&[&without]));
    assert!(said.contains("it does not have it"), "{said}");
    assert!(said.contains(without.url()), "{said}");
    assert!(scene.kept().is_empty());
    let busy = Server::start(|_, _| Reply::End(response("503 Busy", &[], b"")));
    assert!(refused(&scene.fetch(&[&busy])).contains("status 503"));
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let half = format!("bytes={}-", image("dwarf5").len() / 2);
    for (validator, told) in [
        (TAG, "\"one\""),
        (
            "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
            "Mon, 01 Jan 2024 00:00:00 GMT",
        ),
    ] {
        let (scene, server) = (Scene::new(), breaking(validator));
        assert_line(&scene.fetch(&[&server]));
        let requests = server.requests();
        assert_eq!(ranges(&requests), [None, Some(&half[..])]);
        assert_eq!(requests[1].header("if-range"), Some(told));
        assert_eq!(scene.kept(), ["debuginfo"]);
    }
}

#[test]
fn what_may_have_changed_is_not_joined() {
    // Nothing tells that the rest is of the same file.
    for validator in ["X-Other: 1", "ETag: W/\"weak\""] {
        let (scene, server) = (Scene::new(), breaking(validator));
        let said = refused(&scene.fetch(&[&server]));
        assert!(said.contains("the connection broke after"), "{said}");
        assert_eq!(ranges(&server.requests()), [None]);
        assert!(scene.kept().is_empty());
    }
    // It has another file now.
    let scene = Scene::new();
    let server = Server::start(|number, _| match number {
        0 => Reply::End(half_of(&[b'x'; 9999], TAG)),
        _ => Reply::End(whole(&image("dwarf5"))),
    });
    assert_line(&scene.fetch(&[&server]));
    assert_eq!(server.requests().len(), 2);
    // It sends another part than it was asked for.
    let scene = Scene::new();
    let server = Server::start(|number, _| match number {
        0 => Reply::End(half_of(&image("dwarf5"), TAG)),
        _ => Reply::End(rest_of(&image("dwarf5"), "bytes=7-")),
    });
    assert!(refused(&scene.fetch(&[&server])).contains("not asked for"));
    assert!(scene.kept().is_empty());
}

#[test]
fn what_is_larger_than_the_limit_is_not_kept() {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let told = Server::start(|_, _| {
        let length = format!("Content-Length: {}", (1 << 20) + 1);
        Reply::Stall(response("200 OK", &[&length], b""))
    });
    let untold = Server::start(|number, _| {
        assert_eq!(number, 0);
        let head = response("200 OK", &[], b"");
        Reply::Endless([&head[..], &ZEROS].concat())
    });
    let refuses = Server::start(|_, _| Reply::End(response("406 Not Acceptable", &[], b"")));
    for server in [&told, &untold, &refuses] {
        let scene = Scene::new();
        let options = ["--debuginfod", "--debuginfod-max-size", "1"];
        let said = refused(&output(&mut scene.command(&[server], &options)));
        assert!(said.contains("larger than the limit of 1.0 MiB"), "{said}");
        assert!(scene.kept().is_empty());
        let asked = server.requests();
        assert_eq!(asked[0].header("x-debuginfod-maxsize"), Some("1048576"));
    }
    let scene = Scene::new();
    let mut command = scene.command(&[&told], &["--debuginfod"]);
    let said = refused(&output(command.env("DEBUGINFOD_MAXSIZE", "1000")));
    assert!(said.contains("larger than the limit"), "{said}");
}

#[test]
fn another_file_than_was_asked_for_is_not_used() {
    for (name, why) in [
        ("dwarf4", "its build id is"),
        ("no-dwarf", "no debug information"),
        ("make", "not an ELF file"),
    ] {
        let scene = Scene::new();
        let server = Server::start(move |_, _| Reply::End(whole(&image(name))));
        let said = refused(&scene.fetch(&[&server]));
        assert!(said.contains(why), "{said}");
        assert!(scene.kept().is_empty());
        // Nor does it stand in the way of the right one.
        let right = Server::start(|_, _| Reply::End(whole(&image("zlib"))));
        assert_line(&scene.fetch(&[&server, &right]));
    }
}

#[test]
fn a_server_that_sends_nothing_is_given_up() {
    let silent = Server::start(|_, _| Reply::Stall(Vec::new()));
    let stuck = Server::start(|_, _| Reply::Stall(half_of(&image("dwarf5"), "X-Other: 1")));
    let right = Server::start(|_, _| Reply::End(whole(&image("dwarf5"))));
    let (scene, began) = (Scene::new(), Instant::now());
    let mut command = scene.command(&[&silent, &stuck, &right], &["--debuginfod"]);
    assert_line(&output(command.env("DEBUGINFOD_TIMEOUT", "1")));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let mut command = scene.command(&[&silent], &["--debuginfod"]);
    fs::remove_file(scene.cache.join(BUILD_ID).join("debuginfo")).unwrap();
    let said = refused(&output(command.env("DEBUGINFOD_TIMEOUT", "1")));
    assert!(
        said.contains("it sent nothing or too little for 1s"),
        "{said}"
    );
}

/// What ends a program from outside: Ctrl-C, unless these tests run in the background of a shell,
/// which has it ignored.
fn interrupting() -> Signal {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    match ignored >> (Signal::SIGINT as u32 - 1) & 1 {
        1 => Signal::SIGTERM,
        _ => Signal::SIGINT,
    }
}

#[test]
fn ctrl_c_leaves_a_part_that_the_next_run_takes_up() {
    let body = image("dwarf5");
    let server = Server::start(move |_, request| match request.header("range") {
        None => Reply::Stall(half_of(&body, TAG)),
        Some(range) => Reply::End(rest_of(&body, range)),
    });
    let scene = Scene::new();
    let mut command = scene.command(&[&server], &["--debuginfod"]);
    let child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let half = (image("dwarf5").len() / 2) as u64;
    let length = || fs::metadata(scene.part()).map_or(0, |part| part.len());
    let began = Instant::now();
    while length() < half {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing comes");
        thread::sleep(Duration::from_millis(10));
    }
    let signal = interrupting();
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.signal(), Some(signal as i32), "{ended:?}");
    assert_eq!(length(), half);
    assert_line(&scene.fetch(&[&server]));
    let requests = server.requests();
    assert_eq!(
        ranges(&requests),
        [None, Some(&format!("bytes={half}-")[..])]
    );
    assert_eq!(scene.kept(), ["debuginfo"]);
}

#[test]
fn two_at_once_fetch_once() {
    let server = Server::start(|_, _| {
        thread::sleep(Duration::from_millis(500));
        Reply::End(whole(&image("dwarf5")))
    });
    let scene = Scene::new();
    let run = || {
        let mut command = scene.command(&[&server], &["--debuginfod"]);
        spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    for child in [run(), run(), run()] {
        assert_line(&child.wait_with_output().unwrap());
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn whatever_a_server_says_reaches_no_terminal() {
    let hostile: [&[u8]; 6] = [
        b"\x1b[2J\r\n\r\n",
        b"HTTP/1.1 200 \x1b[2J\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\x1b[2J/\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    ];
    for bytes in hostile {
        let scene = Scene::new();
        let server = Server::start(move |_, _| Reply::End(bytes.to_vec()));
        let said = refused(&scene.fetch(&[&server]));
        assert!(said.contains("was not fetched"), "{said}");
        assert!(!said.contains('\x1b'), "{said:?}");
        assert!(scene.kept().is_empty(), "{said}");
    }
}

#[test]
fn a_server_of_its_own_kind_goes_round_in_circles_no_longer_than_a_few_times() {
    let scene = Scene::new();
    let server =
        Server::start(|_, _| Reply::End(response("302 Found", &["Location: /buildid/x"], b"")));
    refused(&scene.fetch(&[&server]));
    assert!(server.requests().len() < 12, "{}", server.requests().len());
}

#[test]
fn from_https_nobody_is_led_to_http() {
    let scene = Scene::new();
    let plain = Server::start(|_, _| Reply::End(whole(&image("dwarf5"))));
    let ask = |reply: Vec<u8>| {
        let (url, certificate) = start_encrypted(reply);
        let mut command = scene.command(&[], &["--debuginfod"]);
        let environment = command.env("DEBUGINFOD_URLS", url);
        output(environment.env("SSL_CERT_FILE", certificate))
    };
    let location = format!("Location: {}/buildid/x", plain.url());
    let said = refused(&ask(response("302 Found", &[&location], b"")));
    assert!(plain.requests().is_empty(), "{said}");
    assert!(scene.kept().is_empty(), "{said}");
    // It is the way that is refused, not the server.
    assert_line(&ask(whole(&image("dwarf5"))));
}

#[test]
fn where_others_could_write_nothing_is_kept_and_the_hint_says_what_to_set() {
    let scene = Scene::new();
    let server = Server::start(|_, _| Reply::End(whole(&image("dwarf5"))));
    fs::set_permissions(&scene.cache, fs::Permissions::from_mode(0o777)).unwrap();
    let said = refused(&scene.fetch(&[&server]));
    assert!(said.contains("others could write to"), "{said}");
    assert!(said.contains("set DEBUGINFOD_CACHE_PATH"), "{said}");
    assert!(server.requests().is_empty());
}

#[test]
fn addresses_that_are_none_are_named() {
    let scene = Scene::new();
    let mut command = scene.command(&[], &["--debuginfod"]);
    let said = refused(&output(
        command.env("DEBUGINFOD_URLS", "ima:ignore file:///srv"),
    ));
    assert!(said.contains("`file:///srv` is not asked"), "{said}");
    assert!(said.contains("no debuginfod server is known"), "{said}");
    assert!(said.contains("name servers in DEBUGINFOD_URLS"), "{said}");
    let server = Server::start(|_, _| Reply::End(whole(&image("dwarf5"))));
    let secret = server.url().replace("http://", "http://me:secret@");
    let said = output(command.env("DEBUGINFOD_URLS", secret)).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("secret"), "{said}");
}
