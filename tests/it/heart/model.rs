// SPDX-License-Identifier: BSD-2-Clause
//! The algorithm of `bpf/include/stack.bpf.h` once more, as plainly as it can be written: vectors
//! without limits instead of rings, branches instead of arithmetic. For two threads of a process and
//! the interrupts of a CPU. What the two say of the same calls and returns is compared.

use super::{ANSWERS, POINTER, ROOT, VOID};

/// Process id, which is the id of the process's first thread.
const TGID: u32 = 7;

/// `THREAD_SIZE`: stacks are aligned to it.
const STACK_SIZE: u64 = 16384;

/// The limits of `limits.h` that decide what is kept.
const MAX_DEPTH: usize = 64;
const MAX_CALLS: usize = 64;
const MAX_SUCCESS_RUN: usize = 4;
const MAX_UNRETURNED: usize = 8;
const MAX_TAIL_CALLS: usize = 8;

/// `CALL_FAILED` and `CALL_UNRETURNED` of `events.h`.
const FAILED: u32 = 1;
const UNRETURNED: u32 = 2;

/// The code of a pointer that is NULL: not 0, and no errno.
const NULL: i64 = i64::MAX;

/// The record of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) func: u32,
    pub(super) depth: usize,
    pub(super) result: i64,
    pub(super) flags: u32,
    pub(super) times: u32,
}

/// A session that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Of the thread at the start, and how often it had called exec: its name tells.
    pub(super) tid: u32,
    pub(super) n_execs: u32,
    pub(super) unreturned: usize,
    pub(super) unmatched: usize,
    /// `None` where there were more than are kept: the model has no ring.
    pub(super) records: Option<Vec<Record>>,
}

/// A call that has not returned.
#[derive(Clone, Copy, Debug)]
struct Frame {
    func: u32,
    class: u32,
    sp: u64,
    /// How many records there were when it was called.
    n_before: usize,
    /// A callee has failed, and none has succeeded since.
    is_pending: bool,
    /// A request was answered with a failure below it.
    is_answered: bool,
    /// Successful calls in a row: where their records begin, and how many there were.
    run: (usize, usize),
}

/// A session that is open.
#[derive(Debug, Default)]
struct Open {
    /// The thread as it was at the start.
    by: Thread,
    /// Of the first call of a kernel function: it tells on which stack the session runs.
    sp: Option<u64>,
    frames: Vec<Frame>,
    /// Calls that are open beyond the depth that is recorded.
    n_beyond: usize,
    records: Vec<Record>,
    n_most: usize,
    /// A call returned when there was no room for its record. Others may have given way then, also
    /// where it turned out to need none.
    was_full: bool,
    unreturned: usize,
    unmatched: usize,
}

/// What of a thread goes into its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Thread {
    tid: u32,
    n_execs: u32,
}

