// SPDX-License-Identifier: BSD-2-Clause
//! Decodes hostile bytes. Any input gives an event or an error.

use super::{DecodeError, Event, decode, is_told};
use crate::spec::Addr;
use crate::syscalls::Area;

/// A stack record with three addresses, in the layout of the BPF programs.
fn stack_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(1_u32.to_ne_bytes()); // kind
    bytes.extend(0_u32.to_ne_bytes()); // cpu
    bytes.extend(77_u64.to_ne_bytes()); // session
    bytes.extend(0_u32.to_ne_bytes()); // seq
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(2_u32.to_ne_bytes()); // capture
    bytes.extend(3_u32.to_ne_bytes()); // n_addrs
    for addr in [1_u64, 2, 3] {
        bytes.extend(addr.to_ne_bytes());
    }
    bytes
}

/// A record of what was written to stderr, in the layout of the BPF programs, with a length.
fn output_bytes(len: u32) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[..4].copy_from_slice(&7_u32.to_ne_bytes());
    bytes.extend(5_000_u64.to_ne_bytes()); // at_ns
    bytes.extend(1_u64.rotate_right(1).to_ne_bytes()); // size
    bytes.extend(70_u32.to_ne_bytes()); // tgid
    bytes.extend(71_u32.to_ne_bytes()); // tid
    bytes.extend(b"cat\0not the name");
    bytes.extend(len.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(b"\x1b[2J: No\0such\n");
    bytes
}

/// A record of a process that ended.
fn exit_bytes() -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[..4].copy_from_slice(&8_u32.to_ne_bytes());
    bytes.extend(6_000_u64.to_ne_bytes()); // at_ns
    bytes.extend(70_u32.to_ne_bytes()); // tgid
    bytes.extend(70_u32.to_ne_bytes()); // tid
    bytes.extend(b"sixteen bytes...");
    bytes.extend(0x300_u32.to_ne_bytes()); // code
    bytes
}

/// A session record with `sent` calls.
fn session_bytes(peak: u32, top: u32, sent: u32) -> Vec<u8> {
    let mut bytes = vec![0; 120];
    bytes[..4].copy_from_slice(&2_u32.to_ne_bytes());
    bytes[48..52].copy_from_slice(b"evil");
    bytes[104..108].copy_from_slice(&sent.to_ne_bytes());
    bytes[108..112].copy_from_slice(&peak.to_ne_bytes());
    bytes[112..116].copy_from_slice(&top.to_ne_bytes());
    for index in 0..sent {
        let mut call = [0_u8; 56];
        call[32..36].copy_from_slice(&index.to_ne_bytes()); // func
        call[36..40].copy_from_slice(&(1000 - index).to_ne_bytes()); // seq
        bytes.extend(call);
    }
    bytes
}

#[test]
fn a_stack_is_read_with_its_session() {
    let Event::Stack(stack) = decode(&stack_bytes()).unwrap() else {
        panic!("not a stack");
    };
    assert_eq!((stack.session, stack.capture), (77, 2));
    assert_eq!(stack.addrs, [1, 2, 3].map(Addr));
}

#[test]
fn what_was_written_is_read_as_it_is() {
    let Event::Output(output) = decode(&output_bytes(14)).unwrap() else {
        panic!("not an output");
    };
    assert_eq!(output.text, b"\x1b[2J: No\0such\n");
    assert_eq!(output.comm, b"cat");
    assert_eq!((output.at_ns, output.size), (5_000, 1 << 63));
    assert_eq!((output.tgid, output.tid), (70, 71));
}

#[test]
fn an_end_is_read_with_its_status() {
    let Event::Exit(exit) = decode(&exit_bytes()).unwrap() else {
        panic!("not an exit");
    };
    assert_eq!((exit.at_ns, exit.tgid, exit.tid), (6_000, 70, 70));
    assert_eq!(
        (exit.comm.as_slice(), exit.code),
        (&b"sixteen bytes..."[..], 0x300)
    );
}

#[test]
fn what_is_told_is_no_matter_of_a_session() {
    assert!(is_told(&output_bytes(14)) && is_told(&exit_bytes()));
    assert!(!is_told(&stack_bytes()) && !is_told(&[7, 0]));
}

#[test]
fn a_stack_without_its_last_byte_is_cut_short_and_what_follows_it_is_no_matter() {
    let mut bytes = stack_bytes();
    assert_eq!(
        decode(&bytes[..bytes.len() - 1]),
        Err(DecodeError::Truncated)
    );
    bytes.push(7);
    assert_eq!(decode(&bytes), decode(&stack_bytes()));
}

