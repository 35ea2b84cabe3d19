// SPDX-License-Identifier: BSD-2-Clause
//! Directory trees as on real systems, and the images that are found in them.

use std::fs::{self, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::slice;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::unistd::{Uid, chown, geteuid};
use tempfile::TempDir;

use super::elf_file::ElfFacts;
use super::{
    BuildId, ImageProblem, ImageSearch, KernelIdentity, check_debug, debuginfod_caches, find,
    named, with_debug,
};

const RELEASE: &str = "6.12.1-test";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/image")
        .join(name)
}

fn no_id() -> KernelIdentity {
    KernelIdentity {
        release: RELEASE.to_owned(),
        build_id: None,
    }
}

/// The identity of the kernel that an image of the test data belongs to.
fn kernel_of(image: &str) -> KernelIdentity {
    let facts = ElfFacts::read(&data(image)).unwrap().unwrap();
    KernelIdentity {
        build_id: facts.build_id,
        ..no_id()
    }
}

fn place(root: &TempDir, place: &str, contents: &[u8]) -> PathBuf {
    let path = root.path().join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    path
}

#[test]
fn the_standard_places_are_looked_at_and_the_build_id_decides() {
    let kernel = kernel_of("dwarf5");
    let id = kernel.build_id.as_ref().unwrap().to_string();
    let good = fs::read(data("dwarf5")).unwrap();
    let places = [
        format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]),
        format!("cache/{id}/debuginfo"),
        format!("cache/.build-id/{}/{}/debug", &id[..2], &id[2..]),
        format!("cache/.build-id/{}/{}/elf", &id[..2], &id[2..]),
        format!("usr/lib/debug/boot/vmlinux-{RELEASE}"),
        format!("usr/lib/debug/lib/modules/{RELEASE}/vmlinux"),
        format!("lib/modules/{RELEASE}/build/vmlinux"),
        format!("boot/vmlinux-{RELEASE}"),
    ];
    for name in places {
        let root = tempfile::tempdir().unwrap();
        let path = place(&root, &name, &good);
        let ImageSearch { image, problems } =
            find(root.path(), &[root.path().join("cache")], &kernel);
        let image = image.unwrap_or_else(|| panic!("not found in {name}: {problems:?}"));
        assert_eq!((image.file.path, image.is_verified), (path, true));
    }
}

#[test]
fn another_kernels_image_is_passed_over_with_both_ids_told() {
    let root = tempfile::tempdir().unwrap();
    let kernel = kernel_of("dwarf5");
    let other = fs::read(data("dwarf4")).unwrap();
    place(
        &root,
        &format!("usr/lib/debug/boot/vmlinux-{RELEASE}"),
        &other,
    );
    let found = find(root.path(), &[], &kernel);
    assert!(found.image.is_none());
    let text = found.problems[0].to_string();
    for kernel in [kernel_of("dwarf5"), kernel_of("dwarf4")] {
        assert!(
            text.contains(&kernel.build_id.unwrap().to_string()),
            "{text}"
        );
    }
    // The right image in a later place is used.
    let good = fs::read(data("dwarf5")).unwrap();
    let path = place(&root, &format!("boot/vmlinux-{RELEASE}"), &good);
    assert_eq!(
        find(root.path(), &[], &kernel).image.unwrap().file.path,
        path
    );
}

#[test]
fn nothing_anywhere_is_one_problem_that_names_the_release() {
    let root = tempfile::tempdir().unwrap();
    let found = find(root.path(), &[], &no_id());
    assert!(found.image.is_none());
    assert!(matches!(
        &found.problems[..],
        [ImageProblem::NotFound { .. }]
    ));
    assert!(found.problems[0].to_string().contains(RELEASE));
}

#[test]
fn a_mark_of_debuginfods_clients_is_no_file() {
    let root = tempfile::tempdir().unwrap();
    let kernel = kernel_of("dwarf5");
    let id = kernel.build_id.as_ref().unwrap();
    place(&root, &format!("cache/{id}/debuginfo"), b"");
    let found = find(root.path(), &[root.path().join("cache")], &kernel);
    assert!(
        matches!(&found.problems[..], [ImageProblem::NotFound { .. }]),
        "{found:?}"
    );
}

