//! The answer of a run: what each rule found, with the story of the first witness, and whether the
//! run was strong enough to prove anything. Printed for people, and kept as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::check::{self, RULES};
use crate::evidence::Evidence;
use crate::history::{Kind, Op};
use crate::options::Options;
use crate::story::story;

/// How the calls of one operation went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answered with a 2xx.
    pub ok: usize,
    /// Refused, or never sent.
    pub fail: usize,
    /// Unknown.
    pub info: usize,
}

/// What one rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// What it forbids.
    pub title: &'static str,
    /// Number of violations.
    pub count: usize,
    /// The first one, in words.
    pub first: Option<String>,
    /// Everything that happened to its task, in order of time.
    pub story: Vec<String>,
}

/// The answer of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Seed of the run.
    pub seed: u64,
    /// Kills that were done.
    pub kills: usize,
    /// Tasks that were acknowledged.
    pub acked: usize,
    /// Unanswered creates that turned out to have happened.
    pub recovered: usize,
    /// Lost tasks: at the beginning, in the middle and at the end of their producers' orders.
    pub lost: (usize, usize, usize),
    /// Attempts after the first, by how the attempt before them ended.
    pub repeated: BTreeMap<String, usize>,
    /// Calls by operation.
    pub ops: BTreeMap<String, Tally>,
    /// Recovery after a kill in milliseconds: median and longest.
    pub recovery_ms: (u64, u64),
    /// How long everything took to end after the faults, in milliseconds.
    pub drained_ms: Option<u64>,
    /// What every rule found.
    pub findings: Vec<Finding>,
    /// Why the run proves nothing; empty when it was strong enough.
    pub weak: Vec<String>,
    /// How to run it again.
    pub repro: String,
}

impl Verdict {
    /// Judges a run.
    pub(crate) fn of(evidence: &Evidence, options: &Options) -> Self {
        let mut recoveries: Vec<u64> =
            evidence.outages.iter().filter_map(crate::kills::Outage::recovery_ms).collect();
        recoveries.sort_unstable();
        let median = recoveries.get(recoveries.len() / 2).copied().unwrap_or(0);
        let mut verdict = Self {
            seed: options.seed,
            kills: evidence.outages.len(),
            acked: acked(evidence),
            recovered: recovered(evidence),
            lost: check::split(evidence),
            repeated: repeated(evidence),
            ops: ops(evidence),
            recovery_ms: (median, recoveries.last().copied().unwrap_or(0)),
            drained_ms: evidence.drained_ms,
            findings: RULES.iter().map(|rule| finding(rule, evidence)).collect(),
            weak: Vec::new(),
            repro: format!(
                "taskflow-torture --server-bin {} --seed {} --kills {} --profile {}",
                options.server_bin.display(),
                options.seed,
                options.kills,
                options.profile()
            ),
        };
        verdict.weak = verdict.weaknesses(evidence, options);
        verdict
    }

    /// Whether no rule was violated and the run was strong enough to say so.
    pub fn is_clean(&self) -> bool {
        self.weak.is_empty() && self.violations() == 0
    }

    /// Number of violations of all rules.
    pub fn violations(&self) -> usize {
        self.findings.iter().map(|finding| finding.count).sum()
    }

    /// What the rule named `rule` found.
    pub fn finding(&self, rule: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.rule == rule)
    }

    fn weaknesses(&self, evidence: &Evidence, options: &Options) -> Vec<String> {
        let mut weak = Vec::new();
        if self.acked < options.acked_min {
            weak.push(format!("{} tasks acknowledged, {} wanted", self.acked, options.acked_min));
        }
        if self.kills < options.kills as usize {
            weak.push(format!("{} kills done, {} wanted", self.kills, options.kills));
        }
        if evidence.end.is_none() {
            let why = evidence.end_error.as_deref().unwrap_or("no server");
            weak.push(format!("what was left could not be read back: {why}"));
        }
        for (op, _) in self.ops.iter().filter(|(_, tally)| tally.ok == 0) {
            weak.push(format!("no {op} was ever answered well"));
        }
        weak
    }
}

