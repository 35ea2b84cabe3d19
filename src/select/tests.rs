// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the selection with a kernel of a dozen functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BackendCapabilities, BtfOrigin, LeftOutReason, Selection, matching_modules, select};
use crate::config::{GlobOrigin, GlobUse, Globs, Role};
use crate::kernel::btf::builder::Builder;
use crate::kernel::btf::{Btf, StructArgs, TrampolineObstacle, TrampolineRules};
use crate::kernel::facts::KernelFacts;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::traceable::Traceable;
use crate::knowledge::arch;
use crate::knowledge::denied::{DENIED, NO_RETURN};
use crate::spec::{NameGlob, ResultType};

const SYMBOLS: &str = "\
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000ff0 t __pfx_vfs_open
ffffffff81001000 T vfs_open
ffffffff81001100 T vfs_alias
ffffffff81001100 T __vfs_alias
ffffffff81001200 t vfs_twin
ffffffff81001300 t vfs_twin
ffffffff81001400 t vfs_small.isra.0
ffffffff81001500 t vfs_small.isra.0.cold
ffffffff81001600 T vfs_notrace
ffffffff81001700 T vfs_printf
ffffffff81001800 T vfs_void
ffffffff81001900 T do_exit
ffffffff81001a00 T migrate_disable
ffffffff81001b00 T __x64_sys_open
ffffffff81001c00 D vfs_data
ffffffff81002000 T _etext
ffffffffc0000000 t vfs_in_module\t[xfs]
ffffffffc0000100 t xfs_bmap\t[xfs]
ffffffffc0000200 t xfs_end\t[xfs]
ffffffffc0100000 t bpf_prog_6deef7357e7b4530_vfs\t[bpf]
";

const NAMES: &str = "\
vfs_open
__vfs_alias
vfs_twin
vfs_twin
vfs_small.isra.0
vfs_printf
vfs_void
do_exit
migrate_disable
__x64_sys_open
vfs_in_module [xfs]
xfs_bmap [xfs]
";

const RULES: TrampolineRules = TrampolineRules {
    max_slots: 6,
    struct_args: StructArgs::Refused,
};

const ALL: BackendCapabilities = BackendCapabilities {
    kprobe_like: true,
    trampolines: Some(RULES),
};

fn facts(traceable: Option<&str>) -> KernelFacts {
    let mut kernel = Builder::kernel();
    let int = kernel.int("int", 4, 1);
    for name in ["vfs_open", "vfs_alias", "vfs_twin", "vfs_small"] {
        kernel.func(name, int, &[int]);
    }
    kernel.func("vfs_printf", int, &[int, 0]);
    kernel.func("vfs_void", 0, &[]);
    let mut module = Builder::module(&kernel);
    module.func("vfs_in_module", int, &[int, int]);
    let kernel = Arc::new(Btf::parse(kernel.build(), None).unwrap());
    let module = Btf::parse(module.build(), Some(Arc::clone(&kernel))).unwrap();
    KernelFacts {
        absent: Arc::default(),
        kallsyms: Kallsyms::parse(SYMBOLS.into()).unwrap(),
        traceable: traceable.map(|text| Traceable::parse(text.into())),
        text: None,
        kernel_btf: Some(kernel),
        module_btf: BTreeMap::from([("xfs".to_owned(), module)]),
    }
}

fn globs(entry: &[&str], allow: &[&str], deny: &[&str]) -> Globs {
    let mut globs = Globs::default();
    for (role, texts) in [
        (Role::Entry, entry),
        (Role::Allow, allow),
        (Role::Deny, deny),
    ] {
        for text in texts {
            let spec = text.parse().unwrap();
            globs.add(role, GlobUse::new(spec, GlobOrigin::Option));
        }
    }
    globs
}

fn selected(entry: &[&str], allow: &[&str], deny: &[&str]) -> Selection {
    select(&globs(entry, allow, deny), &facts(Some(NAMES)), &ALL)
}

fn names(selection: &Selection) -> Vec<&str> {
    selection
        .functions
        .iter()
        .map(|function| function.name.as_str())
        .collect()
}

fn reason(selection: &Selection, name: &str) -> LeftOutReason {
    let left_out = selection
        .left_out
        .iter()
        .find(|left_out| left_out.name == name);
    left_out
        .unwrap_or_else(|| panic!("{name} is not left out"))
        .reason
        .clone()
}

