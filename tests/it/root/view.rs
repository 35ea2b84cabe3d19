// SPDX-License-Identifier: BSD-2-Clause
//! The JSON objects of a run, asked in the words of the tests.

use serde_json::Value;

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session(pub(super) Value);

/// The last object.
#[derive(Clone, Debug)]
pub(super) struct Summary(pub(super) Value);

impl Session {
    pub(super) fn comm(&self) -> &str {
        text(&self.0["comm"])
    }

    pub(super) fn leader_comm(&self) -> &str {
        text(&self.0["leader_comm"])
    }

    pub(super) fn tgid(&self) -> u64 {
        self.0["tgid"].as_u64().unwrap()
    }

    pub(super) fn execution_context(&self) -> &str {
        text(&self.0["lane"])
    }

    pub(super) fn entry(&self) -> &str {
        text(&self.0["entry"]["function"])
    }

    /// What the entry function returned, as text: `-EINVAL`.
    pub(super) fn result(&self) -> &str {
        text(&self.0["entry"]["result"])
    }

    pub(super) fn duration_ns(&self) -> u64 {
        self.0["duration_ns"].as_u64().unwrap()
    }

    /// The functions of the chain, from the entry function to the culprit.
    pub(super) fn chain(&self) -> Vec<&str> {
        self.links().iter().map(|l| text(&l["function"])).collect()
    }

    pub(super) fn links(&self) -> &[Value] {
        self.0["chain"].as_array().unwrap()
    }

    pub(super) fn stack(&self) -> &[Value] {
        self.0["stack"].as_array().unwrap()
    }

    /// The functions of the stack, outermost first.
    pub(super) fn stack_functions(&self) -> Vec<&str> {
        self.stack().iter().map(|r| text(&r["function"])).collect()
    }

    /// The function of the innermost traced call that failed; empty where there is none. A function
    /// below it, which is not traced, may be the one that made the error.
    pub(super) fn culprit(&self) -> &str {
        let culprit = &self.0["culprit"];
        match &culprit["deduced_below"] {
            Value::Null => text(&culprit["function"]),
            traced => text(traced),
        }
    }

    pub(super) fn culprit_object(&self) -> &Value {
        &self.0["culprit"]
    }

    pub(super) fn handled(&self) -> Vec<&str> {
        let handled = self.0["handled"].as_array().unwrap();
        handled.iter().map(|h| text(&h["function"])).collect()
    }

    /// Where the calls whose failures were handled were made: `dcache.c:2345`.
    pub(super) fn handled_places(&self) -> Vec<String> {
        let handled = self.0["handled"].as_array().unwrap();
        let place = |h: &Value| format!("{}:{}", text(&h["file"]), h["line"]);
        handled.iter().map(place).collect()
    }

    /// What must hold of every session: the chain starts with the entry function, and the stack
    /// shows the links in the chain's order.
    pub(super) fn assert_orderly(&self) {
        assert_eq!(self.chain().first(), Some(&self.entry()), "{self:#?}");
        let order: Vec<u64> = self
            .stack()
            .iter()
            .filter_map(|row| row["chain_index"].as_u64())
            .collect();
        assert!(order.is_sorted(), "{order:?} in {self:#?}");
        assert!(self.stack().iter().any(|row| row["address"].is_string()));
        let ours = |row: &Value| {
            let name = text(&row["function"]);
            row["module"] == "bpf" || name.starts_with("bpf_trampoline_")
        };
        let shown = self.stack().iter().filter(|row| row["tracer"] == false);
        assert!(!shown.into_iter().any(ours), "{:?}", self.stack_functions());
    }

    pub(super) fn loss(&self, what: &str) -> u64 {
        self.0["losses"][what].as_u64().unwrap()
    }
}

impl Summary {
    /// A number of the summary; `dropped.ring_full` is one in an object.
    pub(super) fn count(&self, what: &str) -> u64 {
        let value = what.split('.').fold(&self.0, |value, key| &value[key]);
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no `{what}` in {}", self.0))
    }

    /// Functions that the governor took out.
    pub(super) fn n_detached(&self) -> u64 {
        self.0["detached"].as_array().unwrap().len() as u64
    }

    pub(super) fn dropped(&self) -> u64 {
        let causes = self.0["dropped"].as_object().unwrap();
        causes.values().map(|count| count.as_u64().unwrap()).sum()
    }

    /// Every session that was started has exactly one fate.
    pub(super) fn assert_sum(&self) {
        let ended = ["shown", "filtered", "succeeded", "open_at_end"]
            .iter()
            .map(|fate| self.count(fate))
            .sum::<u64>();
        assert_eq!(self.count("started"), ended + self.dropped(), "{}", self.0);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
