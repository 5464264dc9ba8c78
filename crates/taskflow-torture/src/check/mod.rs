//! The rules: pure functions from the evidence of a run to what was violated. Each rule stands for
//! promises that the server makes; a rule reports only what no honest server could have done.

mod answers;
mod attempts;
mod execution;
mod fencing;
mod liveness;
mod lost;
mod outcomes;
mod path;
mod unexpected;

#[cfg(test)]
mod tests;

pub(crate) use lost::split;

use crate::evidence::Evidence;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Whose story shows it; none when it is about no single task.
    pub(crate) task: Option<i64>,
    /// What is wrong, with the values.
    pub(crate) text: String,
}

impl Violation {
    fn of(task: i64, text: String) -> Self {
        Self { task: Some(task), text }
    }

    fn general(text: String) -> Self {
        Self { task: None, text }
    }
}

/// A rule: its name, what it forbids, and the function that finds violations.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) find: fn(&Evidence) -> Vec<Violation>,
}

/// Every rule, in the order of the report.
pub(crate) const RULES: [Rule; 10] = [
    Rule { name: "R1", title: "an acknowledged task or edit is lost", find: lost::find },
    Rule { name: "R2", title: "something is there that nobody did", find: unexpected::find },
    Rule { name: "R5", title: "an attempt without a reason", find: execution::find },
    Rule { name: "R6", title: "an attempt with a wrong outcome", find: outcomes::find },
    Rule { name: "R7", title: "a dead token was obeyed", find: fencing::find_zombies },
    Rule { name: "R8", title: "two leases overlap", find: fencing::find_overlaps },
    Rule { name: "R15", title: "too many or too few attempts", find: attempts::find },
    Rule { name: "R16", title: "a task went back", find: path::find },
    Rule { name: "R23", title: "it did not go on by itself", find: liveness::find },
    Rule { name: "R24", title: "an answer that must not be", find: answers::find },
];