#[test]
fn functions_come_in_order_of_address_with_dense_ids_and_sizes() {
    let selection = selected(&["__x64_sys_open"], &["vfs_*"], &[]);
    assert_eq!(
        names(&selection),
        [
            "vfs_open",
            "vfs_alias",
            "vfs_twin",
            "vfs_twin",
            "vfs_small.isra.0",
            "vfs_printf",
            "vfs_void",
            "__x64_sys_open",
            "vfs_in_module",
        ]
    );
    for (index, function) in selection.functions.iter().enumerate() {
        assert_eq!(function.id.index(), index);
        assert!(function.size > 0, "{}", function.name);
    }
    let entries: Vec<_> = selection
        .entries()
        .map(|function| function.name.as_str())
        .collect();
    assert_eq!(entries, ["__x64_sys_open"]);
}

#[test]
fn the_default_denies_only_what_the_program_chooses() {
    let mut globs = globs(&["vfs_open"], &["vfs_void"], &[]);
    let of_default = GlobOrigin::Case {
        name: "any".to_owned(),
        why: "hot".to_owned(),
    };
    let all = GlobUse::new("*".parse().unwrap(), GlobOrigin::Program);
    globs.add(Role::Allow, all);
    globs.add(
        Role::Deny,
        GlobUse::new("vfs_*".parse().unwrap(), of_default),
    );
    let selection = select(&globs, &facts(Some(NAMES)), &ALL);
    let of_vfs = |name: &&str| name.starts_with("vfs_");
    let chosen: Vec<&str> = names(&selection).into_iter().filter(of_vfs).collect();
    assert_eq!(chosen, ["vfs_open", "vfs_void"]);
}

#[test]
fn entry_globs_allow_and_deny_wins() {
    let selection = selected(&["vfs_open", "vfs_void"], &[], &["*_open"]);
    assert_eq!(names(&selection), ["vfs_void"]);
    let denied = reason(&selection, "vfs_open");
    assert_eq!(denied.to_string(), "denied by `*_open`");
}

#[test]
fn a_glob_with_a_module_takes_modules_only_and_one_without_takes_both() {
    assert_eq!(
        names(&selected(&["vfs_* [xfs]"], &[], &[])),
        ["vfs_in_module"]
    );
    assert!(names(&selected(&["vfs_*"], &[], &[])).contains(&"vfs_in_module"));
    let selection = selected(&["vfs_*"], &[], &["* [xfs]"]);
    assert!(!names(&selection).contains(&"vfs_in_module"));
    assert!(names(&selection).contains(&"vfs_open"));
}

#[test]
fn the_modules_whose_types_are_needed_are_told() {
    let kallsyms = Kallsyms::parse(SYMBOLS.into()).unwrap();
    let modules = |glob| matching_modules(&globs(&[glob], &[], &[]), &kallsyms);
    assert_eq!(modules("xfs_*").into_iter().collect::<Vec<_>>(), ["xfs"]);
    assert!(modules("do_exit").is_empty());
}

#[test]
fn every_function_left_out_has_its_reason() {
    let selection = selected(&["vfs_*", "do_exit", "migrate_*", "xfs_end"], &[], &[]);
    assert_eq!(
        reason(&selection, "vfs_notrace"),
        LeftOutReason::NotTraceable
    );
    assert_eq!(
        reason(&selection, "vfs_small.isra.0.cold"),
        LeftOutReason::ColdPart
    );
    assert_eq!(reason(&selection, "do_exit"), LeftOutReason::NoReturn);
    assert!(matches!(
        reason(&selection, "migrate_disable"),
        LeftOutReason::BuiltIn { .. }
    ));
    assert_eq!(reason(&selection, "xfs_end"), LeftOutReason::NotTraceable);
    assert_eq!(
        selection.left_out_by_reason()[0],
        (LeftOutReason::NotTraceable, 2)
    );
}

#[test]
fn padding_data_and_bpf_programs_are_no_functions() {
    let selection = selected(&["*vfs*"], &[], &[]);
    let all = selection
        .left_out
        .iter()
        .map(|left_out| left_out.name.as_str());
    let all: Vec<&str> = all.chain(names(&selection)).collect();
    for name in [
        "__pfx_vfs_open",
        "vfs_data",
        "bpf_prog_6deef7357e7b4530_vfs",
    ] {
        assert!(!all.contains(&name), "{name}");
    }
}

