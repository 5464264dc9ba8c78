//! How long ended tasks are kept. Pure arithmetic: who deletes them, and when it looks, is not here.

use std::collections::BTreeMap;

use crate::name::QueueName;
use crate::queue::{Keep, Queue};
use crate::status::Status;
use crate::time::Timestamp;

/// For how many seconds after its end a task is kept; none is for ever, 0 is not at all.
pub type Period = Option<u32>;

/// One period per ended status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Periods {
    /// Tasks that completed.
    pub completed: Period,
    /// Tasks that failed for good.
    pub failed: Period,
    /// Tasks that were called off.
    pub cancelled: Period,
}

/// What one queue says instead: none leaves the period as it is everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Override {
    /// Tasks that completed.
    pub completed: Option<Period>,
    /// Tasks that failed for good.
    pub failed: Option<Period>,
    /// Tasks that were called off.
    pub cancelled: Option<Period>,
}

/// How long ended tasks are kept, in every queue. By default all of them for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// Where a queue says nothing.
    pub everywhere: Periods,
    /// What single queues say.
    pub queues: BTreeMap<QueueName, Override>,
}

impl Retention {
    /// The same with what these queues say of their own: 0 seconds there means for ever.
    pub fn with(&self, queues: &[Queue]) -> Self {
        let period = |seconds: Option<u32>| seconds.map(|s| (s > 0).then_some(s));
        let own = |queue: &Queue| {
            let keep = queue.settings.retention;
            (keep != Keep::default()).then(|| {
                let own = Override {
                    completed: period(keep.completed_seconds),
                    failed: period(keep.failed_seconds),
                    cancelled: period(keep.cancelled_seconds),
                };
                (queue.name.clone(), own)
            })
        };
        let mut new = self.clone();
        new.queues.extend(queues.iter().filter_map(own));
        new
    }

    /// The period of a queue and a status; none when they are kept for ever, as are tasks that have not
    /// ended.
    pub fn period(&self, queue: &QueueName, status: Status) -> Period {
        let own = self.queues.get(queue).copied().unwrap_or_default();
        let (own, everywhere) = match status {
            Status::Completed => (own.completed, self.everywhere.completed),
            Status::Failed => (own.failed, self.everywhere.failed),
            Status::Cancelled => (own.cancelled, self.everywhere.cancelled),
            Status::Pending | Status::InProgress => return None,
        };
        own.unwrap_or(everywhere)
    }

    /// Tasks of a queue and a status that ended at this instant or before are over their time at `now`;
    /// none when they are kept for ever.
    pub fn until(&self, queue: &QueueName, status: Status, now: Timestamp) -> Option<Timestamp> {
        self.period(queue, status).map(|seconds| now.plus_seconds(-f64::from(seconds)))
    }

    /// Whether nothing is ever removed.
    pub fn is_for_ever(&self) -> bool {
        let none = |periods: [Period; 3]| periods.iter().all(Option::is_none);
        let own = |own: &Override| [own.completed, own.failed, own.cancelled].map(Option::flatten);
        let Periods { completed, failed, cancelled } = self.everywhere;
        none([completed, failed, cancelled]) && self.queues.values().all(|queue| none(own(queue)))
    }
}
