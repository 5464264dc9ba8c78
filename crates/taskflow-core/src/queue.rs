//! A queue's settings: what they are, which values they take, and how an edit changes them.
//! What they let through during a claim is `gate.rs`.

use crate::fault::Fault;
use crate::limits as max;
use crate::name::QueueName;
use crate::retry::RetryPolicy;
use crate::status::Priority;
use crate::task::Terms;
use crate::time::Timestamp;

/// At most so many tasks start in any span of so many seconds, over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub tasks: u32,
    /// In how many seconds.
    pub per_seconds: u32,
}

/// What a new task of the queue has when its producer does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Defaults {
    /// Order within the queue.
    pub priority: Option<Priority>,
    /// Counted attempts.
    pub max_attempts: Option<u32>,
    /// Back-off between attempts.
    pub retry: Option<RetryPolicy>,
    /// Longest attempt, in seconds.
    pub timeout_seconds: Option<u32>,
    /// Length of a lease, in seconds.
    pub lease_seconds: Option<u32>,
}

/// How long the queue's ended tasks are kept, in seconds; none means as the configuration says, 0 for
/// ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Completed ones.
    pub completed_seconds: Option<u32>,
    /// Failed ones.
    pub failed_seconds: Option<u32>,
    /// Cancelled ones.
    pub cancelled_seconds: Option<u32>,
}

/// Why nothing of a queue starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// In words, of whoever paused it.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// What can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most tasks with a lease at once, over all nodes.
    pub concurrency_limit: Option<u32>,
    /// The same per `concurrency_key`; tasks without a key are not concerned.
    pub concurrency_key_limit: Option<u32>,
    /// Most starts in a span of time.
    pub rate_limit: Option<RateLimit>,
    /// One start in so many is the oldest ready task whatever its priority; 0 means strict priority.
    pub starvation_guard: u32,
    /// What its new tasks have.
    pub defaults: Defaults,
    /// How long its ended tasks are kept.
    pub retention: Keep,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency_limit: None,
            concurrency_key_limit: None,
            rate_limit: None,
            starvation_guard: max::STARVATION_GUARD_DEFAULT,
            defaults: Defaults::default(),
            retention: Keep::default(),
        }
    }
}

impl Settings {
    /// Whether a count of leases is needed to tell what may start.
    pub fn counts_leases(&self) -> bool {
        self.concurrency_limit.is_some() || self.concurrency_key_limit.is_some()
    }
}

/// A queue. One without settings of its own has those of [`Queue::plain`].
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// Whether it is paused.
    pub pause: Option<Pause>,
    /// What was set.
    pub settings: Settings,
    /// Counts its changes; 0 for one that was never set.
    pub version: u64,
    /// Latest change; none for one that was never set.
    pub updated_at: Option<Timestamp>,
}

impl Queue {
    /// A queue that nobody has set anything of.
    pub fn plain(name: QueueName) -> Self {
        Self { name, pause: None, settings: Settings::default(), version: 0, updated_at: None }
    }

    /// Whether nothing of it is set any more, so that nothing has to be kept.
    pub fn is_plain(&self) -> bool {
        self.pause.is_none() && self.settings == Settings::default()
    }

    /// Whether a claim has to look at it: it is paused, limited, or guarded otherwise than usual.
    pub fn is_gated(&self) -> bool {
        let settings = &self.settings;
        self.pause.is_some()
            || settings.counts_leases()
            || settings.rate_limit.is_some()
            || settings.starvation_guard != max::STARVATION_GUARD_DEFAULT
    }