#[test]
fn what_was_fetched_must_be_what_was_asked_for() {
    let id = |image| kernel_of(image).build_id.unwrap();
    let check = |image: &str, id: &BuildId| check_debug(&data(image), id);
    check("dwarf5", &id("dwarf5")).unwrap();
    check("zstd", &id("dwarf5")).unwrap();
    let why = |image, of| check(image, &id(of)).unwrap_err();
    let other = why("dwarf4", "dwarf5");
    assert!(other.contains(&id("dwarf4").to_string()), "{other}");
    assert!(why("no-dwarf", "dwarf5").contains("no debug information"));
    assert!(why("make", "dwarf5").contains("not an ELF file"));
    let root = tempfile::tempdir().unwrap();
    let whole = fs::read(data("dwarf5")).unwrap();
    for end in [0, 3, 63, 64, whole.len() - 1] {
        let path = place(&root, "part", &whole[..end]);
        check_debug(&path, &id("dwarf5")).unwrap_err();
    }
    // A compressed file would be useless for other programs that look there.
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&whole).unwrap();
    let path = place(&root, "packed", &packed.finish().unwrap());
    assert!(check_debug(&path, &id("dwarf5")).is_err());
}

#[test]
fn a_named_file_that_is_of_no_use_is_an_error_of_its_own_kind() {
    let root = tempfile::tempdir().unwrap();
    let kernel = kernel_of("dwarf5");
    let error = |path: &Path| named(root.path(), &[], path, &kernel).unwrap_err();
    assert!(matches!(
        error(&root.path().join("absent")),
        ImageProblem::Unreadable(..)
    ));
    assert!(matches!(error(root.path()), ImageProblem::Unreadable(..)));
    assert!(matches!(
        error(&place(&root, "empty", b"")),
        ImageProblem::NotElf(_)
    ));
    assert!(matches!(
        error(&place(&root, "garbage", b"\x7fELFgarbage")),
        ImageProblem::NotElf(_)
    ));
    assert!(matches!(error(&data("make")), ImageProblem::NotElf(_)));
    assert!(matches!(
        error(&data("no-dwarf")),
        ImageProblem::NoDwarf { .. }
    ));
    let mut foreign = fs::read(data("dwarf5")).unwrap();
    // `e_machine` is SPARC V9, which is not supported.
    foreign[18..20].copy_from_slice(&43_u16.to_le_bytes());
    let problem = error(&place(&root, "foreign", &foreign));
    assert!(
        matches!(problem, ImageProblem::ForeignArchitecture { .. }),
        "{problem}"
    );
}

#[test]
fn a_named_image_of_another_kernel_is_a_warning_and_no_lines() {
    let found = named(Path::new("/"), &[], &data("dwarf4"), &kernel_of("dwarf5")).unwrap();
    assert!(found.image.is_none());
    assert!(matches!(
        found.problems[..],
        [ImageProblem::Mismatch { .. }]
    ));
}

/// The image that `make` calls `linked`: `no-dwarf` with a link to `vmlinux.debug`.
#[test]
fn an_image_without_debug_information_leads_to_that_of_its_build_id() {
    let kernel = kernel_of("dwarf5");
    let id = kernel.build_id.as_ref().unwrap().to_string();
    let good = fs::read(data("dwarf5")).unwrap();
    let linked = fs::read(data("linked")).unwrap();
    for (image, debug) in [
        ("opt/vmlinux", "opt/vmlinux.debug".to_owned()),
        ("opt/vmlinux", "opt/.debug/vmlinux.debug".to_owned()),
        ("opt/vmlinux", "usr/lib/debug/opt/vmlinux.debug".to_owned()),
        (
            "opt/vmlinux",
            format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]),
        ),
        ("opt/vmlinux", format!("cache/{id}/debuginfo")),
    ] {
        let root = tempfile::tempdir().unwrap();
        let caches = [root.path().join("cache")];
        let image = place(&root, image, &linked);
        let debug = place(&root, &debug, &good);
        let found = named(root.path(), &caches, &image, &kernel).unwrap();
        assert_eq!(found.image.unwrap().file.path, debug);
        assert_eq!(
            with_debug(root.path(), &caches, &image).unwrap().path,
            debug
        );
        // The file of another build is never used, whatever its name is.
        fs::write(&debug, fs::read(data("dwarf4")).unwrap()).unwrap();
        let problem = named(root.path(), &caches, &image, &kernel).unwrap_err();
        assert!(problem.to_string().contains(&id), "{problem}");
        let problem = with_debug(root.path(), &caches, &image).unwrap_err();
        assert!(matches!(problem, ImageProblem::NoDwarf { .. }), "{problem}");
    }
}