#[test]
fn a_name_ends_with_its_field() {
    let mut bytes = session_bytes(1, 1, 1);
    bytes[48..64].copy_from_slice(b"sixteen bytes...");
    let Event::Session(session) = decode(&bytes).unwrap() else {
        panic!("not a session");
    };
    assert_eq!(session.comm, b"sixteen bytes...");
    assert_eq!(session.leader_comm, b"");
}

#[test]
fn calls_after_discarded_ones_are_there() {
    // Thousands of records were discarded, down to the 33rd; seven followed.
    let Event::Session(session) = decode(&session_bytes(33 + 64, 40, 40)).unwrap() else {
        panic!("not a session");
    };
    assert_eq!((session.calls.len(), session.overwritten_calls), (7, 33));
}

#[test]
fn calls_come_back_in_the_order_of_their_starts() {
    let Event::Session(session) = decode(&session_bytes(3, 3, 3)).unwrap() else {
        panic!("not a session");
    };
    let order: Vec<u32> = session.calls.iter().map(|call| call.func).collect();
    assert_eq!(order, [2, 1, 0]);
    assert_eq!(session.comm, b"evil");
}

#[test]
fn a_wrapped_ring_gives_its_newest_calls() {
    let Event::Session(session) = decode(&session_bytes(74, 74, 64)).unwrap() else {
        panic!("not a session");
    };
    assert_eq!(session.calls.len(), 64);
}

#[test]
fn every_prefix_of_a_record_is_an_error_and_no_panic() {
    for whole in [
        stack_bytes(),
        session_bytes(3, 3, 3),
        output_bytes(14),
        exit_bytes(),
    ] {
        for len in 0..whole.len() {
            assert_eq!(
                decode(&whole[..len]),
                Err(DecodeError::Truncated),
                "{len} bytes"
            );
        }
    }
}

#[test]
fn counts_beyond_the_limits_are_refused() {
    assert_eq!(
        decode(&session_bytes(0, 65, 64)),
        Err(DecodeError::OutOfRange)
    );
    assert_eq!(
        decode(&session_bytes(9, u32::MAX, 9)),
        Err(DecodeError::OutOfRange)
    );
    assert_eq!(
        decode(&session_bytes(0, 4, 3)),
        Err(DecodeError::OutOfRange)
    );
    let mut stack = stack_bytes();
    stack[28..32].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(decode(&stack), Err(DecodeError::OutOfRange));
    for len in [257, u32::MAX] {
        assert_eq!(decode(&output_bytes(len)), Err(DecodeError::OutOfRange));
    }
    assert_eq!(decode(&output_bytes(256)), Err(DecodeError::Truncated));
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..20_000 {
        let mut bytes = match round % 4 {
            0 => stack_bytes(),
            1 => session_bytes(3, 3, 3),
            2 => output_bytes(14),
            _ => exit_bytes(),
        };
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let index = (state >> 33) as usize % bytes.len();
            bytes[index] = state as u8;
        }
        let _either_is_fine = decode(&bytes);
    }
}

/// A record with arguments, in the layout of the BPF programs: of a system call, or of another entry
/// function.
fn arguments_bytes(number: u32, n_areas: u32) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[..4].copy_from_slice(&6_u32.to_ne_bytes());
    bytes[8..16].copy_from_slice(&77_u64.to_ne_bytes());
    for word in 1..=6_u64 {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(number.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes()); // is_compat
    for len in [4, -1, -2, 0_i32] {
        bytes.extend(len.to_ne_bytes());
    }
    bytes.extend(n_areas.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(b"key\0");
    bytes.resize(104 + 256 * n_areas as usize, 0);
    bytes
}

#[test]
fn arguments_are_of_a_system_call_or_of_another_function() {
    let Ok(Event::Arguments(record)) = decode(&arguments_bytes(u32::MAX, 3)) else {
        panic!("no arguments");
    };
    assert_eq!(record.session, 77);
    assert_eq!(record.arguments.words, [1, 2, 3, 4, 5, 6]);
    let texts = [Area::Bytes(b"key\0".to_vec()), Area::None, Area::Unreadable];
    assert_eq!(record.arguments.texts, texts);
    let Ok(Event::Syscall(record)) = decode(&arguments_bytes(3, 0)) else {
        panic!("no system call");
    };
    assert_eq!((record.session, record.call.number), (77, 3));
    assert_eq!(
        decode(&arguments_bytes(u32::MAX, 5)),
        Err(DecodeError::OutOfRange)
    );
    let cut = arguments_bytes(u32::MAX, 1);
    assert_eq!(decode(&cut[..103]), Err(DecodeError::Truncated));
}
