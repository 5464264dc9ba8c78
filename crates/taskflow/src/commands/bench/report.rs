//! What is reported: figures of one run of a scenario, medians over rounds, a table and JSON.
//! It measures nothing and prints nothing; it returns text.

use std::fmt::Write as _;

use serde::Serialize;

use super::load::Tally;
use super::options::{Plan, Scenario};

/// Microseconds per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// One run of one scenario.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// Requests or tasks per second; none where a rate means nothing.
    pub(super) rate: Option<f64>,
    /// None when no call was counted.
    pub(super) latency: Option<Latency>,
    /// Everything that went wrong, clean-up included.
    pub(super) errors: u64,
    /// The first few of them.
    pub(super) complaints: Vec<String>,
    /// Worth knowing, no error.
    pub(super) notes: Vec<String>,
    /// Why it did not run.
    pub(super) skipped: Option<String>,
}

impl Measured {
    /// A rate and what was seen.
    pub(super) fn of(rate: f64, tally: Tally) -> Self {
        Self { rate: Some(rate), ..Self::without_rate(tally) }
    }

    /// Only latency.
    pub(super) fn without_rate(tally: Tally) -> Self {
        let Tally { latency, errors, complaints, .. } = tally;
        let at = |quantile| latency.value_at_quantile(quantile);
        let latency = (!latency.is_empty()).then(|| Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: latency.max(),
        });
        Self { latency, errors, complaints, ..Self::default() }
    }

    /// It did not run, and that is no error.
    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: Some(why.into()), ..Self::default() }
    }

    /// The server has no such route.
    pub(super) fn missing(status: u16) -> Self {
        Self::skipped(format!("not available on this server ({status})"))
    }

    /// It did not get through.
    pub(super) fn broken(complaint: String) -> Self {
        Self { errors: 1, complaints: vec![complaint], ..Self::default() }
    }

    /// Takes over the errors of its clean-up.
    pub(super) fn blame(&mut self, tally: Tally) {
        self.errors += tally.errors;
        self.complaints.extend(tally.complaints.into_iter().map(|c| format!("clean-up: {c}")));
    }
}

/// One scenario over all rounds. The names of the fields are the JSON's keys and stay.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) rate_per_second: Option<f64>,
    pub(super) rate_min: Option<f64>,
    pub(super) rate_max: Option<f64>,
    pub(super) latency_us: Option<Latency>,
    pub(super) errors: u64,
    /// Median of the rates' ratios within each round.
    pub(super) ratio_to_bare: Option<f64>,
    pub(super) skipped: Option<String>,
    pub(super) complaints: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) server: String,
    pub(super) server_version: Option<String>,
    pub(super) rounds: u32,
    pub(super) connections: u32,
    pub(super) workers: u32,
    pub(super) batch: u32,
    pub(super) seconds: f64,
    pub(super) scenarios: Vec<Line>,
}

/// The middle value; the mean of the two middle ones of an even number; none of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Report {
    /// Puts the rounds together. Each round holds its scenarios in the plan's order.
    pub(super) fn of(
        plan: &Plan,
        server_version: Option<String>,
        rounds: &[Vec<(Scenario, Measured)>],
    ) -> Self {
        let scenarios = plan.scenarios.iter().map(|scenario| line(*scenario, rounds)).collect();
        Self {
            server: plan.server.clone(),
            server_version,
            rounds: plan.rounds,
            connections: plan.connections,
            workers: plan.workers,
            batch: plan.batch,
            seconds: plan.measured.as_secs_f64(),
            scenarios,
        }
    }

    /// Everything that went wrong.
    pub(super) fn errors(&self) -> u64 {
        self.scenarios.iter().map(|line| line.errors).sum()
    }

    /// As a table for people.
    pub(super) fn text(&self) -> String {
        let version = self.server_version.as_deref().unwrap_or("unknown");
        let mut text = format!(
            "{} (version {version}): {} connections, {} workers, batches of {}, {} s, rounds: {}\n\n\
             {:<14}{:>12}{:>22}{:>11}{:>11}{:>11}{:>11}{:>8}{:>9}\n",
            self.server,
            self.connections,
            self.workers,
            self.batch,
            self.seconds,
            self.rounds,
            "scenario",
            "per second",
            "min..max",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "errors",
            "to bare"
        );
        for line in &self.scenarios {
            line.write(&mut text).expect("writing to memory cannot fail");
        }
        text.push_str(
            "\nRates and latencies are medians over the rounds. The tasks of this run stay, ended, in \
             the queues bench and bench-pickup.\n",
        );
        text
    }
}

