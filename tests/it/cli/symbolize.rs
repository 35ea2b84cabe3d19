// SPDX-License-Identifier: BSD-2-Clause
//! `symbolize` with an image of ours, by a user without privileges: addresses, and a log on stdin.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::golden::repository;
use super::program::{Stage, spawn};

/// Runs it in the folder of the images, with this on stdin.
fn symbolize(arguments: &[&str], input: &str) -> Output {
    let stage = Stage::new();
    let mut command = stage.command(&[&["symbolize"], arguments].concat());
    for (name, image) in [("vmlinux", "dwarf5"), ("module.ko", "relocatable")] {
        let image = fs::read(repository("tests/data/image").join(image)).unwrap();
        fs::write(stage.path(name), image).unwrap();
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It does not read stdin where it was given addresses.
    let _ = writer.join().unwrap();
    output
}

fn stdout(arguments: &[&str], input: &str) -> String {
    let output = symbolize(arguments, input);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_block_begins_with_the_address_and_the_innermost_function() {
    assert_eq!(
        stdout(&["-k", "vmlinux", "0xffffffff81000039", "--exact"], ""),
        "0xffffffff81000039\nplain kernel/main.c:18\n"
    );
    // What is meant is the call before it.
    assert_eq!(
        stdout(&["-k", "vmlinux", "ffffffff81000039", "plain+0x9/0x20"], ""),
        "0xffffffff81000039\nplain kernel/main.c:17\n".repeat(2)
    );
    assert_eq!(
        stdout(
            &["-k", "vmlinux", "--exact", "ffffffff810000c0", "0x10"],
            ""
        ),
        "0xffffffff810000c0\nmiddle include/check.h:13\nhalf mm/alloc.c:6\nalloc mm/alloc.c:12\n0x10\n?? ??:0\n"
    );
}

#[test]
fn a_base_moves_the_addresses() {
    let expected = "0xffffffff9a000039\nplain kernel/main.c:17\n";
    for base in ["0xffffffff9a000000", "0x19000000"] {
        let arguments = ["-k", "vmlinux", "--base", base, "0xffffffff9a000039"];
        assert_eq!(stdout(&arguments, ""), expected);
    }
}

#[test]
fn the_file_of_a_module_is_an_image_too() {
    assert_eq!(
        stdout(
            &["-k", "module.ko", "plain+0x9/0x20", "0x39", "--exact"],
            ""
        ),
        "0x39\nplain kernel/main.c:18\n".repeat(2)
    );
}

#[test]
fn an_object_tells_the_same() {
    let text = stdout(&["-k", "vmlinux", "--json", "plain+0x9"], "");
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["address"], "0xffffffff81000039");
    assert_eq!(object["symbol"], "plain");
    assert_eq!(object["frames"][0]["file"], "kernel/main.c");
    assert_eq!(object["frames"][0]["line"], 17);
}

#[test]
fn a_log_passes_with_lines_behind_its_places() {
    let log = "\
[    0.1] BUG: unable to handle \x1b[1m\\x\ttext
[    0.1] RIP: 0010:plain+0x9/0x20
[    0.1] Call Trace:
[    0.1]  <TASK>
[    0.1]  ? plain+0x9/0x20
[    0.1]  [<ffffffff81000039>] ? 0x1
[    0.1]  other+0x9/0x20
[    0.1] RSP: 0018:ffffc90000013d38
ffffffff81000039
ffffffffdeadbeef
no end";
    let expected = log
        .replace(
            "RIP: 0010:plain+0x9/0x20",
            "RIP: 0010:plain+0x9/0x20 (kernel/main.c:18)",
        )
        .replace("? plain+0x9/0x20", "? plain+0x9/0x20 (kernel/main.c:17)")
        .replace(
            "[<ffffffff81000039>]",
            "[<ffffffff81000039>] plain+0x9/0x20 (kernel/main.c:17)",
        )
        .replace(
            "\nffffffff81000039\n",
            "\nffffffff81000039\nplain kernel/main.c:17\n",
        )
        .replace("deadbeef\n", "deadbeef\n?? ??:0\n");
    let output = symbolize(&["-k", "vmlinux"], log);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "retsnoop-rs: warning: 1 of 6 places are not in the image; the first is \
         `other+0x9/0x20`: no symbol of this name\n\
         hint: the image must be the one of the kernel that printed the text: -k IMAGE names it\n"
    );
}

#[test]
fn inlined_functions_stand_before_the_function_they_are_in() {
    let text = stdout(&["-k", "vmlinux", "--exact"], "[ 1.0]  alloc+0x10/0x2a\n");
    assert_eq!(
        text,
        "[ 1.0]  middle (include/check.h:13) inlined\n[ 1.0]  half (mm/alloc.c:6) inlined\n\
         [ 1.0]  alloc+0x10/0x2a (mm/alloc.c:12)\n"
    );
}

#[test]
fn a_line_with_thousands_of_places_does_not_become_megabytes() {
    let line = "ffffffff810000c0 ".repeat(4000) + "\n";
    let decoded = stdout(&["-k", "vmlinux"], &line);
    assert_eq!(decoded.lines().count(), 1);
    assert!(decoded.len() < 6 * line.len(), "{} bytes", decoded.len());
    // Rows of inlined functions are not indented out of sight.
    let far = " ".repeat(5000) + "ffffffff810000c0 x\n";
    let decoded = stdout(&["-k", "vmlinux"], &far);
    let rows: Vec<&str> = decoded.lines().collect();
    assert!(rows.len() > 1, "{decoded}");
    assert!(rows[..rows.len() - 1].iter().all(|row| row.len() < 250));
}

#[test]
fn any_bytes_pass() {
    let log = "x".repeat(3 << 20) + "\n" + &"plain+0x9/0x20 ".repeat(1000);
    let text = stdout(&["-k", "vmlinux"], &log);
    assert!(text.starts_with(&"x".repeat(3 << 20)));
    assert_eq!(text.matches("(kernel/main.c:17)").count(), 1000);
}

/// A boot image, which carries a kernel without debug information.
#[test]
fn a_boot_image_is_named_with_its_build_id_and_the_way_to_lines() {
    let stage = Stage::new();
    let kernel = fs::read(repository("tests/data/image/no-dwarf")).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&kernel).unwrap();
    let payload = packed.finish().unwrap();
    // Three sectors; where the magic, the payload and its length are told.
    let mut image = vec![0; 3 * 512];
    image[0x1f1] = 2;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend(payload);
    fs::write(stage.path("vmlinuz"), image).unwrap();
    let output = stage.run(&["symbolize", "-k", "vmlinuz", "0xffffffff81000039"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let what = "error: `vmlinuz` has no debug information (DWARF), and there is none of its build \
                id 843139b19cae413a79db9f6405610b15c7ba6e0a\n";
    assert!(said.contains(what), "{said}");
    assert!(
        said.contains("hint: install the kernel's debug package, or `--debuginfod` "),
        "{said}"
    );
    assert!(
        said.contains("fetches it, or name its `vmlinux` with -k\n"),
        "{said}"
    );
}