    /// The queue after `patch`; whether anything changed.
    pub fn patched(&self, patch: &QueuePatch, now: Timestamp) -> (Self, bool) {
        let mut new = self.clone();
        let settings = &mut new.settings;
        set(&mut settings.concurrency_limit, patch.concurrency_limit);
        set(&mut settings.concurrency_key_limit, patch.concurrency_key_limit);
        set(&mut settings.rate_limit, patch.rate_limit);
        set(&mut settings.starvation_guard, patch.starvation_guard);
        set(&mut settings.defaults, patch.defaults);
        set(&mut settings.retention, patch.retention);
        if let Some(pause) = &patch.pause {
            new.pause = pause.as_ref().map(|reason| Pause {
                reason: reason.clone(),
                // A second pause changes the reason only.
                since: self.pause.as_ref().map_or(now, |pause| pause.since),
            });
        }
        let changed = new != *self;
        if changed && new.is_plain() {
            return (Self::plain(new.name), true);
        }
        if changed {
            new.version += 1;
            new.updated_at = Some(now);
        }
        (new, changed)
    }
}

/// Changes to a queue; `None` leaves a setting alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueuePatch {
    /// `Some(None)` takes the limit away.
    pub concurrency_limit: Option<Option<u32>>,
    /// `Some(None)` takes the limit away.
    pub concurrency_key_limit: Option<Option<u32>>,
    /// `Some(None)` takes the limit away.
    pub rate_limit: Option<Option<RateLimit>>,
    /// 0 means strict priority.
    pub starvation_guard: Option<u32>,
    /// All of them.
    pub defaults: Option<Defaults>,
    /// All of it.
    pub retention: Option<Keep>,
    /// `Some(Some(reason))` pauses, `Some(None)` resumes.
    pub pause: Option<Option<Option<String>>>,
}

impl QueuePatch {
    /// Every rule that it breaks.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |ok: bool, pointer: &str, message: &str| {
            if !ok {
                faults.push(Fault::new(pointer, "out-of-range", message));
            }
        };
        let least = |limit: Option<Option<u32>>, most: u32| {
            limit.flatten().is_none_or(|n| (1..=most).contains(&n))
        };
        let message = "must be 1 to 100000, or null for no limit";
        let most = max::CONCURRENCY_LIMIT_MAX;
        check(least(self.concurrency_limit, most), "/concurrency_limit", message);
        check(least(self.concurrency_key_limit, most), "/concurrency_key_limit", message);
        if let Some(Some(rate)) = self.rate_limit {
            let ok = (1..=max::RATE_TASKS_MAX).contains(&rate.tasks);
            check(ok, "/rate_limit/tasks", "must be 1 to 1000000");
            let ok = (1..=max::RATE_SECONDS_MAX).contains(&rate.per_seconds);
            check(ok, "/rate_limit/per_seconds", "must be 1 to 86400 (a day)");
        }
        let ok = self.starvation_guard.is_none_or(|n| n <= max::STARVATION_GUARD_MAX);
        check(ok, "/starvation_guard", "must be 0 (strict priority) to 10000");
        if let Some(keep) = self.retention {
            for (pointer, seconds) in [
                ("/retention/completed_seconds", keep.completed_seconds),
                ("/retention/failed_seconds", keep.failed_seconds),
                ("/retention/cancelled_seconds", keep.cancelled_seconds),
            ] {
                let ok = seconds.is_none_or(|s| s <= max::RETENTION_SECONDS_MAX);
                check(ok, pointer, "must be at most 315360000 (ten years)");
            }
        }
        if let Some(Some(Some(reason))) = &self.pause {
            let long = reason.chars().count() > max::PAUSE_REASON_CHARS_MAX;
            let ok = !long && !reason.chars().any(char::is_control);
            check(ok, "/reason", "must be at most 500 characters without control characters");
        }
        faults
    }
}

impl Defaults {
    /// The terms of a new task that says nothing of its own.
    pub fn terms(&self) -> Terms {
        let usual = Terms::default();
        Terms {
            max_attempts: self.max_attempts.unwrap_or(usual.max_attempts),
            retry: self.retry.unwrap_or(usual.retry),
            timeout_seconds: self.timeout_seconds.or(usual.timeout_seconds),
            lease_seconds: self.lease_seconds.unwrap_or(usual.lease_seconds),
            ..usual
        }
    }
}

fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}
