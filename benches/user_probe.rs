// SPDX-License-Identifier: BSD-2-Clause
//! A user function that is called many times, and the least that a probe of it costs: a uprobe and a
//! uretprobe with a program that does nothing.

use std::ffi::CString;
use std::fs;
use std::hint::black_box;
use std::mem;

const BPF_PROG_LOAD: i64 = 5;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const PERF_EVENT_IOC_SET_BPF: u64 = 0x4004_2408;
const PERF_EVENT_IOC_ENABLE: u64 = 0x2400;

/// The function that is probed. It fails like a kernel function.
#[inline(never)]
pub(crate) fn probed_function(result: i32) -> i32 {
    black_box(result)
}

/// Opens the probes for the rest of the process.
pub(crate) fn probe_by_the_kernel_alone() {
    let program = smallest_program();
    for is_return in [false, true] {
        let event = open_event(is_return);
        // SAFETY: both requests take numbers.
        let set = unsafe { libc::ioctl(event, PERF_EVENT_IOC_SET_BPF, program) };
        // SAFETY: as above.
        let enabled = unsafe { libc::ioctl(event, PERF_EVENT_IOC_ENABLE, 0) };
        assert!(set == 0 && enabled == 0, "no probe: {set} {enabled}");
    }
}

/// `r0 = 0; exit`.
fn smallest_program() -> i32 {
    let insns: [u64; 2] = [0xb7, 0x95];
    let license = c"GPL";
    let mut attr = [0_u64; 16];
    attr[0] = u64::from(BPF_PROG_TYPE_KPROBE) | 2 << 32;
    attr[1] = insns.as_ptr() as u64;
    attr[2] = license.as_ptr() as u64;
    let size = mem::size_of_val(&attr);
    // SAFETY: the attributes, the instructions and the license live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, attr.as_mut_ptr(), size) };
    assert!(fd >= 0, "the program that does nothing is refused");
    fd as i32
}

/// `struct perf_event_attr`, as far as it is needed, in words of 64 bits.
fn open_event(is_return: bool) -> i32 {
    let pmu = "/sys/bus/event_source/devices/uprobe";
    let number = |name: &str| fs::read_to_string(format!("{pmu}/{name}")).unwrap_or_default();
    let kind: u64 = number("type").trim().parse().unwrap_or_default();
    let format = number("format/retprobe");
    let bit: u32 = format
        .trim()
        .trim_start_matches("config:")
        .parse()
        .unwrap_or_default();
    let path = CString::new("/proc/self/exe").unwrap_or_default();
    let mut attr = [0_u64; 16];
    let size = mem::size_of_val(&attr) as u64;
    attr[0] = kind | size << 32;
    attr[1] = u64::from(is_return) << bit;
    attr[7] = path.as_ptr() as u64;
    attr[8] = offset_in_file();
    // SAFETY: attributes and path live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), -1, 0, -1, 0) };
    assert!(fd >= 0, "no uprobe");
    fd as i32
}

/// Where the function is in our file: by the mapping that has it.
fn offset_in_file() -> u64 {
    let addr = probed_function as fn(i32) -> i32 as usize as u64;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut offsets = maps.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
        (start..end).contains(&addr).then(|| addr - start + offset)
    });
    offsets.next().unwrap_or_default()
}
