// SPDX-License-Identifier: BSD-2-Clause
//! Random calls and returns: the sums are right, and the algorithm and the model agree.

use super::model::{Model, Record, Sent};
use super::{ANSWERS, INT, INTERRUPT, POINTER, ROOT, Script, TASK, VOID};

/// Whatever is lost, nothing is written where it should not be, and the sums are right.
#[test]
fn random_calls_and_returns_add_up() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut script = Script::new();
    let mut depths = [0_u64; 2];
    for _ in 0..300_000 {
        let context = random(40) / 39;
        let stack = [TASK, INTERRUPT][context as usize];
        let stack = if random(50) == 0 {
            INTERRUPT + (8 << 14)
        } else {
            stack
        };
        script.on(stack, context as u32);
        let depth = &mut depths[context as usize];
        let func = 1 + random(30) as u32;
        if random(2) == 0 {
            if *depth == 0 {
                script.entry(0);
            } else if random(20) != 0 {
                script.call(
                    func,
                    [VOID, POINTER, INT, INT | ANSWERS][func as usize % 4],
                    *depth,
                );
            }
            *depth = (*depth + 1).min(80);
        } else {
            *depth = depth.saturating_sub(1 + random(20) / 19);
            let func = if *depth == 0 { 0 } else { func };
            script.ret(func, *depth, [0, -22, 0, -2, 1][random(5) as usize]);
        }
    }
    let lines = script.run();
    let sums: Vec<u64> = lines
        .last()
        .unwrap()
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [started, shown, succeeded, abandoned, 0] = sums[..] else {
        panic!("{sums:?}");
    };
    let ended = shown + succeeded + abandoned;
    assert!(started > 1000 && shown > 100, "{sums:?}");
    // One of the task and one of the interrupts may be open.
    assert!(ended <= started && started - ended <= 2, "{sums:?}");
}

/// How many steps there are. In most of them a function is called or returns.
const N_STEPS: usize = 1_000_000;

/// Contexts of the script.
const IN_TASK: usize = 0;
const IN_INTERRUPT: usize = 1;

/// What happens at random, to the algorithm and to the model.
struct Run {
    noise: Noise,
    script: Script,
    model: Model,
    /// Functions and stack pointers of the calls that are open, of each thread and of interrupts.
    open: [Vec<(u32, u64)>; 3],
    /// The thread that runs.
    thread: usize,
    /// How many calls follow one another.
    n_deep: usize,
}

impl Run {
    fn new() -> Self {
        Self {
            noise: Noise(0x9e37_79b9_7f4a_7c15),
            script: Script::new(),
            model: Model::new(),
            open: Default::default(),
            thread: 0,
            n_deep: 0,
        }
    }

    fn step(&mut self) {
        match self.noise.below(5000) {
            0..100 => self.switch(1 - self.thread),
            100 => self.exec(),
            101 => self.exit(),
            102..127 => self.early_interrupt(),
            _ => {}
        }
        if self.noise.below(10) == 0 {
            // The next interrupt may be on another stack, as if the CPU had been switched off and
            // on.
            let is_moved = self.noise.below(500) == 0;
            let stack = INTERRUPT + (8 << 14) * u64::from(is_moved);
            self.call_or_return(IN_INTERRUPT, stack);
        } else {
            let stack = TASK + (64 << 14) * self.thread as u64;
            self.call_or_return(IN_TASK, stack);
        }
    }

    fn switch(&mut self, thread: usize) {
        self.thread = thread;
        self.script.thread(thread);
        self.model.switch(thread);
    }

    /// The other thread exits, and the calls of this one stay open. A function of the program that
    /// is replaced never returns.
    fn exec(&mut self) {
        let thread = self.thread;
        self.switch(1 - thread);
        self.exit();
        self.switch(thread);
        self.script.exec();
        self.model.exec();
        self.open[thread].retain(|(_, sp)| *sp != ROOT);
    }

    fn exit(&mut self) {
        self.script.exit();
        self.model.exit();
        self.open[self.thread].clear();
    }

    /// A function of an interrupt that is taken for one of the task.
    fn early_interrupt(&mut self) {
        self.script
            .on(INTERRUPT, 0)
            .call_at(40, INT, INTERRUPT, 0)
            .ret_at(40, INTERRUPT, -5);
        self.model.call(40, INT, INTERRUPT, IN_TASK, false);
        self.model.ret(40, INTERRUPT, IN_TASK, -5);
    }

