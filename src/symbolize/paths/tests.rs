// SPDX-License-Identifier: BSD-2-Clause
//! Source trees in the various places that people build kernels in.

use super::Paths;

fn check(places: &[(&str, &str)], path: &str, expected: &str) {
    let places: Vec<_> = places
        .iter()
        .map(|(dir, name)| ((*dir).to_owned(), (*name).to_owned()))
        .collect();
    assert_eq!(&*Paths::of_places(&places).trim(path), expected);
}

#[test]
fn a_distribution_builds_elsewhere_than_its_sources_are() {
    let build = "/build/linux-6.12/debian/build/build_amd64";
    let places = [
        (build, "/build/linux-6.12/kernel/bpf/syscall.c"),
        (build, "/build/linux-6.12/mm/mmap.c"),
        (build, "/build/linux-6.12/arch/x86/entry/entry_64.S"),
    ];
    check(
        &places,
        "/build/linux-6.12/kernel/bpf/syscall.c",
        "kernel/bpf/syscall.c",
    );
    check(
        &places,
        "/build/linux-6.12/include/linux/err.h",
        "include/linux/err.h",
    );
    let generated = format!("{build}/arch/x86/include/generated/a.h");
    check(&places, &generated, "arch/x86/include/generated/a.h");
}

#[test]
fn a_tree_whose_own_path_has_kernel_in_it_is_cut_at_the_right_place() {
    let tree = "/home/me/kernel/linux";
    let places = [
        (tree, "kernel/fork.c"),
        (tree, "./drivers/base/core.c"),
        (tree, "fs/open.c"),
    ];
    check(
        &places,
        "/home/me/kernel/linux/drivers/base/core.c",
        "drivers/base/core.c",
    );
    check(
        &places,
        "/home/me/kernel/linux/./fs/../mm/slab.h",
        "mm/slab.h",
    );
}

#[test]
fn directories_that_were_mapped_to_relative_ones_are_cut_as_well() {
    let build = "debian/build/build_amd64_none_cloud-amd64";
    let places = [
        (build, "init/main.c"),
        (build, "drivers/base/core.c"),
        (build, "arch/x86/platform/pvh/head.S"),
        (build, "arch/x86/kernel/head_64.S"),
        (build, "arch/x86/lib/memcpy_64.S"),
        (
            "/usr/lib/rustlib/src/rust",
            "library/core/src/lib.rs/@/core.1",
        ),
    ];
    let file = format!("{build}/drivers/base/power/sysfs.c");
    check(&places, &file, "drivers/base/power/sysfs.c");
    let file = format!("{build}/arch/x86/platform/pvh/head.S");
    check(&places, &file, "arch/x86/platform/pvh/head.S");
    let file = "/build/reproducible-path/linux-7.2.13/rust/kernel/error.rs";
    check(&places, file, "rust/kernel/error.rs");
    let library = "/usr/lib/rustlib/src/rust/library/core/src/fmt/mod.rs";
    check(&places, library, library);
}

#[test]
fn a_module_of_one_unit_tells_where_its_tree_is() {
    for build in ["debian/build/build_amd64", "/home/me/kernel/linux"] {
        for name in ["drivers/net/dummy.c", "./drivers/net/dummy.c"] {
            let places = [(build, name)];
            let path = |file: &str| format!("{build}/{file}");
            check(&places, &path(name), "drivers/net/dummy.c");
            check(&places, &path("include/linux/err.h"), "include/linux/err.h");
        }
    }
    // A unit of somebody's own that is not part of a tree.
    let places = [("/home/me/fs", "dummy.c")];
    check(&places, "/home/me/fs/dummy.c", "fs/dummy.c");
    let places = [("/usr/src/linux-headers-6.12", "/home/me/dummy/dummy.c")];
    let own = "/home/me/dummy/dummy.c";
    check(&places, own, own);
}

#[test]
fn a_file_outside_of_the_tree_stays_whole() {
    let places = [("/src/linux", "kernel/fork.c"), ("/src/linux", "fs/open.c")];
    check(
        &places,
        "/usr/lib/gcc/x86_64/12/include/stddef.h",
        "/usr/lib/gcc/x86_64/12/include/stddef.h",
    );
}

#[test]
fn where_nothing_can_be_learnt_the_top_level_directories_decide() {
    check(
        &[],
        "/build/linux/kernel/bpf/syscall.c",
        "kernel/bpf/syscall.c",
    );
    check(&[], "./kernel//bpf/syscall.c", "kernel/bpf/syscall.c");
    check(
        &[("/b/linux", "kernel/bpf/core.c")],
        "/b/linux/kernel/bpf/x.c",
        "kernel/bpf/x.c",
    );
    check(&[], "/opt/thing/a.c", "/opt/thing/a.c");
    check(&[], "", "");
    check(&[], "/../..", "/");
}
