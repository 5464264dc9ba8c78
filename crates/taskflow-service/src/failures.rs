//! Why tasks failed: the newest failures in groups of the same kind and sort of error, and a retry of one group.
//! What the sort of an error is says `core::failures`; what a retry does to a task is the store's `edit`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taskflow_core::failures::{cut, first_line, sort_of};
use taskflow_core::limits::{
    ERROR_EXAMPLE_CHARS_MAX, FAILURE_GROUPS_MAX, FAILURE_QUEUES_MAX, FAILURES_LOOKED_MAX,
    MANY_SECONDS_MAX,
};
use taskflow_core::many::Verdict;
use taskflow_core::{Kind, QueueName, Status, TaskId, Timestamp};
use taskflow_store::{Failure, Found, Store};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::error::ServiceError;
use crate::many::{Many, Outcome};

/// The use cases of failures.
#[derive(Clone)]
pub struct Failures {
    store: Arc<dyn Store>,
    many: Many,
}

/// Failures of one kind with errors of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The kind of all of them.
    pub kind: Kind,
    /// The sort of their errors, as `core::failures::sort_of` gives it: never empty.
    pub error: String,
    /// How many of those that were looked at.
    pub count: u64,
    /// The one with the largest id.
    pub newest: TaskId,
    /// The first line of that one's error, at most `limits::ERROR_EXAMPLE_CHARS_MAX` characters; none when it
    /// has none.
    pub example: Option<String>,
    /// When the last one failed.
    pub last: Timestamp,
    /// When the first one failed.
    pub first: Timestamp,
    /// Their queues, those with most of them first, at most `limits::FAILURE_QUEUES_MAX`.
    pub queues: Vec<QueueName>,
}

/// What a look at failures found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// The largest first, of equal ones that with the newest task; at most `limits::FAILURE_GROUPS_MAX`. When
    /// their counts are fewer than `looked` together, there are more groups.
    pub groups: Vec<Group>,
    /// How many failed tasks were looked at.
    pub looked: u32,
    /// Whether there may be older ones that were not looked at.
    pub more: bool,
}

impl Failures {
    pub(crate) fn new(store: Arc<dyn Store>, many: Many) -> Self {
        Self { store, many }
    }

    /// The newest `limits::FAILURES_LOOKED_MAX` failed tasks in groups.
    pub async fn groups(&self, actor: Actor) -> Result<Groups, ServiceError> {
        self.recent(actor, FAILURES_LOOKED_MAX).await
    }

    /// The newest `limit` failed tasks in groups, `limits::FAILURES_LOOKED_MAX` at most.
    pub async fn recent(&self, actor: Actor, limit: u32) -> Result<Groups, ServiceError> {
        let mut look = Look::at_most(limit);
        let mut gathered = Gathered::default();
        while let Some(page) = look.page(&*self.store, actor).await? {
            gathered.add(page);
        }
        Ok(Groups { groups: gathered.groups(), looked: look.looked, more: look.more })
    }

    /// How many of the newest `limits::FAILURES_LOOKED_MAX` failed tasks are of this kind and of this sort of
    /// error, and whether there may be older ones that were not looked at.
    pub async fn count(
        &self,
        actor: Actor,
        kind: &Kind,
        error: &str,
    ) -> Result<(u64, bool), ServiceError> {
        let mut look = Look::at_most(FAILURES_LOOKED_MAX);
        let mut counted = 0;
        while let Some(page) = look.page(&*self.store, actor).await? {
            counted += page.iter().filter(|failure| is_of(failure, kind, error)).count() as u64;
        }
        Ok((counted, look.more))
    }

