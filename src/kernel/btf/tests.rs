// SPDX-License-Identifier: BSD-2-Clause
//! Hand-made BTF, truncated and damaged in many ways.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::format::RECORD_SIZE;
use super::{ArgKind, Btf, StructArgs, TrampolineObstacle, TrampolineRules};
use crate::kernel::version::KernelVersion;
use crate::knowledge::helpers::{ERRNO_HELPERS, POINTER_HELPERS};
use crate::spec::{FilterResult, ResultType};

const NEW: TrampolineRules = TrampolineRules {
    max_slots: 12,
    struct_args: StructArgs::Taken,
};
const OLD: TrampolineRules = TrampolineRules {
    max_slots: 6,
    struct_args: StructArgs::Refused,
};

fn parse(builder: &Builder) -> Btf {
    Btf::parse(builder.build(), None).unwrap()
}

/// The result type of a function that returns the type that `make` adds.
fn result_of(name: &str, make: impl Fn(&mut Builder) -> u32) -> ResultType {
    let mut builder = Builder::kernel();
    let result = make(&mut builder);
    let func = builder.func(name, result, &[]);
    parse(&builder).result_type(name, func)
}

#[test]
fn functions_are_listed_with_their_ids_and_equal_names_are_told() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let first = builder.func("twice", int, &[int]);
    let once = builder.func("once", int, &[]);
    builder.func("twice", 0, &[]);
    let btf = parse(&builder);
    let names: Vec<_> = btf.functions().map(|(_, name)| name).collect();
    assert_eq!(names, ["twice", "once", "twice"]);
    let all = btf.functions().map(|(_, name)| name).collect();
    let by_name = btf.functions_of_names(&all);
    assert_eq!((by_name["once"].id, by_name["once"].unique), (once, true));
    assert_eq!(
        (by_name["twice"].id, by_name["twice"].unique),
        (first, false)
    );
}

#[test]
fn types_are_sorted_whose_names_come_in_their_order_behind_those_without() {
    let mut builder = Builder::kernel();
    let char = builder.int("char", 1, 1);
    builder.pointer(char);
    assert!(!parse(&builder).is_sorted());
    let mut builder = Builder::kernel();
    builder.pointer(2);
    builder.int("char", 1, 1);
    builder.int("int", 4, 1);
    assert!(parse(&builder).is_sorted());
    builder.int("bool", 1, 1);
    assert!(!parse(&builder).is_sorted());
}

#[test]
fn a_result_is_judged_by_its_type_behind_names_and_qualifiers() {
    assert_eq!(result_of("f", |_| 0), ResultType::Void);
    assert_eq!(
        result_of("f", |b| b.int("int", 4, 1)),
        ResultType::Signed(4)
    );
    assert_eq!(
        result_of("f", |b| b.int("long", 8, 1)),
        ResultType::Signed(8)
    );
    assert_eq!(
        result_of("f", |b| b.int("u32", 4, 0)),
        ResultType::Unsigned(4)
    );
    assert_eq!(result_of("f", |b| b.int("_Bool", 1, 4)), ResultType::Bool);
    assert_eq!(
        result_of("f", |b| b.int("__int128", 16, 1)),
        ResultType::Void
    );
    assert_eq!(result_of("f", |b| b.pointer(0)), ResultType::Pointer);
    assert_eq!(
        result_of("f", |b| b.enumeration("e", &[("A", 1)])),
        ResultType::Signed(4)
    );
    assert_eq!(
        result_of("f", |b| b.structure("s", 8, &[])),
        ResultType::Unsigned(8)
    );
    assert_eq!(
        result_of("f", |b| b.structure("s", 16, &[])),
        ResultType::Void
    );
    assert_eq!(
        result_of("f", |b| {
            let long = b.int("long", 8, 1);
            let constant = b.raw(10, "", 0, long);
            b.typedef("ssize_t", constant)
        }),
        ResultType::Signed(8)
    );
}

#[test]
fn a_typedef_that_carries_failure_is_known_by_its_name() {
    let u8_named = |name: &'static str| {
        move |b: &mut Builder| {
            let byte = b.int("unsigned char", 1, 0);
            b.typedef(name, byte)
        }
    };
    assert_eq!(
        result_of("f", u8_named("blk_status_t")),
        ResultType::BlkStatus
    );
    assert_eq!(result_of("f", u8_named("vm_fault_t")), ResultType::VmFault);
    assert_eq!(result_of("f", u8_named("u8")), ResultType::Unsigned(1));
}

