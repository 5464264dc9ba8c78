//! The room of statistics: how many tasks there are by queue and kind, and what happened minute by minute.
//! It reads only; the numbers are written with the changes that they count.

use async_trait::async_trait;
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};

use crate::{Counts, StoreError};

/// Which tasks an overview counts, and where its lists begin; the default takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Narrow {
    /// Only this queue.
    pub queue: Option<QueueName>,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// List only queues whose names come after this one.
    pub after_queue: Option<QueueName>,
    /// List only kinds whose names come after this one.
    pub after_kind: Option<Kind>,
}

/// How many tasks there are. What has no task is in no list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// All that fit, also those that no list shows.
    pub total: Counts,
    /// By queue, in the order of their names' bytes.
    pub queues: Vec<(QueueName, Counts)>,
    /// By kind, in the order of their names' bytes.
    pub kinds: Vec<(Kind, Counts)>,
    /// Whether queues follow that did not fit into the list.
    pub more_queues: bool,
    /// The same of the kinds.
    pub more_kinds: bool,
}

/// Statistics.
#[async_trait]
pub trait StatsStore: Send + Sync {
    /// Tasks per status, in all and by queue and kind, `limit` of each at most, without counting rows.
    /// The numbers agree with each other.
    async fn overview(
        &self,
        scope: TenantId,
        narrow: Narrow,
        limit: u32,
    ) -> Result<Overview, StoreError>;

    /// What happened in the minutes from `first` to `last`, in one queue or in all together. In order,
    /// and only minutes in which anything happened; what is older than `limits::SERIES_MINUTES_MAX` may
    /// be gone, and of queues beyond the first `limits::SERIES_QUEUES_MAX` of a minute only the sum tells.
    async fn series(
        &self,
        scope: TenantId,
        queue: Option<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<(Minute, Tally)>, StoreError>;

    /// What happened in each of `queues`, in their order, in all the minutes from `first` to `last`, as far as
    /// `series` tells it. At most `limits::STATS_NAMES_MAX` queues.
    async fn tallies(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<Tally>, StoreError>;

    /// For each of `queues`, in their order: the earliest `run_at` of its tasks that are ready at `now`; none
    /// where none is ready. It looks at one task of each lane, however many wait. At most
    /// `limits::STATS_NAMES_MAX` queues.
    async fn oldest(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, StoreError>;

    /// How many leases ended before `before` and were not rescued yet, counted up to `limit`.
    async fn overdue(
        &self,
        scope: TenantId,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;
}