#[test]
fn a_packed_image_is_read_as_any_other() {
    let root = tempfile::tempdir().unwrap();
    let kernel = kernel_of("dwarf5");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed
        .write_all(&fs::read(data("dwarf5")).unwrap())
        .unwrap();
    let path = place(&root, "vmlinux.gz", &packed.finish().unwrap());
    let found = named(root.path(), &[], &path, &kernel).unwrap();
    assert_eq!(found.image.unwrap().file.path, path);
    // A boot image contains a kernel without debug information. Its build id is reported.
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed
        .write_all(&fs::read(data("no-dwarf")).unwrap())
        .unwrap();
    let packed = packed.finish().unwrap();
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    image.extend(packed);
    let path = place(&root, "vmlinuz", &image);
    let problem = named(root.path(), &[], &path, &kernel)
        .unwrap_err()
        .to_string();
    assert!(problem.contains("no debug information"), "{problem}");
    assert!(
        problem.contains(&kernel.build_id.unwrap().to_string()),
        "{problem}"
    );
}

#[test]
fn without_a_build_id_to_compare_an_image_is_taken_unverified() {
    let found = named(Path::new("/"), &[], &data("dwarf5"), &no_id()).unwrap();
    assert!(!found.image.unwrap().is_verified);
}

#[test]
fn the_caches_of_debuginfod_are_where_its_variables_say() {
    let variables = [
        ("HOME", "/root"),
        ("XDG_CACHE_HOME", ""),
        ("DEBUGINFOD_CACHE_PATH", "/c"),
    ];
    let caches = debuginfod_caches(|name| {
        variables
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| (*value).into())
    });
    let expected = [
        "/c",
        "/root/.cache/debuginfod_client",
        "/root/.debuginfod_client_cache",
        "/root/.debug",
    ];
    assert_eq!(caches, expected.map(PathBuf::from));
}

#[test]
fn the_identity_is_read_from_proc_and_sys() {
    let root = tempfile::tempdir().unwrap();
    place(&root, "proc/sys/kernel/osrelease", b"6.12.1-test\n");
    let identity = KernelIdentity::read(root.path()).unwrap();
    assert_eq!(identity, no_id());
    let mut notes = Vec::new();
    for (name, kind, desc) in [
        (&b"Linux\0"[..], 257_u32, &b"abc"[..]),
        (b"GNU\0", 3, b"\x4a\x5a"),
    ] {
        notes.extend((name.len() as u32).to_ne_bytes());
        notes.extend((desc.len() as u32).to_ne_bytes());
        notes.extend(kind.to_ne_bytes());
        for part in [name, desc] {
            notes.extend(part);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
    }
    place(&root, "sys/kernel/notes", &notes);
    let identity = KernelIdentity::read(root.path()).unwrap();
    assert_eq!(identity.build_id, Some(BuildId(vec![0x4a, 0x5a])));
    for end in 0..notes.len() {
        place(&root, "sys/kernel/notes", &notes[..end]);
        KernelIdentity::read(root.path()).unwrap();
    }
}

#[test]
fn a_file_in_a_cache_of_another_user_is_not_read() {
    // Only root can change the owner of a file.
    if !geteuid().is_root() {
        return;
    }
    let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let facts = ElfFacts::read(&data("dwarf5")).unwrap().unwrap();
    let id = facts.build_id.unwrap();
    let cache = home.path().join(".cache/debuginfod_client");
    let file = cache.join(id.to_string()).join("debuginfo");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::copy(data("dwarf5"), &file).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let kernel = KernelIdentity {
        release: "6.12".to_owned(),
        build_id: Some(id),
    };
    let look = || find(root.path(), slice::from_ref(&cache), &kernel);
    assert_eq!(look().image.unwrap().file.path, file);
    // The file, the directory of the cache, the home directory.
    for path in [&file, &cache, &home.path().to_owned()] {
        chown(path, Some(Uid::from_raw(12_345)), None).unwrap();
        let found = look();
        assert!(found.image.is_none(), "{}", path.display());
        let problem = found.problems[0].to_string();
        assert!(problem.contains("belongs to another user"), "{problem}");
        chown(path, Some(Uid::from_raw(0)), None).unwrap();
    }
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    assert!(look().image.is_none());
    // The file of the system comes first, whatever a cache has.
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let own = root.path().join("usr/lib/debug/boot/vmlinux-6.12");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::copy(data("dwarf5"), &own).unwrap();
    assert_eq!(look().image.unwrap().file.path, own);
}

#[test]
fn the_file_that_was_judged_is_the_one_that_is_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("boot/vmlinux-6.12");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(data("dwarf5"), &path).unwrap();
    let kernel = KernelIdentity {
        release: "6.12".to_owned(),
        build_id: None,
    };
    let image = find(root.path(), &[], &kernel).image.unwrap();
    let other = root.path().join("other");
    fs::write(&other, b"another file").unwrap();
    fs::rename(&other, &path).unwrap();
    let mut read = Vec::new();
    let mut file = image.file.open().unwrap();
    file.rewind().unwrap();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, fs::read(data("dwarf5")).unwrap());
}