fn line(scenario: Scenario, rounds: &[Vec<(Scenario, Measured)>]) -> Line {
    let of = |wanted: Scenario| {
        rounds.iter().map(move |round| round.iter().find(|(s, _)| *s == wanted).map(|(_, m)| m))
    };
    let runs: Vec<&Measured> = of(scenario).flatten().collect();
    let rates: Vec<f64> = runs.iter().filter_map(|run| run.rate).collect();
    let latencies: Vec<Latency> = runs.iter().filter_map(|run| run.latency).collect();
    let middle = |pick: fn(&Latency) -> u64| {
        median(latencies.iter().map(|latency| pick(latency) as f64)).map(|us| us.round() as u64)
    };
    let latency_us = match (middle(|l| l.p50), middle(|l| l.p90), middle(|l| l.p99)) {
        (Some(p50), Some(p90), Some(p99)) => {
            let max = middle(|l| l.max).unwrap_or(p99);
            Some(Latency { p50, p90, p99, max })
        }
        _ => None,
    };
    let ratios = of(scenario).zip(of(Scenario::Bare)).filter_map(|(run, bare)| {
        let (rate, bare) = (run?.rate?, bare?.rate?);
        (bare > 0.0).then(|| rate / bare)
    });
    let mut complaints: Vec<_> = runs.iter().flat_map(|run| run.complaints.clone()).collect();
    complaints.dedup();
    Line {
        name: scenario.name(),
        unit: scenario.unit(),
        rate_per_second: median(rates.iter().copied()),
        rate_min: rates.iter().copied().reduce(f64::min),
        rate_max: rates.iter().copied().reduce(f64::max),
        latency_us,
        errors: runs.iter().map(|run| run.errors).sum(),
        ratio_to_bare: median(ratios),
        skipped: runs.iter().find_map(|run| run.skipped.clone()),
        complaints,
        notes: runs.iter().flat_map(|run| run.notes.clone()).collect(),
    }
}

impl Line {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        if let Some(why) = self.skipped.as_ref().filter(|_| self.latency_us.is_none()) {
            return writeln!(text, "{:<14}skipped: {why}", self.name);
        }
        let dash = || "-".to_owned();
        let rate = self.rate_per_second.map_or_else(dash, grouped);
        let range = match (self.rate_min, self.rate_max) {
            (Some(min), Some(max)) => format!("{}..{}", grouped(min), grouped(max)),
            _ => dash(),
        };
        write!(text, "{:<14}{rate:>12}{range:>22}", self.name)?;
        match self.latency_us {
            Some(Latency { p50, p90, p99, max }) => {
                for micros in [p50, p90, p99, max] {
                    write!(text, "{:>11.2}", micros as f64 / 1e3)?;
                }
            }
            None => write!(text, "{0:>11}{0:>11}{0:>11}{0:>11}", "-")?,
        }
        let ratio = self.ratio_to_bare.map_or_else(dash, |ratio| format!("{ratio:.2}"));
        writeln!(text, "{:>8}{ratio:>9}", self.errors)?;
        for complaint in &self.complaints {
            writeln!(text, "  error: {complaint}")?;
        }
        for note in &self.notes {
            writeln!(text, "  note: {note}")?;
        }
        Ok(())
    }
}

/// A whole number with its thousands apart: `85,012`.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
