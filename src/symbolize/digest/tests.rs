// SPDX-License-Identifier: BSD-2-Clause
//! Tables return what was encoded. Lookups in damaged tables return less, and end.

use super::encode::{Encoder, LineTableRow};
use super::{Located, Table};

fn located(function: Option<u32>, file: u32, line: u32) -> Located {
    Located {
        function,
        file: Some(file),
        line,
    }
}

/// Start, end, and the expected chain.
type Expected = (u64, u64, Vec<Located>);

/// A table of a thousand rows with different lengths, lines, files and calls, and with gaps.
fn rows() -> (Vec<u8>, Vec<Expected>) {
    let mut encoder = Encoder::default();
    let mut expected = Vec::new();
    let files: Vec<u32> = (0..40).map(|number| encoder.file(1000 + number)).collect();
    let outer = encoder.call(0, 7, files[1], 100);
    let inner = encoder.call(outer, 300_000, files[39], 65_536);
    let mut start = 0xffff_ffff_8100_0000_u64;
    for number in 0..1000_u64 {
        let end = start + [1, 2, 31, 32, 33, 5000][number as usize % 6];
        let file = number as usize * 7 % 40;
        let line = (number * number % 70_000) as u32;
        let here = 1000 + file as u32;
        let (call, chain) = match number % 5 {
            0 => (
                outer,
                vec![located(Some(7), here, line), located(None, 1001, 100)],
            ),
            1 | 2 => (
                inner,
                vec![
                    located(Some(300_000), here, line),
                    located(Some(7), 1039, 65_536),
                    located(None, 1001, 100),
                ],
            ),
            _ => (0, vec![located(None, here, line)]),
        };
        let row = LineTableRow {
            call,
            file: files[file],
            line,
        };
        encoder.row(start, end, row).unwrap();
        expected.push((start, end, chain));
        start = end + [0, 0, 0, 3, 100_000][number as usize % 5];
    }
    (encoder.finish().unwrap(), expected)
}

#[test]
fn every_address_is_found_with_its_chain() {
    let (bytes, expected) = rows();
    let table = Table::new(&bytes).unwrap();
    let mut found = Vec::new();
    let mut last = 0;
    for (start, end, chain) in expected {
        for addr in [start, end - 1] {
            assert_eq!(table.look_up(addr, &mut found), Some(true), "{addr:#x}");
            assert_eq!(found, chain, "{addr:#x}");
        }
        if last < start {
            assert_eq!(
                table.look_up(start - 1, &mut found),
                Some(false),
                "{start:#x}"
            );
        }
        last = end;
    }
    assert_eq!(table.look_up(last, &mut found), Some(false));
    assert_eq!(table.look_up(0, &mut found), Some(false));
    assert_eq!(table.look_up(u64::MAX, &mut found), Some(false));
}

#[test]
fn damaged_tables_end() {
    let (bytes, expected) = rows();
    let mut found = Vec::new();
    let mut seed = 5_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    for round in 0..2000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + round % 4 {
            let at = random() % damaged.len();
            damaged[at] = random() as u8;
        }
        damaged.truncate(
            damaged.len()
                - if round % 7 == 0 {
                    random() % damaged.len()
                } else {
                    0
                },
        );
        let Some(table) = Table::new(&damaged) else {
            continue;
        };
        for (start, ..) in expected.iter().step_by(37) {
            let _ = table.look_up(*start, &mut found);
            assert!(found.len() <= 1 << 11);
        }
    }
}

#[test]
fn an_empty_unit_has_nothing() {
    let bytes = Encoder::default().finish().unwrap();
    let table = Table::new(&bytes).unwrap();
    assert_eq!(table.look_up(1, &mut Vec::new()), Some(false));
}
