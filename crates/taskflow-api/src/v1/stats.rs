//! How many tasks there are, by queue and by kind. What happened to them is in `timeseries.rs`.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core as core;
use taskflow_core::{Fault, Kind, QueueName};
use taskflow_service::Actor;
use taskflow_service::stats::Stats;
use taskflow_service::words::{Counts, Narrow, Overview};

use super::reply::{Answer, Reply};
use crate::extract::Query;
use crate::extract::query::FromPairs;
use crate::openapi::{document, problems};
use crate::state::ApiState;

/// The route.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/stats",
        get_with(stats, |op| {
            let summary = "Number of tasks per status, by queue and by kind";
            problems(document(op, "get_stats", "Statistics", summary), &[400, 422])
        }),
    )
}

/// Tasks per status.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatusCounts")]
struct CountsView {
    /// Waiting.
    pending: u64,
    /// Being worked on.
    in_progress: u64,
    /// Done.
    completed: u64,
    /// Given up.
    failed: u64,
    /// Called off.
    cancelled: u64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            pending: counts.of(core::Status::Pending),
            in_progress: counts.of(core::Status::InProgress),
            completed: counts.of(core::Status::Completed),
            failed: counts.of(core::Status::Failed),
            cancelled: counts.of(core::Status::Cancelled),
        }
    }
}

/// The tasks of one queue.
#[derive(Debug, Serialize, JsonSchema)]
struct QueueStats {
    /// The queue.
    queue: String,
    #[serde(flatten)]
    counts: CountsView,
}

/// The tasks of one kind.
#[derive(Debug, Serialize, JsonSchema)]
struct KindStats {
    /// The kind.
    kind: String,
    #[serde(flatten)]
    counts: CountsView,
}

/// How many tasks there are. The numbers agree with each other.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stats")]
struct StatsView {
    /// All that fit the parameters, also those that no list below shows.
    status: CountsView,
    /// Queues with tasks, by name, at most 1,000.
    queues: Vec<QueueStats>,
    /// Kinds with tasks, by name, at most 1,000.
    kinds: Vec<KindStats>,
    /// Whether queues follow: ask again with the last name as `after_queue`.
    more_queues: bool,
    /// Whether kinds follow: ask again with the last name as `after_kind`.
    more_kinds: bool,
}

impl From<Overview> for StatsView {
    fn from(overview: Overview) -> Self {
        let queue = |(queue, counts): (QueueName, Counts)| QueueStats {
            queue: queue.as_str().to_owned(),
            counts: counts.into(),
        };
        let kind = |(kind, counts): (Kind, Counts)| KindStats {
            kind: kind.as_str().to_owned(),
            counts: counts.into(),
        };
        Self {
            status: overview.total.into(),
            queues: overview.queues.into_iter().map(queue).collect(),
            kinds: overview.kinds.into_iter().map(kind).collect(),
            more_queues: overview.more_queues,
            more_kinds: overview.more_kinds,
        }
    }
}

/// Which tasks to count.
#[derive(Debug, Default, JsonSchema)]
#[schemars(inline)]
struct StatsQuery {
    /// Only this queue.
    #[serde(default)]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    queue: Option<QueueName>,
    /// Only this kind.
    #[serde(default)]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    kind: Option<Kind>,
    /// List only queues that come after this one.
    #[serde(default)]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    after_queue: Option<QueueName>,
    /// List only kinds that come after this one.
    #[serde(default)]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    after_kind: Option<Kind>,
}

impl FromPairs for StatsQuery {
    const NAMES: &'static [&'static str] = &["queue", "kind", "after_queue", "after_kind"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let (mut query, mut faults) = (Self::default(), Vec::new());
        for (name, value) in pairs {
            let known = match name.as_str() {
                "queue" => QueueName::parse(value).map(|queue| query.queue = Some(queue)),
                "kind" => Kind::parse(value).map(|kind| query.kind = Some(kind)),
                "after_queue" => {
                    QueueName::parse(value).map(|queue| query.after_queue = Some(queue))
                }
                "after_kind" => Kind::parse(value).map(|kind| query.after_kind = Some(kind)),
                _ => Ok(()),
            };
            if let Err(rule) = known {
                faults.push(Fault::new(format!("?{name}"), "name", rule.to_string()));
            }
        }
        if faults.is_empty() { Ok(query) } else { Err(faults) }
    }
}

async fn stats(State(stats): State<Stats>, Query(query): Query<StatsQuery>) -> Answer<StatsView> {
    let StatsQuery { queue, kind, after_queue, after_kind } = query;
    let narrow = Narrow { queue, kind, after_queue, after_kind };
    let overview = stats.overview(Actor::DEFAULT, narrow).await?;
    Reply::ok(&StatsView::from(overview))
}
