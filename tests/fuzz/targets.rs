// SPDX-License-Identifier: BSD-2-Clause
//! What is fed with any bytes: plain functions, for cargo-fuzz (`scripts/fuzz`) and, for a bounded
//! time, for the tests (`tests/it/fuzz.rs`). They shall return, soon and without a panic.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use retsnoop_rs::config::{GlobOrigin, GlobUse, Role};
use retsnoop_rs::events::{decode, decode_cgroup};
use retsnoop_rs::kernel::btf::Btf;
use retsnoop_rs::kernel::images::{self, BuildId};
use retsnoop_rs::kernel::kallsyms::Kallsyms;
use retsnoop_rs::spec::{Addr, GlobKind, GlobSpec, HookId, Ip, UserObject};
use retsnoop_rs::symbolize::{Level, LineOptions, LineSource, PendingLines, Symbolizer};
use retsnoop_rs::user::{FileSearch, Surroundings, list_probes, select_user};

/// Their names, as those of cargo-fuzz.
pub(crate) type Target = fn(&[u8]);

/// Where the code of the images of `tests/data/image` begins.
const TEXT: u64 = 0xffff_ffff_8100_0000;

/// A file that is said to be an image, a module or a debug file.
pub(crate) fn image(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path();
    let _ = images::check_debug(path, &BuildId(vec![1; 20]));
    let _ = images::with_debug(Path::new("/nowhere"), &[], path);
    let options = LineOptions::default();
    if let Ok((lines, symbols)) = PendingLines::open_alone(path.to_owned(), None, &options) {
        ask(lines, symbols);
    }
    let sections = [".text", ".init.text", ".data"].map(|name| (name.to_owned(), TEXT));
    let module = PendingLines::open_module(path.to_owned(), sections.to_vec(), 1 << 20);
    if let (Ok(lines), Ok(symbols)) = (module, Kallsyms::parse(SYMBOLS.to_vec())) {
        ask(lines, symbols);
    }
}

const SYMBOLS: &[u8] = b"ffffffff81000000 T _text\nffffffff81000100 T _etext\n";

fn ask(lines: LineSource, symbols: Kallsyms) {
    let glob: GlobSpec = ":*".parse().unwrap();
    if let GlobKind::Source(path) = glob.kind() {
        let _ = lines.functions(path);
    }
    let first: Vec<Addr> = (0..symbols.len().min(8))
        .map(|index| symbols.symbol(index).addr)
        .collect();
    let symbolizer = Symbolizer::new(symbols.into(), Level::Inlines, Some(lines));
    for addr in first
        .into_iter()
        .chain([Addr(TEXT), Addr(0), Addr(u64::MAX)])
    {
        for offset in 0..32 {
            let ip = if offset % 2 == 0 {
                Ip::return_to
            } else {
                Ip::exact
            };
            let frame = symbolizer.frame(ip(Addr(addr.0.wrapping_add(offset))));
            let _ = frame
                .symbol
                .as_ref()
                .map(|symbol| symbol.written_name().len());
        }
    }
}

/// The text of `/proc/kallsyms`.
pub(crate) fn kallsyms(bytes: &[u8]) {
    let Ok(symbols) = Kallsyms::parse(bytes.to_vec()) else {
        return;
    };
    for index in 0..symbols.len() {
        let symbol = symbols.symbol(index);
        let end = symbol.addr.0.wrapping_add(symbol.size);
        for addr in [symbol.addr, Addr(end), Addr(end.wrapping_sub(1))] {
            let _ = symbols.resolve(addr);
        }
        if index < 16 {
            assert!(symbols.named(symbol.name).count() > 0);
            let _ = symbols.namesakes_of_address(index);
        }
    }
}

/// The kernel's type information, and that of a module on top of it.
pub(crate) fn btf(bytes: &[u8]) {
    let Ok(kernel) = Btf::parse(bytes.to_vec(), None) else {
        return;
    };
    let kernel = Arc::new(kernel);
    ask_types(&kernel);
    if let Ok(module) = Btf::parse(bytes.to_vec(), Some(Arc::clone(&kernel))) {
        ask_types(&module);
    }
}

fn ask_types(btf: &Btf) {
    let _ = (btf.note(), btf.type_count(), btf.is_sorted());
    for (id, name) in btf.functions().take(64) {
        let _ = (
            btf.result_type(name, id),
            btf.shape(id),
            btf.declaration(id),
        );
    }
    let all = btf.functions().map(|(_, name)| name).collect();
    let _ = btf.functions_of_names(&all);
    let _ = (btf.has_member("e", "f"), btf.enum_value("e", "f"));
}

/// A record of the ring buffer.
pub(crate) fn records(bytes: &[u8]) {
    let _ = decode(bytes);
    let _ = decode_cgroup(bytes);
}

/// A program or a library whose functions and probes are traced, and whose libraries are looked for.
pub(crate) fn user(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let path = file.path();
    let globs = ["u:{}:*", "usdt:{}:*:*", "u:libnosuch:*"].map(|glob| {
        let text = glob.replace("{}", &path.display().to_string());
        let glob = GlobUse::new(text.parse().unwrap(), GlobOrigin::Option);
        (Role::Entry, glob)
    });
    let search = FileSearch {
        around: vec![Surroundings::of_command(&[path.into()])],
        ..FileSearch::default()
    };
    let len = bytes.len() as u64;
    let selection = select_user(&globs, &search, HookId(0));
    for function in selection.functions {
        if let Some((_, offset)) = function.hook.user_function() {
            assert!(offset < len);
        }
    }
    let _ = list_probes(&UserObject::File(path.display().to_string()));
}