#[test]
fn results_are_judged_by_type_and_clones_by_their_base_name() {
    let selection = selected(&["vfs_*", "__x64_sys_open"], &[], &[]);
    let result = |name: &str| {
        selection
            .functions
            .iter()
            .find(|function| function.name == name)
            .unwrap()
            .result
    };
    assert_eq!(result("vfs_open"), ResultType::Signed(4));
    assert_eq!(result("vfs_void"), ResultType::Void);
    assert_eq!(result("vfs_small.isra.0"), ResultType::Signed(4));
    assert_eq!(result("vfs_twin"), ResultType::Signed(4));
    assert_eq!(result("vfs_in_module"), ResultType::Signed(4));
    assert_eq!(
        result("__x64_sys_open"),
        ResultType::Unknown,
        "BTF has none of this name"
    );
}

#[test]
fn a_prototype_is_given_only_where_its_id_means_this_very_function() {
    let selection = selected(&["vfs_*"], &[], &[]);
    let prototype = |name: &str| {
        selection
            .functions
            .iter()
            .find(|function| function.name == name)
            .unwrap()
            .prototype
    };
    let open = prototype("vfs_open").unwrap();
    assert_eq!(
        (open.origin, open.arg_slots, open.trampoline_ok),
        (BtfOrigin::Vmlinux, 1, true)
    );
    let module = prototype("vfs_in_module").unwrap();
    assert_eq!((module.origin, module.arg_slots), (BtfOrigin::Module, 2));
    assert!(!prototype("vfs_printf").unwrap().trampoline_ok);
    assert!(prototype("vfs_twin").is_none());
    assert!(prototype("vfs_small.isra.0").is_none());
}

#[test]
fn with_trampolines_alone_what_they_cannot_take_is_left_out() {
    let capabilities = BackendCapabilities {
        kprobe_like: false,
        ..ALL
    };
    let selection = select(
        &globs(&["vfs_*"], &[], &[]),
        &facts(Some(NAMES)),
        &capabilities,
    );
    assert_eq!(
        names(&selection),
        ["vfs_open", "vfs_alias", "vfs_void", "vfs_in_module"]
    );
    let no_backend = |obstacle| LeftOutReason::NoBackend { obstacle };
    assert_eq!(
        reason(&selection, "vfs_printf"),
        no_backend(TrampolineObstacle::Variadic)
    );
    assert_eq!(
        reason(&selection, "vfs_twin"),
        no_backend(TrampolineObstacle::NoPrototype)
    );
    assert_eq!(
        reason(&selection, "vfs_printf").to_string(),
        "the back end cannot take it: it takes a variable number of arguments"
    );
}

#[test]
fn twins_of_which_one_is_traceable_are_told_apart_by_address_only() {
    let once = NAMES.replacen("vfs_twin\n", "", 1);
    let twins = globs(&["vfs_twin"], &[], &[]);
    let selection = select(&twins, &facts(Some(&once)), &ALL);
    assert_eq!(names(&selection), [""; 0]);
    assert_eq!(reason(&selection, "vfs_twin"), LeftOutReason::Ambiguous);

    // The patch site is 4 bytes after the start, because `endbr64` comes first.
    let selection = select(&twins, &facts(Some("ffffffff81001304 vfs_twin\n")), &ALL);
    assert_eq!(selection.functions.len(), 1);
    assert_eq!(selection.functions[0].addr().0, 0xffff_ffff_8100_1300);
    assert_eq!(reason(&selection, "vfs_twin"), LeftOutReason::NotTraceable);
}

#[test]
fn without_ftraces_list_the_kernel_is_left_to_say_no() {
    let selection = select(&globs(&["vfs_*"], &[], &[]), &facts(None), &ALL);
    assert!(names(&selection).contains(&"vfs_notrace"));
}

#[test]
fn names_of_one_address_are_one_function_and_any_of_them_may_be_denied() {
    let selection = selected(&["*vfs_alias"], &[], &[]);
    assert_eq!(names(&selection), ["vfs_alias"]);
    assert!(
        selected(&["*vfs_alias"], &[], &["__vfs_*"])
            .functions
            .is_empty()
    );
    assert_eq!(
        names(&selected(&["vfs_alias"], &[], &[])),
        ["vfs_alias"],
        "listed as its alias"
    );
}