#[test]
fn seccomp_filters_refuse_by_minus_one_or_by_false() {
    let result = |make: fn(&mut Builder) -> u32| result_of("__seccomp_filter", make);
    assert_eq!(
        result(|b| b.int("int", 4, 1)),
        ResultType::Filter(FilterResult::MinusOne)
    );
    assert_eq!(
        result(|b| b.int("_Bool", 1, 4)),
        ResultType::Filter(FilterResult::False)
    );
    // A type of another kernel is judged as such.
    assert_eq!(result(|_| 0), ResultType::Void);
}

#[test]
fn the_mmap_family_returns_an_errno_in_an_unsigned_long() {
    let ulong = |b: &mut Builder| b.int("unsigned long", 8, 0);
    assert_eq!(result_of("do_mmap", ulong), ResultType::UlongErrno);
    assert_eq!(
        result_of("shmem_get_unmapped_area", ulong),
        ResultType::UlongErrno
    );
    assert_eq!(result_of("nr_free_pages", ulong), ResultType::Unsigned(8));
    let int = |b: &mut Builder| b.int("int", 4, 1);
    assert_eq!(
        result_of("do_mmap", int),
        ResultType::Signed(4),
        "BTF tells: the table does not"
    );
}

#[test]
fn bpf_helpers_return_what_their_manual_says() {
    let u64 = |b: &mut Builder| b.int("unsigned long long", 8, 0);
    assert_eq!(result_of("bpf_map_update_elem", u64), ResultType::Signed(8));
    assert_eq!(
        result_of("____bpf_probe_read_user", u64),
        ResultType::Signed(8)
    );
    assert_eq!(result_of("bpf_map_lookup_elem", u64), ResultType::Pointer);
    assert_eq!(result_of("bpf_ktime_get_ns", u64), ResultType::Unsigned(8));
    assert!(ERRNO_HELPERS.is_sorted() && POINTER_HELPERS.is_sorted());
}

#[test]
fn argument_slots_count_structs_by_their_size() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let small = builder.structure("small", 8, &[]);
    let pair = builder.structure("pair", 16, &[]);
    let named = builder.typedef("bpfptr_t", pair);
    let func = builder.func("f", int, &[int, small, named]);
    let shape = parse(&builder).shape(func).unwrap();
    assert_eq!(
        (shape.args, shape.arg_slots, shape.hardest_arg),
        (3, 4, ArgKind::SmallStruct)
    );
    assert_eq!(shape.obstacle(NEW), None);
    assert_eq!(shape.obstacle(OLD), Some(TrampolineObstacle::StructArg));
}

#[test]
fn what_a_trampoline_cannot_take_is_told_with_its_reason() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let large = builder.structure("large", 24, &[]);
    let union = builder.raw(5, "u", 0, 8);
    let obstacle = |result, parameters: &[u32], rules| {
        let mut builder = Builder::kernel();
        builder.int("int", 4, 1);
        builder.structure("large", 24, &[]);
        builder.raw(5, "u", 0, 8);
        let func = builder.func("f", result, parameters);
        parse(&builder).shape(func).unwrap().obstacle(rules)
    };
    assert_eq!(
        obstacle(int, &[int, 0], NEW),
        Some(TrampolineObstacle::Variadic)
    );
    assert_eq!(
        obstacle(large, &[], NEW),
        Some(TrampolineObstacle::StructResult)
    );
    assert_eq!(
        obstacle(int, &[large], NEW),
        Some(TrampolineObstacle::OddArg)
    );
    assert_eq!(
        obstacle(int, &[union], NEW),
        Some(TrampolineObstacle::OddArg)
    );
    assert_eq!(
        obstacle(int, &[int; 13], NEW),
        Some(TrampolineObstacle::TooManyArgs)
    );
    assert_eq!(obstacle(int, &[int; 12], NEW), None);
    assert_eq!(
        obstacle(int, &[int; 7], OLD),
        Some(TrampolineObstacle::TooManyArgs)
    );
    assert_eq!(obstacle(int, &[int; 6], OLD), None);
}

#[test]
fn the_rules_of_a_kernel_are_read_from_its_types_and_version() {
    let mut builder = Builder::kernel();
    let byte = builder.int("u8", 1, 0);
    let old = parse(&builder);
    builder.structure(
        "btf_func_model",
        8,
        &[("ret_size", byte), ("arg_flags", byte)],
    );
    let new = parse(&builder);
    let version = |major, minor| KernelVersion { major, minor };
    assert_eq!(TrampolineRules::of(&old, version(5, 10)), OLD);
    assert_eq!(TrampolineRules::of(&new, version(6, 12)), NEW);
    assert_eq!(
        TrampolineRules::of(&new, version(6, 1)),
        TrampolineRules {
            max_slots: 6,
            ..NEW
        }
    );
}

