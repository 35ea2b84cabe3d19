// SPDX-License-Identifier: BSD-2-Clause
//! Tests with functions of real kernel images (`tests/data/code`: address, size, name and bytes).
//! Functions without bytes only serve as call targets.

use std::collections::HashMap;

use super::{Code, Errnos, FunctionCode, Reached, ResultUse, Trails, arch, pointers, reachable};
use super::{FromFn, KernelText};
use crate::kernel::kallsyms::Kallsyms;
use crate::spec::{Addr, ResultType};

const V5_10: &str = include_str!("../../tests/data/code/5.10.txt");
const V6_12: &str = include_str!("../../tests/data/code/6.12.txt");

/// `__get_user_1` and `caller` call each other and themselves. Code may look like this if it is
/// patched while it is read.
const CIRCLE: &str = "\
ffffffff81001000 16 __get_user_1 e8fbffffffe8f6fffffff4f4f4f4f4f4
ffffffff81001010 16 caller e8ebffffffe8f6fffffff4f4f4f4f4f4
";

/// A kernel of a few functions.
pub(super) struct Few {
    pub(super) kallsyms: Kallsyms,
    bytes: HashMap<Addr, Vec<u8>>,
}

impl Few {
    pub(super) fn new(table: &str) -> Self {
        let mut symbols = "ffffffff81000000 T _stext\n".to_owned();
        let mut bytes = HashMap::new();
        for line in table.lines() {
            let mut words = line.split(' ');
            let (addr, size, name) = (words.next(), words.next(), words.next());
            let addr = u64::from_str_radix(addr.unwrap(), 16).unwrap();
            let end = addr + size.unwrap().parse::<u64>().unwrap();
            let name = name.unwrap();
            symbols.push_str(&format!(
                "{addr:016x} T {name}\n{end:016x} T behind_{name}\n"
            ));
            if let Some(hex) = words.next() {
                let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                bytes.insert(Addr(addr), (0..hex.len()).step_by(2).map(byte).collect());
            }
        }
        symbols.push_str("ffffffff82000000 T _etext\n");
        Self {
            kallsyms: Kallsyms::parse(symbols.into_bytes()).unwrap(),
            bytes,
        }
    }

    pub(super) fn addr(&self, name: &str) -> Addr {
        let symbol = self.kallsyms.named(name).next();
        symbol.unwrap_or_else(|| panic!("no `{name}`")).addr
    }

    fn name(&self, addr: Addr) -> &str {
        self.kallsyms.resolve(addr).unwrap().0.name
    }

    fn callees(&self, function: &FunctionCode) -> Vec<&str> {
        let callees = function.callees.iter();
        callees.map(|callee| self.name(callee.addr)).collect()
    }
}

impl KernelText for Few {
    fn read(&self, addr: Addr, bytes: &mut [u8]) -> bool {
        let Some(known) = self.bytes.get(&addr) else {
            return false;
        };
        bytes.copy_from_slice(&known[..bytes.len()]);
        true
    }
}

#[test]
fn a_leaf_makes_its_errors_itself() {
    let few = Few::new(V6_12);
    let code = Code::new(&few.kallsyms, &few);
    let function = code.function(few.addr("array_map_alloc_check")).unwrap();
    assert_eq!(few.callees(&function), [] as [&str; 0]);
    assert!(!function.has_indirect);
    // EINVAL, E2BIG.
    assert!(function.makes.contains(22), "{:?}", function.makes);
    assert!(function.makes.contains(7), "{:?}", function.makes);
    assert!(!function.makes.contains(2), "{:?}", function.makes);
    let start = few.addr("array_map_alloc_check");
    let mut n_moves = 0;
    for site in &function.sites {
        assert!((start..=site.insn).contains(&site.block), "{site:?}");
        let at = (site.insn.0 - start.0) as usize;
        let bytes = &few.bytes[&start][at..at + 5];
        // `mov eax, imm32`
        if bytes[0] == 0xb8 {
            let value = i32::from_le_bytes(bytes[1..].try_into().unwrap());
            assert_eq!(-value, i32::from(site.errno), "{site:?}");
            n_moves += 1;
        }
    }
    assert!(n_moves > 0, "{:?}", function.sites);
}