/// Follows the calls and returns of threads (context 0) and of interrupts (context 1).
#[derive(Debug)]
pub(super) struct Model {
    threads: [Thread; 2],
    /// The thread that runs.
    current: usize,
    last_tid: u32,
    /// Of each thread, and of interrupts.
    open: [Option<Open>; 3],
    pub(super) sent: Vec<Sent>,
    /// Sessions that were sent and in which exec was called.
    pub(super) sent_across_exec: usize,
    pub(super) started: usize,
    pub(super) succeeded: usize,
    pub(super) abandoned: usize,
    pub(super) exited: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        let thread = |tid| Thread { tid, n_execs: 0 };
        Self {
            threads: [thread(TGID), thread(TGID + 1)],
            current: 0,
            last_tid: TGID + 1,
            open: Default::default(),
            sent: Vec::new(),
            sent_across_exec: 0,
            started: 0,
            succeeded: 0,
            abandoned: 0,
            exited: 0,
        }
    }

    /// Another thread runs.
    pub(super) fn switch(&mut self, thread: usize) {
        self.current = thread;
    }

    /// The thread becomes the leader of its process, with a new name. A function of the program that
    /// it was does not return. All else stays as it is.
    pub(super) fn exec(&mut self) {
        let open = &mut self.open[self.current];
        if open.as_ref().is_some_and(|open| open.frames[0].sp == ROOT) {
            self.abandoned += 1;
            *open = None;
        }
        let thread = &mut self.threads[self.current];
        thread.tid = TGID;
        thread.n_execs += 1;
    }

    /// The thread's calls do not return, and a new thread takes its place.
    pub(super) fn exit(&mut self) {
        self.exited += usize::from(self.open[self.current].take().is_some());
        self.last_tid += 1;
        self.threads[self.current] = Thread {
            tid: self.last_tid,
            n_execs: 0,
        };
    }

    fn place(&self, context: usize) -> usize {
        if context == 0 { self.current } else { 2 }
    }

    pub(super) fn call(&mut self, func: u32, class: u32, sp: u64, context: usize, opens: bool) {
        let by = self.threads[self.current];
        let place = self.place(context);
        let open = &mut self.open[place];
        if open.as_ref().is_some_and(|open| open.is_elsewhere(sp)) {
            // In a task: an interrupt that is not counted yet. In an interrupt: the next one.
            if context == 0 {
                return;
            }
            self.abandoned += 1;
            *open = None;
        }
        let is_called_again =
            |open: &mut Open| (open.frames[0].func, open.frames[0].sp) == (func, sp);
        if opens && open.as_mut().is_some_and(is_called_again) {
            self.abandoned += 1;
            *open = None;
        }
        if let Some(session) = open
            && session.frames.last().is_some_and(|top| top.sp < sp)
        {
            session.drop_unreturned(session.n_open_at(sp));
            if session.frames.is_empty() {
                self.abandoned += 1;
                *open = None;
            }
        }
        if open.is_none() {
            if !opens {
                return;
            }
            self.started += 1;
        }
        let start = || Open {
            by,
            ..Open::default()
        };
        open.get_or_insert_with(start).push(func, class, sp);
    }

    pub(super) fn ret(&mut self, func: u32, sp: u64, context: usize, result: i64) {
        let place = self.place(context);
        let Some(open) = self.open[place]
            .as_mut()
            .filter(|open| !open.is_elsewhere(sp))
        else {
            return;
        };
        let has_frame = open.unwind_to(func, sp);
        let Some(&frame) = open.frames.last() else {
            self.abandoned += 1;
            self.open[place] = None;
            return;
        };
        if !has_frame {
            return;
        }
        let code = code(frame.class, result);
        open.keep(frame, result, code);
        open.tell_caller(frame, code);
        open.frames.pop();
        if !open.frames.is_empty() {
            return;
        }
        let is_pending = frame.class & !ANSWERS == VOID && frame.is_pending;
        if code != 0 || frame.is_answered || is_pending {
            let is_across = context == 0 && open.by != self.threads[self.current];
            self.sent_across_exec += usize::from(is_across);
            self.sent.push(Sent {
                tid: open.by.tid,
                n_execs: open.by.n_execs,
                unreturned: open.unreturned,
                unmatched: open.unmatched,
                records: open.is_whole().then(|| open.records.clone()),
            });
        } else {
            self.succeeded += 1;
        }
        self.open[place] = None;
    }
}

impl Open {
    /// Whether a stack pointer is of another stack.
    fn is_elsewhere(&self, sp: u64) -> bool {
        let is_other = |own: u64| own / STACK_SIZE != sp / STACK_SIZE;
        sp != ROOT && self.sp.is_some_and(is_other)
    }

    /// Whether no record had to give way to another one.
    fn is_whole(&self) -> bool {
        !self.was_full && self.n_most <= MAX_CALLS
    }

    fn push(&mut self, func: u32, class: u32, sp: u64) {
        if sp != ROOT {
            self.sp.get_or_insert(sp);
        }
        if self.frames.len() + self.n_beyond >= MAX_DEPTH {
            self.n_beyond += 1;
            return;
        }
        self.frames.push(Frame {
            func,
            class,
            sp,
            n_before: self.records.len(),
            is_pending: false,
            is_answered: false,
            run: (0, 0),
        });
    }

    /// How many calls can be open when the stack pointer is this one.
    fn n_open_at(&self, sp: u64) -> usize {
        self.frames
            .iter()
            .take_while(|frame| frame.sp >= sp)
            .count()
    }