#[test]
fn a_module_continues_the_ids_and_strings_of_the_kernel() {
    let mut kernel = Builder::kernel();
    let int = kernel.int("int", 4, 1);
    kernel.func("in_kernel", int, &[]);
    let mut module = Builder::module(&kernel);
    let func = module.func("in_module", int, &[int]);
    let kernel = Arc::new(parse(&kernel));
    let module = Btf::parse(module.build(), Some(Arc::clone(&kernel))).unwrap();
    assert_eq!(
        module.functions().collect::<Vec<_>>(),
        [(func, "in_module")]
    );
    assert_eq!(module.result_type("in_module", func), ResultType::Signed(4));
    assert_eq!(module.func_id("in_module"), Some(func));
    assert!(kernel.func_id("in_kernel").is_some() && kernel.func_id("in_module").is_none());
    assert_eq!(module.name(int), "int");
}

#[test]
fn a_kernel_is_asked_for_types_members_values_and_variables() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let inner = builder.structure("", 4, &[("deep", int)]);
    builder.structure("task", 8, &[("pid", int), ("", inner)]);
    builder.enumeration("bpf_attach_type", &[("BPF_TRACE_FENTRY", 24)]);
    builder.func("bpf_session_cookie", int, &[int]);
    let btf = parse(&builder);
    assert!(btf.has_type("task") && !btf.has_type("tas") && !btf.has_type(""));
    assert!(btf.has_member("task", "pid") && btf.has_member("task", "deep"));
    assert!(!btf.has_member("task", "comm"));
    assert_eq!(
        btf.enum_value("bpf_attach_type", "BPF_TRACE_FENTRY"),
        Some(24)
    );
    assert_eq!(
        btf.enum_value("bpf_attach_type", "BPF_TRACE_KPROBE_SESSION"),
        None
    );
    assert!(btf.func_id("bpf_session_cookie").is_some());
    assert!(btf.var_id("bpf_session_cookie").is_none());
}

/// Found by fuzzing: 208 bytes took a minute.
#[test]
fn a_struct_that_contains_itself_many_times_is_searched_in_no_time() {
    let mut builder = Builder::kernel();
    // The struct is the type with the next id.
    let itself = builder.int("int", 4, 1) + 1;
    builder.structure("task", 8, &[("", itself); 8]);
    let btf = parse(&builder);
    let begun = Instant::now();
    assert!(!btf.has_member("task", "pid"));
    assert_eq!(btf.member_offset("task", "pid"), None);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn types_that_name_each_other_end() {
    let mut builder = Builder::kernel();
    builder.typedef("a", 2);
    builder.typedef("b", 1);
    let around = builder.structure("around", 8, &[("", 3)]);
    let func = builder.func("f", 1, &[2]);
    let btf = parse(&builder);
    assert_eq!(btf.result_type("f", func), ResultType::Unknown);
    assert_eq!(
        btf.shape(func).unwrap().obstacle(NEW),
        Some(TrampolineObstacle::OddArg)
    );
    assert!(!btf.has_member("around", "x"), "{around}");
}

#[test]
fn cut_or_bent_bytes_are_an_error_or_an_answer_never_a_panic() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let pair = builder.structure("pair", 16, &[("first", int), ("second", int)]);
    builder.enumeration("e", &[("A", 1), ("B", 2)]);
    builder.func("f", int, &[int, pair]);
    let whole = builder.build();
    for cut in 0..whole.len() {
        use_all(whole[..cut].to_vec());
    }
    for bit in 0..whole.len() * 8 {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        use_all(bent);
    }
}

/// Calls every lookup on BTF that may be malformed.
fn use_all(bytes: Vec<u8>) {
    let Ok(btf) = Btf::parse(bytes, None) else {
        return;
    };
    for (id, name) in btf.functions() {
        black_box((btf.result_type(name, id), btf.shape(id)));
        black_box(btf.declaration(id));
    }
    let all = btf.functions().map(|(_, name)| name).collect();
    black_box(btf.functions_of_names(&all));
    black_box((btf.has_member("pair", "second"), btf.enum_value("e", "B")));
}