#[test]
fn callees_are_known_by_what_becomes_of_their_results() {
    let few = Few::new(V6_12);
    let code = Code::new(&few.kallsyms, &few);
    let may_open = code.function(few.addr("may_open")).unwrap();
    assert_eq!(
        few.callees(&may_open),
        ["inode_permission", "inode_owner_or_capable", "path_noexec"]
    );
    assert_eq!(may_open.callees[0].result, ResultUse::Tested);
    // ELOOP, EACCES, ENOENT, EISDIR, and EPERM from a `bool`.
    for errno in [40, 13, 2, 21, 1] {
        assert!(
            may_open.makes.contains(errno),
            "{errno}: {:?}",
            may_open.makes
        );
    }
    assert!(!may_open.makes.contains(22), "{:?}", may_open.makes);
}

#[test]
fn calls_through_pointers_are_seen_behind_thunks_too() {
    for table in [V5_10, V6_12] {
        let few = Few::new(table);
        let code = Code::new(&few.kallsyms, &few);
        // `file->f_op->fallocate`
        let function = code.function(few.addr("vfs_fallocate")).unwrap();
        assert!(function.has_indirect);
        let callees = few.callees(&function);
        assert!(callees.contains(&"fsnotify"), "{callees:?}");
        assert!(
            callees.iter().all(|name| !name.contains("thunk")),
            "{callees:?}"
        );
        // An offset in this kernel's `struct file_operations`; nothing else is called through a
        // pointer.
        let slot = if table == V5_10 { 0xd8 } else { 0xd0 };
        assert_eq!(function.slots, [slot]);
        // EBADF, ENODEV, EOPNOTSUPP.
        for errno in [9, 19, 95] {
            assert!(
                function.makes.contains(errno),
                "{errno}: {:?}",
                function.makes
            );
        }
    }
}

#[test]
fn the_unlikely_part_belongs_to_its_function() {
    let few = Few::new(V5_10);
    let code = Code::new(&few.kallsyms, &few);
    let function = code.function(few.addr("alloc_fd")).unwrap();
    let callees = few.callees(&function);
    assert!(callees.contains(&"printk"), "{callees:?}"); // of the cold part
    assert!(callees.contains(&"expand_files"), "{callees:?}");
    assert!(!callees.contains(&"alloc_fd.cold"), "{callees:?}");
    assert!(function.makes.contains(24), "{:?}", function.makes); // EMFILE
}

#[test]
fn what_is_reached_is_reached_once_and_has_a_depth() {
    let few = Few::new(V6_12);
    let code = Code::new(&few.kallsyms, &few);
    let Reached {
        functions,
        unreadable,
    } = reachable(&code, [few.addr("may_open"), few.addr("may_open")]);
    let depth = |name| functions.get(&few.addr(name)).copied();
    assert_eq!(depth("may_open"), Some(0));
    assert_eq!(depth("inode_permission"), Some(1));
    assert_eq!(depth("devcgroup_check_permission"), Some(2));
    assert_eq!(depth("vfs_fallocate"), None);
    assert!(unreadable > 0);
}

#[test]
fn a_trail_has_the_callees_that_can_fail() {
    let few = Few::new(V6_12);
    let type_of = |name: &str, _: Option<&str>| match name {
        "inode_permission"
        | "devcgroup_check_permission"
        | "security_inode_permission"
        | "generic_permission" => Some(ResultType::Signed(4)),
        _ => Some(ResultType::Bool),
    };
    let trails = Trails::new(Code::new(&few.kallsyms, &few), &type_of);
    let trail = trails.below(few.addr("may_open")).unwrap();
    assert!(!trail.has_indirect);
    let names: Vec<&str> = trail.callees.iter().map(|callee| &*callee.name).collect();
    assert_eq!(names, ["inode_permission"]);
    let callee = &trail.callees[0];
    assert!(callee.makes.contains(13), "{callee:?}"); // EACCES
    assert!(callee.below.contains(1), "{callee:?}"); // EPERM of the device cgroup
    assert!(
        !callee.makes.contains(21) && !callee.below.contains(21),
        "{callee:?}"
    );
    // It calls through `inode->i_op->permission`.
    assert!(callee.is_open);
    assert!(trails.below(Addr(1)).is_none());
}

#[test]
fn circles_of_calls_end() {
    let few = Few::new(CIRCLE);
    let code = Code::new(&few.kallsyms, &few);
    let caller = code.function(few.addr("caller")).unwrap();
    // Access to user memory counts as made by the caller: EFAULT.
    assert_eq!(caller.makes.as_slice(), [14]);
    assert_eq!(few.callees(&caller), [] as [&str; 0]);
    let reached = reachable(&code, [few.addr("__get_user_1"), few.addr("caller")]);
    assert_eq!(reached.functions.len(), 2);
}