    fn call_or_return(&mut self, context: usize, stack: u64) {
        self.script.on(stack, context as u32);
        self.n_deep = match (self.n_deep, self.noise.below(3000)) {
            (0, 0) => 90,
            (n_deep, _) => n_deep.saturating_sub(1),
        };
        let n_open = self.open_in(context).len();
        let is_call = self.n_deep > 0 || n_open == 0 || self.noise.below(100) < 40;
        if is_call && n_open < 200 {
            self.call(context, stack);
        } else {
            self.ret(context);
        }
    }

    fn open_in(&mut self, context: usize) -> &mut Vec<(u32, u64)> {
        let place = if context == IN_TASK { self.thread } else { 2 };
        &mut self.open[place]
    }

    fn is_lost(&mut self) -> bool {
        self.noise.below(30) == 0
    }

    fn call(&mut self, context: usize, stack: u64) {
        let caller = self.open_in(context).last().copied();
        let func = match caller {
            None => 0,
            Some(_) => 1 + self.noise.below(30) as u32,
        };
        let class = [INT | ANSWERS, POINTER, INT, VOID][func as usize % 4];
        // A tail call has its caller's stack pointer.
        let jumps = self.noise.below(20) == 0;
        let sp = match caller {
            // Every fourth session begins outside of the kernel.
            None if context == IN_TASK && self.noise.below(4) == 0 => ROOT,
            None | Some((_, ROOT)) => stack,
            Some((_, sp)) => sp - 0x40 * u64::from(!jumps),
        };
        self.open_in(context).push((func, sp));
        if !self.is_lost() {
            self.script.call_at(func, class, sp, u32::from(func == 0));
            self.model.call(func, class, sp, context, func == 0);
        }
    }

    fn ret(&mut self, context: usize) {
        let result = [0, -22, 0, -2, 1][self.noise.below(5) as usize];
        if let Some((func, sp)) = self.open_in(context).pop()
            && !self.is_lost()
        {
            self.script.ret_at(func, sp, result);
            self.model.ret(func, sp, context, result);
        }
    }
}

/// The algorithm is bent for the verifier: products instead of branches, rings instead of lists. A
/// model without such tricks says the same of a million calls and returns of two threads and of
/// interrupts on two stacks. Some are lost, and some interrupts are not counted as such. Threads
/// exit, and call exec in the midst of their calls.
#[test]
fn the_algorithm_agrees_with_a_naive_model() {
    let mut run = Run::new();
    for _ in 0..N_STEPS {
        run.step();
    }
    let Run { script, model, .. } = run;
    let lines = script.run();
    let sent = sent(&lines);
    for (index, (sent, expected)) in sent.iter().zip(&model.sent).enumerate() {
        let mut sent = sent.clone();
        if expected.records.is_none() {
            assert!(sent.records.take().unwrap().len() <= 64, "session {index}");
        }
        assert_eq!(sent, *expected, "session {index}");
    }
    let n_sent = model.sent.len();
    let Model {
        started,
        succeeded,
        abandoned,
        exited,
        ..
    } = model;
    assert_eq!(
        lines.last().unwrap(),
        &format!(
            "started {started} shown {n_sent} succeeded {succeeded} abandoned {abandoned} \
             exited {exited}"
        )
    );
    let n_whole = model
        .sent
        .iter()
        .filter(|sent| sent.records.is_some())
        .count();
    assert!(n_whole > 9000 && n_whole < n_sent, "{n_whole} of {n_sent}");
    let n_across = model.sent_across_exec;
    assert!(n_across > 50 && exited > 100, "{n_across}, {exited}");
}

/// Reads what the program prints of sessions.
fn sent(lines: &[String]) -> Vec<Sent> {
    let mut all: Vec<Sent> = Vec::new();
    for line in lines {
        let numbers: Vec<i64> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        match (line.split(' ').next(), &numbers[..]) {
            (Some("session"), [tid, n_execs, _, _, unreturned, unmatched]) => all.push(Sent {
                tid: *tid as u32,
                n_execs: *n_execs as u32,
                unreturned: *unreturned as usize,
                unmatched: *unmatched as usize,
                records: Some(Vec::new()),
            }),
            (Some("call"), [func, depth, result, flags, times, _]) => {
                let records = all.last_mut().unwrap().records.as_mut().unwrap();
                records.push(Record {
                    func: *func as u32,
                    depth: *depth as usize,
                    result: *result,
                    flags: *flags as u32,
                    times: *times as u32,
                });
            }
            _ => {}
        }
    }
    all
}

struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