#[test]
fn a_string_that_many_types_share_is_a_name_only_if_it_can_be_one() {
    const TYPES: u32 = 200_000;
    const TYPES_AT: usize = 24;
    let mut builder = Builder::kernel();
    let long = "x".repeat(16 << 20);
    let named = builder.typedef(&long, 0);
    let mut bytes = builder.build();
    let types = bytes[TYPES_AT..TYPES_AT + RECORD_SIZE].repeat(TYPES as usize);
    bytes.splice(TYPES_AT..TYPES_AT + RECORD_SIZE, types);
    let types_len = TYPES * RECORD_SIZE as u32;
    // The header words with the length of the types and the offset of the strings after them.
    for word in [12, 16] {
        bytes[word..word + 4].copy_from_slice(&types_len.to_le_bytes());
    }
    let btf = Btf::parse(bytes, None).unwrap();
    assert_eq!((btf.name(named), btf.name(TYPES)), ("", ""));
    assert!(!btf.has_type(&long) && !btf.has_type("x"));
}

#[test]
fn what_is_no_btf_is_an_error_that_says_so() {
    let error = |bytes: &[u8]| Btf::parse(bytes.to_vec(), None).unwrap_err().to_string();
    assert_eq!(
        error(b""),
        "not type information: no BTF magic at its start"
    );
    assert_eq!(
        error(b"\x7fELF"),
        "not type information: no BTF magic at its start"
    );
    assert_eq!(
        error(b"\xeb\x9f"),
        "the type information is of a big-endian kernel"
    );
    assert_eq!(error(b"\x9f\xeb\x01\x00"), "the BTF header is cut short");
}

/// The number of a kind that no kernel has yet.
const FUTURE_KIND: u32 = 0x55;

#[test]
fn a_kind_of_a_kernel_to_come_is_skipped_where_the_kernel_says_how_long_it_is() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    builder.layout(FUTURE_KIND as usize, 8, 4);
    builder.raw(FUTURE_KIND, "what", 3, 0);
    builder.words(&[0x1111_1111; 5]);
    let func = builder.func("behind", int, &[int]);
    let btf = parse(&builder);
    assert_eq!(btf.name(func), "behind");
    assert_eq!(btf.result_type("behind", func), ResultType::Signed(4));
    let note = btf.note().unwrap();
    assert!(
        note.starts_with("1 types") && note.contains("kind 85"),
        "{note}"
    );
    // The types of a module based on it have the right ids.
    let mut module = Builder::module(&builder);
    let of_module = module.func("of_module", int, &[]);
    let module = Btf::parse(module.build(), Some(Arc::new(btf))).unwrap();
    assert_eq!(module.name(of_module), "of_module");
    assert_eq!(module.note(), None);
}

#[test]
fn what_stands_before_a_kind_that_cannot_be_skipped_is_kept() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let func = builder.func("before", int, &[int]);
    builder.raw(FUTURE_KIND, "", 3, 0);
    builder.func("behind", int, &[]);
    let btf = parse(&builder);
    let names: Vec<_> = btf.functions().map(|(_, name)| name).collect();
    assert_eq!(names, ["before"]);
    assert_eq!(btf.result_type("before", func), ResultType::Signed(4));
    assert!(btf.note().unwrap().contains("left out"));
    // The ids of a module's types are not known.
    let module = Builder::module(&builder).build();
    let error = Btf::parse(module, Some(Arc::new(btf))).unwrap_err();
    assert!(error.to_string().contains("to their end"), "{error}");
}

#[test]
fn a_type_of_more_than_65535_elements_is_read_whole() {
    const MANY: u32 = 70_000;
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    let wide = builder.raw(6, "wide", MANY, 4);
    for number in 0..MANY {
        builder.words(&[0, number]);
    }
    let func = builder.func("behind", wide, &[int]);
    let btf = parse(&builder);
    assert_eq!(btf.name(func), "behind");
    assert_eq!(btf.note(), None);
}

#[test]
fn a_damaged_layout_is_an_error_or_an_answer_never_a_panic() {
    let mut builder = Builder::kernel();
    let int = builder.int("int", 4, 1);
    builder.layout(FUTURE_KIND as usize, 4, 0);
    builder.raw(FUTURE_KIND, "", 0, 0);
    builder.words(&[0]);
    builder.func("f", int, &[int]);
    let whole = builder.build();
    for cut in 0..whole.len() {
        use_all(whole[..cut].to_vec());
    }
    for bit in 0..whole.len() * 8 {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        use_all(bent);
    }
}