    /// Retries those of the newest `limits::FAILURES_LOOKED_MAX` failed tasks that are of this kind and of this
    /// sort of error, newest first, each once; those that change meanwhile are skipped. Stops after
    /// `limits::MANY_SECONDS_MAX`, and when the process stops. There is more when it was stopped, or when it
    /// changed something and older failures were not looked at: then the same call goes on.
    pub async fn redrive(
        &self,
        actor: Actor,
        kind: &Kind,
        error: &str,
    ) -> Result<Outcome, ServiceError> {
        let until = Instant::now() + Duration::from_secs(MANY_SECONDS_MAX);
        let mut look = Look::at_most(FAILURES_LOOKED_MAX);
        let mut outcome = Outcome::default();
        while let Some(page) = look.page(&*self.store, actor).await? {
            let group = page.iter().filter(|failure| is_of(failure, kind, error)).map(found);
            let group: Vec<Found> = group.collect();
            self.many.steps(actor, Verdict::Retry, &group, until, &mut outcome).await?;
            if outcome.more || (!look.is_over() && self.many.must_stop(until)) {
                return Ok(Outcome { more: true, ..outcome });
            }
        }
        outcome.more = look.more && outcome.changed > 0;
        Ok(outcome)
    }
}

fn is_of(failure: &Failure, kind: &Kind, error: &str) -> bool {
    failure.kind == *kind && sort_of(failure.error.as_deref()) == error
}

fn found(failure: &Failure) -> Found {
    Found { id: failure.id, version: failure.version, status: Status::Failed }
}

/// So many are read and sorted at a time: others get their turn in between.
const LOOK_STEP: u32 = 500;

/// A walk over the newest failures.
struct Look {
    before: Option<TaskId>,
    /// How many more may be looked at.
    left: u32,
    looked: u32,
    /// Whether there may be more than were looked at.
    more: bool,
}

impl Look {
    fn at_most(limit: u32) -> Self {
        Self { before: None, left: limit.min(FAILURES_LOOKED_MAX), looked: 0, more: true }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || !self.more
    }

    /// The next ones; none when all that may be were looked at.
    async fn page(
        &mut self,
        store: &dyn Store,
        actor: Actor,
    ) -> Result<Option<Vec<Failure>>, ServiceError> {
        if self.is_over() {
            return Ok(None);
        }
        let limit = self.left.min(LOOK_STEP);
        let page = store.failures(actor.tenant, self.before, limit).await?;
        self.left -= limit;
        self.looked += u32::try_from(page.items.len()).unwrap_or(limit);
        self.more = page.rest.is_some();
        self.before = page.rest;
        Ok(Some(page.items))
    }
}

/// The groups of the failures that came so far, newest first.
#[derive(Default)]
struct Gathered(HashMap<(Kind, String), (Group, HashMap<QueueName, u64>)>);

impl Gathered {
    fn add(&mut self, page: Vec<Failure>) {
        for failure in page {
            let sort = sort_of(failure.error.as_deref());
            let key = (failure.kind.clone(), sort);
            let (group, queues) = self.0.entry(key).or_insert_with_key(|(_, sort)| {
                // They come newest first: this is the newest of its group.
                (begun(&failure, sort), HashMap::new())
            });
            group.count += 1;
            group.last = group.last.max(failure.ended_at);
            group.first = group.first.min(failure.ended_at);
            *queues.entry(failure.queue).or_default() += 1;
        }
    }

    fn groups(self) -> Vec<Group> {
        let named = |(group, queues): (Group, HashMap<QueueName, u64>)| {
            let mut queues: Vec<(QueueName, u64)> = queues.into_iter().collect();
            queues.sort_unstable_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
            queues.truncate(FAILURE_QUEUES_MAX);
            Group { queues: queues.into_iter().map(|(queue, _)| queue).collect(), ..group }
        };
        let mut groups: Vec<Group> = self.0.into_values().map(named).collect();
        groups.sort_unstable_by_key(|group| Reverse((group.count, group.newest)));
        groups.truncate(FAILURE_GROUPS_MAX);
        groups
    }
}

/// A group without anything in it, of which this is the newest failure.
fn begun(failure: &Failure, sort: &str) -> Group {
    let line = failure.error.as_deref().and_then(first_line);
    Group {
        kind: failure.kind.clone(),
        error: sort.to_owned(),
        count: 0,
        newest: failure.id,
        example: line.map(|line| cut(line, ERROR_EXAMPLE_CHARS_MAX).to_owned()),
        last: failure.ended_at,
        first: failure.ended_at,
        queues: Vec::new(),
    }
}