    /// Has the call that returns on top; whether it was found.
    fn unwind_to(&mut self, func: u32, sp: u64) -> bool {
        let top = *self.frames.last().unwrap();
        if self.n_beyond > 0 {
            if top.sp > sp {
                self.n_beyond -= 1;
                return false;
            }
            self.n_beyond = 0;
        }
        if (top.func, top.sp) == (func, sp) {
            return true;
        }
        let n_open = self.n_open_at(sp);
        let mut near = (1..=n_open).rev().take(MAX_TAIL_CALLS);
        let found = near.find(|n| {
            let frame = self.frames[n - 1];
            (frame.func, frame.sp) == (func, sp)
        });
        self.unmatched += usize::from(found.is_none());
        self.drop_unreturned(found.unwrap_or(n_open));
        found.is_some()
    }

    /// Drops all calls but the outermost ones: their returns were not seen.
    fn drop_unreturned(&mut self, keep: usize) {
        if keep >= self.frames.len() + self.n_beyond {
            return;
        }
        self.unreturned += self.frames.len() + self.n_beyond - keep;
        self.n_beyond = 0;
        let dropped = self.frames.split_off(keep);
        for (index, frame) in dropped.iter().take(MAX_UNRETURNED).enumerate() {
            self.add(Record {
                func: frame.func,
                depth: keep + index,
                result: 0,
                flags: UNRETURNED,
                times: 1,
            });
        }
        if let (Some(caller), Some(first)) = (self.frames.last_mut(), dropped.first()) {
            caller.is_pending |= first.is_pending;
            caller.is_answered |= first.is_answered;
        }
    }

    fn add(&mut self, record: Record) {
        self.records.push(record);
        self.n_most = self.n_most.max(self.records.len());
    }

    /// Records a call that returns.
    fn keep(&mut self, frame: Frame, result: i64, code: i64) {
        self.was_full |= self.records.len() >= MAX_CALLS;
        let depth = self.frames.len() - 1;
        let record = Record {
            func: frame.func,
            depth,
            result,
            flags: if code == 0 { 0 } else { FAILED },
            times: 1,
        };
        if code != 0 {
            match self.repeated(frame, &record) {
                Some(last) => last.times += 1,
                None => self.add(record),
            }
            return;
        }
        let is_transparent = frame.class & !ANSWERS == VOID && frame.is_pending;
        if !is_transparent && !frame.is_answered {
            self.records.truncate(frame.n_before);
        }
        if is_transparent || depth == 0 {
            self.add(record);
            return;
        }
        let n_records = self.records.len();
        let (start, length) = &mut self.frames[depth - 1].run;
        let n_kept = (*length).min(MAX_SUCCESS_RUN);
        if n_kept == 0 || n_records != *start + n_kept {
            (*start, *length) = (n_records, 0);
        }
        let place = *start + *length % MAX_SUCCESS_RUN;
        *length += 1;
        if *length <= MAX_SUCCESS_RUN {
            self.add(record);
        } else {
            self.records[place] = record;
        }
    }

    /// The last record, if this one is the same failure again with nothing in between.
    fn repeated(&mut self, frame: Frame, record: &Record) -> Option<&mut Record> {
        let caller = self.frames.get(record.depth.checked_sub(1)?)?;
        let n_records = self.records.len();
        if n_records != frame.n_before || n_records <= caller.n_before {
            return None;
        }
        let last = self.records.last_mut()?;
        let is_same = Record {
            times: last.times,
            ..*record
        } == *last;
        is_same.then_some(last)
    }

    fn tell_caller(&mut self, frame: Frame, code: i64) {
        let Some(caller) = (self.frames.len() - 1)
            .checked_sub(1)
            .map(|index| &mut self.frames[index])
        else {
            return;
        };
        caller.is_answered |= frame.is_answered || code != 0 && frame.class & ANSWERS != 0;
        if frame.class & !ANSWERS == VOID {
            // It has no result of its own, so what failed below it still counts.
            caller.is_pending |= frame.is_pending;
        } else {
            caller.is_pending = code != 0;
        }
    }
}

/// The code of a result; 0: it succeeded.
fn code(class: u32, result: i64) -> i64 {
    match class & !ANSWERS {
        VOID => 0,
        POINTER if result == 0 => NULL,
        _ if (-4095..0).contains(&result) => result,
        _ => 0,
    }
}
