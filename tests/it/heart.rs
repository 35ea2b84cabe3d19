// SPDX-License-Identifier: BSD-2-Clause
//! The algorithm of the kernel side (`bpf/include/stack.bpf.h`) without a kernel: compiled as an
//! ordinary program with gcc's sanitizers, fed with calls and returns. And how entry functions are
//! told from others.

mod agreement;
mod model;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use tempfile::TempDir;

/// Result classes of `events.h`.
const VOID: u32 = 0;
const POINTER: u32 = 1;
const INT: u32 = 4;
/// Its failure counts though its callers succeed.
const ANSWERS: u32 = 0x80;

/// The stack pointer of a root that is no kernel function: `ROOT_SP` of `frames.bpf.h`.
const ROOT: u64 = 0xffff_ff7f_ffff_ffff;

/// Tops of the stacks of a task and of a CPU's interrupts.
const TASK: u64 = 0xffff_c900_0001_3f00;
const INTERRUPT: u64 = 0xffff_c900_0800_3f00;

static ALGORITHM: LazyLock<Program> = LazyLock::new(|| Program::compile("stack"));
static ENTRIES: LazyLock<Program> = LazyLock::new(|| Program::compile("entries"));

/// A file of `tests/heart`, compiled.
struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    fn compile(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let compiled = Command::new("gcc")
            .current_dir(root)
            .args(["-O1", "-g", "-std=gnu11", "-fsanitize=undefined,address"])
            .args(["-fno-sanitize-recover", "-Wno-unknown-pragmas"])
            .args(["-Ibpf/include", "-Ivmlinux/x86_64", "-o"])
            .arg(&path)
            .arg(format!("tests/heart/{name}.c"))
            .status();
        assert!(compiled.unwrap().success(), "gcc failed");
        Self {
            path,
            _directory: directory,
        }
    }

    /// What it prints for a text on its stdin.
    fn run(&self, text: &str) -> Vec<String> {
        let mut child = Command::new(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(text.as_bytes()).unwrap());
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "{text}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Calls and returns of a context.
struct Script {
    text: String,
    stack: u64,
    context: u32,
}

impl Script {
    fn new() -> Self {
        Self {
            text: String::new(),
            stack: TASK,
            context: 0,
        }
    }

    fn call(&mut self, func: u32, class: u32, depth: u64) -> &mut Self {
        self.any_call(func, class, depth, 0)
    }

    /// A call that may open a session.
    fn entry(&mut self, func: u32) -> &mut Self {
        self.any_call(func, INT | ANSWERS, 0, 1)
    }

    fn any_call(&mut self, func: u32, class: u32, depth: u64, opens: u32) -> &mut Self {
        self.call_at(func, class, self.stack - 0x40 * depth, opens)
    }

    fn call_at(&mut self, func: u32, class: u32, sp: u64, opens: u32) -> &mut Self {
        let context = self.context;
        writeln!(self.text, "c {func} {class} {sp:x} {context} {opens}").unwrap();
        self
    }

    fn ret(&mut self, func: u32, depth: u64, result: i64) -> &mut Self {
        self.ret_at(func, self.stack - 0x40 * depth, result)
    }

    fn ret_at(&mut self, func: u32, sp: u64, result: i64) -> &mut Self {
        let context = self.context;
        writeln!(self.text, "r {func} {sp:x} {context} {result}").unwrap();
        self
    }

    /// Calls and returns from now on come from another stack, or in another context.
    fn on(&mut self, stack: u64, context: u32) -> &mut Self {
        (self.stack, self.context) = (stack, context);
        self
    }

    /// Calls and returns in context 0 are from now on those of this thread of the process.
    fn thread(&mut self, thread: usize) -> &mut Self {
        writeln!(self.text, "t {thread}").unwrap();
        self
    }

    /// The thread calls exec. The other ones must have exited.
    fn exec(&mut self) -> &mut Self {
        self.text.push_str("x\n");
        self
    }

    /// The thread exits, and a new one takes its place.
    fn exit(&mut self) -> &mut Self {
        self.text.push_str("q\n");
        self
    }

    /// What the program prints: sessions with their calls, and the sums.
    fn run(&self) -> Vec<String> {
        ALGORITHM.run(&self.text)
    }
}

/// The functions of the calls that were kept.
fn kept(lines: &[String]) -> Vec<u32> {
    let calls = lines.iter().filter_map(|line| line.strip_prefix("call "));
    calls
        .map(|call| call.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_failure_travels_up() {
    let lines = Script::new()
        .entry(0)
        .call(1, INT, 1)
        .call(2, INT, 2)
        .ret(2, 2, 0)
        .call(3, INT, 2)
        .ret(3, 2, -22)
        .ret(1, 1, -22)
        .ret(0, 0, -22)
        .run();
    assert_eq!(
        lines[0],
        "session tid 7 comm 0 overwritten 0 cut 0 unreturned 0 unmatched 0"
    );
    assert_eq!(kept(&lines), [2, 3, 1, 0]);
    assert_eq!(
        lines[5],
        "started 1 shown 1 succeeded 0 abandoned 0 exited 0"
    );
}

/// btrfs with a missing device: `kernfs_find_ns` was blamed, which `deactivate_locked_super` calls
/// long after `open_ctree` had failed.
#[test]
fn failures_of_the_cleanup_do_not_overwrite_the_one_before() {
    let mut script = Script::new();
    script
        .entry(0)
        .call(1, INT, 1)
        .call(2, INT, 2)
        .ret(2, 2, -22);
    script.call(3, VOID, 2);
    for round in 0..200 {
        let func = 10 + round % 2;
        script.call(func, VOID, 3).call(20, POINTER, 4);
        script.ret(20, 4, 0).ret(func, 3, 0);
    }
    let lines = script.ret(3, 2, 0).ret(1, 1, -22).ret(0, 0, -22).run();
    let kept = kept(&lines);
    assert_eq!(kept[0], 2, "{lines:#?}");
    assert_eq!(kept[kept.len() - 3..], [3, 1, 0], "{lines:#?}");
    assert!(
        lines[0].starts_with("session tid 7 comm 0 overwritten 0 cut "),
        "{}",
        lines[0]
    );
    // Its stack was not overwritten either.
    assert_eq!(
        lines[1],
        "call 2 depth 2 result -22 flags 1 times 1 stack 1"
    );
}

/// A failure that was handled makes room for the one that counts.
#[test]
fn a_failure_after_a_handled_one_is_kept() {
    let mut script = Script::new();
    script.entry(0).call(1, INT, 1).ret(1, 1, -2);
    script.call(2, INT, 1).ret(2, 1, 0);
    script
        .call(3, INT, 1)
        .call(4, INT, 2)
        .ret(4, 2, -22)
        .ret(3, 1, -22);
    for round in 0..200 {
        let func = 10 + round % 2;
        script.call(func, VOID, 1).call(20, POINTER, 2);
        script.ret(20, 2, 0).ret(func, 1, 0);
    }
    let lines = script.ret(0, 0, -22).run();
    assert_eq!(kept(&lines)[..4], [1, 2, 4, 3], "{lines:#?}");
}

#[test]
fn what_a_forgiven_call_had_is_given_up_though_records_were_cut_meanwhile() {
    let mut script = Script::new();
    script.entry(0).call(1, INT, 1).ret(1, 1, -22);
    script.call(2, INT, 1);
    for round in 0..100 {
        let func = 10 + round % 2;
        script.call(func, INT, 2).ret(func, 2, -5);
    }
    let lines = script.ret(2, 1, 0).ret(0, 0, -22).run();
    assert_eq!(kept(&lines), [1, 2, 0], "{lines:#?}");
}

/// Of 567 sessions 115 were dropped as "return never seen".
#[test]
fn an_interrupt_before_it_is_counted_is_no_call_of_the_task() {
    for stack in [INTERRUPT, TASK - (INTERRUPT - TASK)] {
        let lines = Script::new()
            .entry(0)
            .call(1, INT, 1)
            .on(stack, 0)
            .call(5, INT, 0)
            .ret(5, 0, -1)
            .on(TASK, 0)
            .ret(1, 1, -22)
            .ret(0, 0, -22)
            .run();
        assert_eq!(kept(&lines), [1, 0], "{lines:#?}");
        assert_eq!(
            lines[0],
            "session tid 7 comm 0 overwritten 0 cut 0 unreturned 0 unmatched 0"
        );
    }
}

#[test]
fn the_next_interrupt_on_another_stack_ends_the_session_of_the_one_before() {
    let lines = Script::new()
        .on(INTERRUPT, 1)
        .entry(0)
        .on(TASK, 1)
        .entry(0)
        .ret(0, 0, -22)
        .run();
    assert_eq!(kept(&lines), [0]);
    assert_eq!(
        lines.last().unwrap(),
        "started 2 shown 1 succeeded 0 abandoned 1 exited 0"
    );
}

#[test]
fn an_entry_function_that_fails_in_a_session_that_succeeds_is_sent() {
    let script = |class| {
        let mut script = Script::new();
        script
            .entry(0)
            .call(1, class, 1)
            .ret(1, 1, -19)
            .ret(0, 0, 36);
        script.run()
    };
    assert_eq!(kept(&script(INT | ANSWERS)), [1, 0]);
    assert_eq!(
        script(INT),
        ["started 1 shown 0 succeeded 1 abandoned 0 exited 0"]
    );
}

#[test]
fn a_lost_return_costs_a_mark_and_not_the_session() {
    let lines = Script::new()
        .entry(0)
        .call(1, INT, 1)
        .call(2, INT, 2)
        .call(3, INT, 1)
        .ret(3, 1, -22)
        .ret(0, 0, -22)
        .run();
    assert!(lines[0].contains("unreturned 2"), "{lines:#?}");
    // The third has the first one's stack pointer, as if that had jumped to it.
    assert_eq!(kept(&lines), [2, 3, 1, 0]);
}

/// System calls have the same stack pointer: after a lost return all were taken for callees of the
/// first one, and none was shown.
#[test]
fn a_lost_return_of_the_entry_function_costs_one_session() {
    let mut script = Script::new();
    script.entry(0).call(1, INT, 1).ret(1, 1, -2);
    for _ in 0..3 {
        script
            .entry(0)
            .call(1, INT, 1)
            .ret(1, 1, -22)
            .ret(0, 0, -22);
    }
    let lines = script.run();
    assert_eq!(kept(&lines), [1, 0, 1, 0, 1, 0]);
    assert_eq!(
        lines.last().unwrap(),
        "started 4 shown 3 succeeded 0 abandoned 1 exited 0"
    );
}

/// A function of a program is not on the kernel's stack, but what it calls in the kernel is its
/// callee. All system calls of a task have the same stack pointer.
#[test]
fn a_root_outside_of_the_kernel_has_system_calls_as_callees() {
    let mut script = Script::new();
    script.call_at(9, INT | ANSWERS, ROOT, 1);
    script.call(1, INT, 0).ret(1, 0, 0);
    script.call(2, INT, 0).call(3, INT, 1).ret(3, 1, -22);
    // An interrupt that is not counted yet is on another stack. The return of 2 is lost, so the next
    // system call looks like one that 2 jumped to.
    script.on(INTERRUPT, 0).call(7, INT, 0).ret(7, 0, -5);
    script.on(TASK, 0).call(4, INT, 0).ret(4, 0, -22);
    let lines = script.ret_at(9, ROOT, -22).run();
    assert_eq!(kept(&lines), [1, 3, 4, 2, 9], "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        "started 1 shown 1 succeeded 0 abandoned 0 exited 0"
    );
}

/// The stack pointer of a user function, as `outside_sp()` maps it.
fn user(depth: u64) -> u64 {
    0xffff_ff00_0000_0000 | (0x7ffd_1234_5000 - 0x40 * depth) & 0x7f_ffff_ffff
}

/// `getaddrinfo` calls `connect`, which calls into the kernel: one session with all of them.
#[test]
fn kernel_functions_are_below_user_functions_which_nest() {
    let mut script = Script::new();
    script.call_at(9, INT | ANSWERS, user(0), 1);
    script.call_at(8, INT, user(1), 0);
    script.call(1, INT, 0).call(2, INT, 1);
    script.ret(2, 1, -111).ret(1, 0, -111);
    let lines = script.ret_at(8, user(1), -111).ret_at(9, user(0), -2).run();
    assert_eq!(kept(&lines), [2, 1, 8, 9], "{lines:#?}");
    assert_eq!(
        lines[0],
        "session tid 7 comm 0 overwritten 0 cut 0 unreturned 0 unmatched 0"
    );
    // A user function has returned to user space, where the kernel's stack is empty.
    assert_eq!(
        lines[1],
        "call 2 depth 3 result -111 flags 1 times 1 stack 1"
    );
    assert_eq!(lines[4], "call 9 depth 0 result -2 flags 1 times 1 stack 0");
}

/// `longjmp` leaves functions without a return.
#[test]
fn a_user_function_that_is_left_by_a_jump_costs_a_mark() {
    let mut script = Script::new();
    script.call_at(9, INT | ANSWERS, user(0), 1);
    script
        .call_at(8, INT, user(1), 0)
        .call_at(7, INT, user(2), 0);
    script.call(1, INT, 0).ret(1, 0, -22);
    script.call_at(6, INT, user(1), 0).ret_at(6, user(1), -5);
    let lines = script.ret_at(9, user(0), -5).run();
    assert!(lines[0].contains("unreturned 2"), "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        "started 1 shown 1 succeeded 0 abandoned 0 exited 0"
    );
}

/// The task, and so the key, stays the same, while the other threads of the process exit. The session
/// has the id and the name of its start.
#[test]
fn exec_does_not_end_the_session_of_the_thread_that_calls_it() {
    let lines = Script::new()
        .thread(0)
        .entry(0)
        .thread(1)
        .entry(0)
        .call(1, INT, 1)
        .thread(0)
        .exit()
        .thread(1)
        .exec()
        .ret(1, 1, -22)
        .ret(0, 0, -22)
        .run();
    assert_eq!(kept(&lines), [1, 0], "{lines:#?}");
    assert_eq!(
        lines[0],
        "session tid 8 comm 0 overwritten 0 cut 0 unreturned 0 unmatched 0"
    );
    assert_eq!(
        lines.last().unwrap(),
        "started 2 shown 1 succeeded 0 abandoned 0 exited 1"
    );
}

/// The kernel reuses the memory of a task, so the next one has the same key.
#[test]
fn a_task_does_not_continue_the_session_of_one_that_exited() {
    let lines = Script::new()
        .entry(0)
        .call(1, INT, 1)
        .exit()
        .call(2, INT, 1)
        .ret(2, 1, -22)
        .entry(0)
        .ret(0, 0, -22)
        .run();
    assert_eq!(kept(&lines), [0], "{lines:#?}");
    assert!(lines[0].starts_with("session tid 9 comm 0 "), "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        "started 2 shown 1 succeeded 0 abandoned 0 exited 1"
    );
}

/// An entry function that the kernel reported at another address opened no session, and nothing was
/// said: 0 sessions.
#[test]
fn an_entry_function_at_another_address_than_expected_is_told_by_its_cookie() {
    let text = "e ffffffff8100012\n\
                c ffffffff81000125 1\n\
                c ffffffff81000305 0\nc ffffffff81000305 0\n\
                c ffffffff81000415 1\nc ffffffff81000415 1\n";
    assert_eq!(
        ENTRIES.run(text),
        [
            "1 asked 0 unrecognized 0",
            // A function that opens none is asked once.
            "0 asked 1 unrecognized 0",
            "0 asked 1 unrecognized 0",
            // An entry function that is not recognized is asked, and counted, at each call.
            "1 asked 2 unrecognized 1",
            "1 asked 3 unrecognized 2",
        ]
    );
}
