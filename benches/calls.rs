// SPDX-License-Identifier: BSD-2-Clause
//! What one call costs: runs a system call (or a user function) many times and prints nanoseconds a call.
//!
//! `calls NAME COUNT [ROUNDS]`; in a guest whose time counts instructions (`scripts/vm --icount`)
//! nanoseconds are instructions. Run untraced and traced, the difference is the tracer's.

#![allow(unsafe_code, clippy::print_stdout, clippy::print_stderr)]

mod user_probe;

use std::env;
use std::ffi::CString;
use std::mem;
use std::process::ExitCode;
use std::ptr;
use std::time::Instant;

/// `bpf(2)` commands and the size of the attributes that these calls need.
const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_LOOKUP_ELEM: i64 = 1;
const ATTR_BYTES: usize = 72;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let count = arguments
        .get(2)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1000_u32);
    let rounds = arguments
        .get(3)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5_u32);
    let mut call: Box<dyn FnMut() -> i64> = match arguments.get(1).map(String::as_str) {
        // SAFETY: closing no descriptor touches nothing.
        Some("close") => Box::new(|| i64::from(unsafe { libc::close(-1) })),
        Some("map-create-fails") => Box::new(|| {
            let mut attr = Attr::default();
            attr.set(0, 2); // an array
            attr.set(1, 8); // whose keys are not of 4 bytes
            attr.set(2, 8);
            attr.set(3, 1);
            attr.bpf(BPF_MAP_CREATE)
        }),
        Some("user-fails") => Box::new(|| i64::from(user_probe::probed_function(-22))),
        Some("user") => Box::new(|| i64::from(user_probe::probed_function(0))),
        Some("user-probed") => {
            user_probe::probe_by_the_kernel_alone();
            Box::new(|| i64::from(user_probe::probed_function(0)))
        }
        Some("map-lookup") => map_lookup(),
        Some("send") => send_on(arguments.get(4).map_or("lo", String::as_str)),
        _ => {
            eprintln!(
                "usage: calls close|map-create-fails|map-lookup|send|user|user-fails|user-probed \
                 COUNT [ROUNDS [INTERFACE]]"
            );
            return ExitCode::from(2);
        }
    };
    // One failure in any case; with a count of 0 no more than that.
    call();
    let mut rounds: Vec<u128> = (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            for _ in 0..count {
                call();
            }
            start.elapsed().as_nanos() / u128::from(count.max(1))
        })
        .collect();
    rounds.sort_unstable();
    let median = rounds[rounds.len() / 2];
    println!("{median} {} {}", rounds[0], rounds[rounds.len() - 1]);
    ExitCode::SUCCESS
}

/// A look-up that succeeds, in an array map of one element.
fn map_lookup() -> Box<dyn FnMut() -> i64> {
    let mut attr = Attr::default();
    attr.set(0, 2);
    attr.set(1, 4);
    attr.set(2, 8);
    attr.set(3, 1);
    let map = attr.bpf(BPF_MAP_CREATE);
    let key = Box::leak(Box::new(0_u32));
    let value = Box::leak(Box::new(0_u64));
    let mut attr = Attr::default();
    attr.set(0, map as u32);
    attr.set64(1, ptr::from_mut(key) as u64);
    attr.set64(2, ptr::from_mut(value) as u64);
    Box::new(move || attr.bpf(BPF_MAP_LOOKUP_ELEM))
}

/// A frame on an interface: on one of VLANs upon VLANs, as deep as these are stacked.
fn send_on(interface: &str) -> Box<dyn FnMut() -> i64> {
    let name = CString::new(interface).unwrap_or_default();
    // SAFETY: the name lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: takes numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    // SAFETY: plain numbers, for which all zeroes are good.
    let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_ifindex = index.cast_signed();
    let frame = [0xff_u8; 60];
    Box::new(move || {
        // SAFETY: frame and address live through the call and are as long as is said.
        let sent = unsafe {
            libc::sendto(
                socket,
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                mem::size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        sent as i64
    })
}

/// `union bpf_attr`, by its 32-bit and 64-bit words.
#[derive(Clone)]
#[repr(align(8))]
struct Attr([u8; ATTR_BYTES]);

impl Default for Attr {
    fn default() -> Self {
        Self([0; ATTR_BYTES])
    }
}

impl Attr {
    fn set(&mut self, word: usize, value: u32) {
        self.0[4 * word..4 * word + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn set64(&mut self, word: usize, value: u64) {
        self.0[8 * word..8 * word + 8].copy_from_slice(&value.to_ne_bytes());
    }

    fn bpf(&mut self, command: i64) -> i64 {
        // SAFETY: the attributes live through the call and hold no dangling pointers.
        unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), ATTR_BYTES) }
    }
}
