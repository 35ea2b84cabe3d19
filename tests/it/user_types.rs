// SPDX-License-Identifier: BSD-2-Clause
//! Result types of user functions, from the debug information that gcc writes.

use std::fs;

use retsnoop_rs::config::{GlobOrigin, GlobUse, Role};
use retsnoop_rs::spec::{HookId, ResultType};
use retsnoop_rs::user::{FileSearch, select_user};

use crate::gcc::compile;
use crate::noise::Noise;

const PROGRAM: &str = "
#include <stdbool.h>
#include <stddef.h>
typedef int status_t;
struct pair { long first, second; };
enum colour { RED, GREEN };
int f_int(void) { return 0; }
status_t f_typedef(void) { return 0; }
long f_long(void) { return 0; }
const char *f_pointer(void) { return 0; }
bool f_bool(void) { return true; }
size_t f_size(void) { return 0; }
enum colour f_enum(void) { return RED; }
struct pair f_struct(void) { struct pair pair = {0, 0}; return pair; }
double f_double(void) { return 0; }
void f_void(void) {}
int main(void) { return 0; }
";

/// The types of the functions above: as told, and where nothing is told.
const EXPECTED: [(&str, ResultType); 10] = [
    ("f_bool", ResultType::False),
    ("f_double", ResultType::Void),
    ("f_enum", ResultType::Unsigned(4)),
    ("f_int", ResultType::UserInteger),
    ("f_long", ResultType::UserInteger),
    ("f_pointer", ResultType::Pointer),
    ("f_size", ResultType::Unsigned(8)),
    ("f_struct", ResultType::Void),
    ("f_typedef", ResultType::UserInteger),
    ("f_void", ResultType::Void),
];

fn types(glob: &str) -> Vec<(String, ResultType)> {
    let glob = GlobUse::new(glob.parse().unwrap(), GlobOrigin::Option);
    let selection = select_user(&[(Role::Entry, glob)], &FileSearch::default(), HookId(0));
    let functions = selection.functions.into_iter();
    let mut types: Vec<_> = functions.map(|f| (f.name, f.result)).collect();
    types.sort_by(|(left, _), (right, _)| left.cmp(right));
    types
}

fn assert_types(found: &[(String, ResultType)], expected: impl Fn(ResultType) -> ResultType) {
    let found: Vec<_> = found.iter().map(|(name, t)| (&**name, *t)).collect();
    let expected = EXPECTED.map(|(name, result)| (name, expected(result)));
    assert_eq!(found, expected);
}

#[test]
fn results_are_judged_as_the_debug_information_says() {
    let directory = tempfile::tempdir().unwrap();
    for options in [
        &["-g"][..],
        &["-gdwarf-4"],
        &["-gdwarf-5", "-O2", "-gz=zlib"],
        &["-g", "-no-pie"],
    ] {
        let program = compile(directory.path(), PROGRAM, options);
        assert_types(&types(&format!("u:{program}:f_*")), |result| result);
    }
}

#[test]
fn without_types_and_with_a_suffix_nothing_is_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    for options in [&["-g1"][..], &["-g0"]] {
        let program = compile(directory.path(), PROGRAM, options);
        let found = types(&format!("u:{program}:f_*"));
        assert_types(&found, |_| ResultType::UserInteger);
    }
    let program = compile(directory.path(), PROGRAM, &["-g"]);
    let found = types(&format!("u:{program}:f_*:ptr"));
    assert_types(&found, |_| ResultType::Pointer);
}

/// A hostile file costs its types, and no more.
#[test]
fn damaged_debug_information_costs_types_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for options in [&["-g"][..], &["-g", "-gz=zlib"]] {
        let program = compile(directory.path(), PROGRAM, options);
        let whole = fs::read(&program).unwrap();
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + noise.below(20) {
                // Behind the code: debug information, symbols and section headers.
                let at = 0x3000 + noise.below(bytes.len() - 0x3000);
                bytes[at] = noise.below(256) as u8;
            }
            fs::write(&program, &bytes).unwrap();
            assert!(types(&format!("u:{program}:f_*")).len() <= EXPECTED.len());
        }
    }
}