fn acked(evidence: &Evidence) -> usize {
    evidence.calls.iter().filter(|c| c.op == Op::Create && c.kind == Kind::Ok).count()
}

fn recovered(evidence: &Evidence) -> usize {
    let creates = evidence.creates();
    let left = evidence.end.iter().flatten().filter_map(|(_, remains)| remains.task.as_ref());
    left.filter(|task| creates.get(task.mark()).is_some_and(|c| c.kind == Kind::Info)).count()
}

fn repeated(evidence: &Evidence) -> BTreeMap<String, usize> {
    let mut repeated = BTreeMap::new();
    for remains in evidence.end.iter().flat_map(BTreeMap::values) {
        let last = remains.task.as_ref().map_or(0, |task| task.attempt);
        for attempt in remains.attempts.iter().filter(|a| a.attempt < last) {
            *repeated.entry(attempt.outcome.clone()).or_default() += 1;
        }
    }
    repeated
}

fn ops(evidence: &Evidence) -> BTreeMap<String, Tally> {
    let name = |op: Op| format!("{op:?}").to_lowercase();
    let mut ops: BTreeMap<String, Tally> =
        Op::ALL.iter().map(|op| (name(*op), Tally::default())).collect();
    for call in &evidence.calls {
        let tally = ops.entry(name(call.op)).or_default();
        match call.kind {
            Kind::Ok => tally.ok += 1,
            Kind::Fail => tally.fail += 1,
            Kind::Info => tally.info += 1,
        }
    }
    ops
}

fn finding(rule: &check::Rule, evidence: &Evidence) -> Finding {
    let violations = (rule.find)(evidence);
    let first = violations.first();
    Finding {
        rule: rule.name,
        title: rule.title,
        count: violations.len(),
        first: first.map(|violation| violation.text.clone()),
        story: first.and_then(|v| v.task).map_or(Vec::new(), |id| story(evidence, id)),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.violations(), self.weak.is_empty()) {
            (0, true) => "CLEAN".to_owned(),
            (0, false) => "TOO WEAK".to_owned(),
            (n, _) => format!("VIOLATED ({n})"),
        };
        writeln!(f, "verdict     {word}")?;
        writeln!(f, "seed        {}", self.seed)?;
        writeln!(f, "kills       {}", self.kills)?;
        writeln!(f, "acked       {} (+{} unanswered that happened)", self.acked, self.recovered)?;
        let (first, middle, last) = self.lost;
        writeln!(
            f,
            "lost        {first} at the beginning, {middle} in the middle, {last} at the end"
        )?;
        let repeated: Vec<String> =
            self.repeated.iter().map(|(outcome, n)| format!("{n} after {outcome}")).collect();
        writeln!(f, "repeated    {}", repeated.join(", "))?;
        let (median, longest) = self.recovery_ms;
        writeln!(f, "recovery    {median} ms median, {longest} ms longest")?;
        let drained = self.drained_ms.map_or("never".to_owned(), |ms| format!("in {ms} ms"));
        writeln!(f, "drained     {drained}")?;
        writeln!(f, "\n{:<12}{:>8}{:>8}{:>8}", "calls", "ok", "fail", "info")?;
        for (op, tally) in &self.ops {
            writeln!(f, "{op:<12}{:>8}{:>8}{:>8}", tally.ok, tally.fail, tally.info)?;
        }
        writeln!(f)?;
        for finding in &self.findings {
            writeln!(f, "{:<5}{:>6}  {}", finding.rule, finding.count, finding.title)?;
            if let Some(first) = &finding.first {
                writeln!(f, "             first: {first}")?;
            }
            for line in &finding.story {
                writeln!(f, "             | {line}")?;
            }
        }
        for weak in &self.weak {
            writeln!(f, "too weak: {weak}")?;
        }
        write!(f, "REPRO: {}", self.repro)
    }
}