#[test]
fn a_glob_that_comes_to_nothing_says_why() {
    let why = |glob: &str| {
        selected(&[glob], &[], &[]).globs[0]
            .why_nothing()
            .unwrap_or_default()
    };
    assert_eq!(why("vfs_open"), "");
    assert_eq!(
        why("vfs_opne"),
        "`vfs_opne` matches no function of this kernel or its loaded modules; similar: vfs_open"
    );
    assert_eq!(
        why("sys_open"),
        "`sys_open` matches no function of this kernel or its loaded modules; similar: \
         __x64_sys_open, vfs_open"
    );
    assert_eq!(
        why("vfs_notrace"),
        "the one function that matches `vfs_notrace` cannot be traced: unknown to ftrace: marked \
         notrace, start-up code, or built without tracing"
    );
    assert_eq!(
        why("* [ext4]"),
        "`* [ext4]` matches no function of this kernel or its loaded modules"
    );
    let denied = &selected(&["vfs_void"], &[], &["vfs_*", "nothing"]).globs;
    assert_eq!(
        denied[0].why_nothing().unwrap(),
        "the one function that matches `vfs_void` cannot be traced: denied by `vfs_*`"
    );
    assert_eq!(denied[1].why_nothing(), None);
    assert_eq!(
        denied[2].why_nothing().unwrap(),
        "`nothing` denies nothing that the other globs ask for"
    );
}

#[test]
fn a_glob_report_counts_at_each_step() {
    let selection = selected(&["vfs_open"], &["vfs_*"], &["vfs_void"]);
    let report = &selection.globs[1];
    assert_eq!(
        (
            report.in_kallsyms,
            report.in_btf,
            report.attachable,
            report.selected
        ),
        (10, 9, 7, 7)
    );
}

#[test]
fn built_in_lists_are_well_formed() {
    assert!(NO_RETURN.is_sorted());
    assert!(arch::NO_RETURN.iter().all(|list| list.is_sorted()));
    for glob in DENIED.iter().flat_map(|(globs, _)| globs.iter()) {
        assert!(NameGlob::function(glob).is_ok(), "{glob}");
    }
}

fn forced(entry: &[&str], allow: &[&str], capabilities: &BackendCapabilities) -> Selection {
    let mut globs = globs(entry, allow, &[]);
    globs.force = true;
    select(&globs, &facts(Some(NAMES)), capabilities)
}

#[test]
fn force_overrides_our_advice_for_functions_that_are_named() {
    let selection = forced(&["__x64_sys_open"], &["migrate_disable", "do_ex*"], &ALL);
    let names: Vec<_> = selection
        .functions
        .iter()
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(names, ["migrate_disable", "__x64_sys_open"]);
    let [(id, reason)] = selection.forced.as_slice() else {
        panic!("{:?}", selection.forced);
    };
    assert_eq!(selection.functions[id.index()].name, "migrate_disable");
    assert!(matches!(reason, LeftOutReason::BuiltIn { .. }));
    // A glob does not name one function, so it cannot force.
    assert_eq!(selection.left_out[0].name, "do_exit");
    assert_eq!(selection.left_out[0].reason, LeftOutReason::NoReturn);
}

#[test]
fn force_does_not_override_what_the_kernel_cannot_do() {
    let selection = forced(
        &["__x64_sys_open"],
        &["vfs_small.isra.0.cold", "vfs_notrace"],
        &ALL,
    );
    assert!(selection.forced.len() <= 1);
    let reasons: Vec<_> = selection.left_out.iter().map(|l| &l.reason).collect();
    assert_eq!(
        reasons,
        [&LeftOutReason::NotTraceable, &LeftOutReason::NotTraceable]
    );
    let trampolines = BackendCapabilities {
        kprobe_like: false,
        ..ALL
    };
    let selection = forced(&["vfs_open"], &["migrate_disable"], &trampolines);
    assert!(matches!(
        selection.left_out[0].reason,
        LeftOutReason::NoBackend { .. }
    ));
    let plain = select(
        &globs(&["vfs_open"], &["migrate_disable"], &[]),
        &facts(Some(NAMES)),
        &ALL,
    );
    assert!(plain.forced.is_empty());
    assert!(matches!(
        plain.left_out[0].reason,
        LeftOutReason::BuiltIn { .. }
    ));
}