#[test]
fn pointers_in_tables_are_known_by_their_place() {
    let symbols = "\
ffffffff81000000 T _stext
ffffffff81001000 t one
ffffffff81002000 t two
ffffffff81003000 T _etext
ffffffff82000000 d first_ops
ffffffff82000020 d second_ops
";
    let kallsyms = Kallsyms::parse(symbols.as_bytes().to_vec()).unwrap();
    let (one, two) = (Addr(0xffff_ffff_8100_1000), Addr(0xffff_ffff_8100_2000));
    let words = [0, one.0, 7, two.0, two.0, one.0 + 1];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let found = |wanted: &[Addr]| {
        let wanted = wanted.iter().copied().collect();
        let found = pointers(&kallsyms, Addr(0xffff_ffff_8200_0000), &data, &wanted);
        let found = found.iter();
        found
            .map(|pointer| (pointer.slot, pointer.function))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&[one, two]), [(8, one), (24, two), (0, two)]);
    assert_eq!(found(&[one]), [(8, one)]);
}

fn makes(bytes: &[u8]) -> Vec<u16> {
    let sites = arch::decode(Addr(0x1000), bytes).unwrap().sites(&[]);
    Errnos::of(sites.iter().map(|site| site.errno))
        .as_slice()
        .to_vec()
}

#[test]
fn choices_of_errnos_are_taken_apart() {
    // sbb eax,eax; and eax,8; sub eax,22: -EFAULT or -EINVAL
    let choice = [0x19, 0xc0, 0x83, 0xe0, 0x08, 0x83, 0xe8, 0x16];
    assert_eq!(makes(&choice), [1, 14, 22]);
    // setne al; movzx eax,al; lea eax,[rax+rax*4-22]: -EINVAL or -EINVAL+5
    let lea = [0x0f, 0x95, 0xc0, 0x0f, 0xb6, 0xc0, 0x8d, 0x44, 0x80, 0xea];
    assert!(makes(&lea).contains(&22) && makes(&lea).contains(&17));
    // mov rax,-12: an ERR_PTR
    assert_eq!(makes(&[0x48, 0xc7, 0xc0, 0xf4, 0xff, 0xff, 0xff]), [12]);
    // sub rsp,0x20; add rsp,-128: changes of the stack pointer
    assert!(makes(&[0x48, 0x83, 0xec, 0x20, 0x48, 0x83, 0xc4, 0x80]).is_empty());
    // mov eax,[rdi*4-0x7e000000]: a table
    let table = [0x8b, 0x04, 0xbd, 0x00, 0x00, 0x00, 0x82];
    assert!(arch::decode(Addr(0x1000), &table).unwrap().has_table);
}

#[test]
fn a_result_that_is_overwritten_explains_nothing() {
    let call = [0xe8, 0x00, 0x10, 0x00, 0x00];
    let used = |rest: &[u8]| {
        let bytes = [&call, rest].concat();
        arch::decode(Addr(0x1000), &bytes).unwrap().transfers[0].result
    };
    assert_eq!(used(&[0x31, 0xc0, 0xc3]), ResultUse::Ignored); // xor eax,eax; ret
    assert_eq!(used(&[0xb8, 0xea, 0xff, 0xff, 0xff]), ResultUse::Ignored); // mov eax,-22
    assert_eq!(used(&[0x85, 0xc0]), ResultUse::Tested); // test eax,eax
    assert_eq!(used(&[0x89, 0xc3, 0x85, 0xdb]), ResultUse::Tested); // mov ebx,eax; test ebx,ebx
    assert_eq!(used(&[0x5b, 0xc3]), ResultUse::Tested); // pop rbx; ret
    assert_eq!(
        used(&[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff]),
        ResultUse::Tested
    ); // IS_ERR
    assert_eq!(used(&[0xeb, 0x10]), ResultUse::Unknown); // jmp
}

#[test]
fn random_bytes_are_decoded_to_something() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let mut byte = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        };
        let bytes: Vec<u8> = (0..200).map(|_| byte()).collect();
        let found = arch::decode(Addr(u64::MAX - 100), &bytes).unwrap();
        assert!(found.transfers.len() <= bytes.len());
    }
    let kallsyms = Few::new(V6_12).kallsyms;
    let nothing = FromFn(|_: Addr, _: &mut [u8]| false);
    let code = Code::new(&kallsyms, &nothing);
    assert!(code.function(Addr(0xffff_ffff_812c_8300)).is_none());
}

#[test]
fn errnos_are_a_set() {
    let set = Errnos::of([22, 1, 22]);
    assert_eq!(set.as_slice(), [1, 22]);
    assert!(set.contains(1) && !set.contains(2));
}
