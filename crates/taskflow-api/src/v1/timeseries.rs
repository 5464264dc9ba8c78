//! What happened to tasks minute by minute, and how long they waited and ran. What is counted as what is
//! core's to say.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::histogram::Histogram;
use taskflow_core::limits::{SERIES_MINUTES_DEFAULT, SERIES_MINUTES_MAX};
use taskflow_core::series::{Counter, Tally};
use taskflow_core::{Fault, QueueName};
use taskflow_service::Actor;
use taskflow_service::stats::Stats;

use super::reply::{Answer, Reply};
use super::words::Instant;
use crate::extract::Query;
use crate::extract::query::{FromPairs, number};
use crate::openapi::{document, problems};
use crate::state::ApiState;

/// The route.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/stats/timeseries",
        get_with(timeseries, |op| {
            let summary = "What happened to tasks, minute by minute";
            problems(document(op, "get_timeseries", "Statistics", summary), &[400, 422])
        }),
    )
}

/// Percentiles of lengths of time, in milliseconds; each at most 6.25 % beside the exact one.
#[derive(Debug, Serialize, JsonSchema)]
struct Percentiles {
    /// Half of them took no longer.
    p50: f64,
    /// Nine in ten took no longer.
    p90: f64,
    /// All but one in a hundred took no longer.
    p99: f64,
}

impl Percentiles {
    fn of(lengths: &Histogram) -> Option<Self> {
        // Microseconds as milliseconds; what is left of the third place is no information.
        let millis = |share| Some((lengths.percentile(share)?).round() / 1000.0);
        Some(Self { p50: millis(0.5)?, p90: millis(0.9)?, p99: millis(0.99)? })
    }
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
struct Happened {
    /// Tasks that were created.
    created: u64,
    /// Attempts that began, by a claim or by hand.
    started: u64,
    /// Tasks that completed.
    completed: u64,
    /// Tasks that failed for good.
    failed: u64,
    /// Attempts that failed, ran out of time or lost their lease, the last of a failed task included.
    attempts_failed: u64,
    /// Tasks that will run again: after an attempt that failed, or because an ended task was retried.
    retried: u64,
    /// Tasks that were cancelled.
    cancelled: u64,
    /// How long the tasks that were claimed had waited since their `run_at`; null when none was claimed.
    waiting_ms: Option<Percentiles>,
    /// How long the attempts that ended had run, however they ended; null when none ended.
    running_ms: Option<Percentiles>,
}

impl Happened {
    fn of(tally: &Tally) -> Self {
        Self {
            created: tally.of(Counter::Created),
            started: tally.of(Counter::Started),
            completed: tally.of(Counter::Completed),
            failed: tally.of(Counter::Failed),
            attempts_failed: tally.of(Counter::AttemptsFailed),
            retried: tally.of(Counter::Retried),
            cancelled: tally.of(Counter::Cancelled),
            waiting_ms: Percentiles::of(&tally.waiting),
            running_ms: Percentiles::of(&tally.running),
        }
    }
}

/// What happened in one minute.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Minute")]
struct MinuteView {
    /// When it began.
    at: Instant,
    #[serde(flatten)]
    happened: Happened,
}

/// What happened minute by minute.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Timeseries")]
struct TimeseriesView {
    /// All minutes together.
    total: Happened,
    /// Every minute, oldest first; the last one is the present one and not over yet.
    minutes: Vec<MinuteView>,
}

/// Which minutes.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
struct TimeseriesQuery {
    /// How many minutes, the present one included.
    #[serde(default = "default_minutes")]
    #[schemars(range(min = 1, max = 1440))]
    minutes: u32,
    /// Only this queue.
    #[serde(default)]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    queue: Option<QueueName>,
}

fn default_minutes() -> u32 {
    SERIES_MINUTES_DEFAULT
}

impl FromPairs for TimeseriesQuery {
    const NAMES: &'static [&'static str] = &["minutes", "queue"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let mut query = Self { minutes: SERIES_MINUTES_DEFAULT, queue: None };
        let mut faults = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "minutes" => match number(value).filter(|n| (1..=SERIES_MINUTES_MAX).contains(n)) {
                    Some(minutes) => query.minutes = minutes,
                    None => faults.push(Fault::new(
                        "?minutes",
                        "out-of-range",
                        "must be an integer from 1 to 1440",
                    )),
                },
                "queue" => match QueueName::parse(value) {
                    Ok(queue) => query.queue = Some(queue),
                    Err(rule) => {
                        faults.push(Fault::new("?queue", "name", rule.to_string()));
                    }
                },
                _ => {}
            }
        }
        if faults.is_empty() { Ok(query) } else { Err(faults) }
    }
}

async fn timeseries(
    State(stats): State<Stats>,
    Query(query): Query<TimeseriesQuery>,
) -> Answer<TimeseriesView> {
    let series = stats.series(Actor::DEFAULT, query.queue, query.minutes).await?;
    let mut total = Tally::default();
    series.iter().for_each(|(_, tally)| total.merge(tally));
    let minute = |(minute, tally): &(taskflow_core::series::Minute, Tally)| MinuteView {
        at: Instant(minute.start()),
        happened: Happened::of(tally),
    };
    Reply::ok(&TimeseriesView {
        total: Happened::of(&total),
        minutes: series.iter().map(minute).collect(),
    })
}
