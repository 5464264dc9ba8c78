//! Strategies for the fields of tasks, changes and ends of attempts. Times lie within seconds of
//! each other so that leases, deadlines and back-offs cross.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use taskflow_core::task::OnConflict;
use taskflow_core::{
    Finish, Json, PendingReason, Priority, RetryPolicy, Status, Strategy as Growth,
};

use super::deeds::Pick;

/// A new task; instants are seconds from now.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    pub(super) priority: Priority,
    pub(super) queue: u8,
    pub(super) kind: u8,
    pub(super) run_in: Option<f64>,
    pub(super) bounds: Bounds,
    pub(super) key: Option<(u8, OnConflict)>,
    pub(super) concurrency_key: Option<u8>,
    pub(super) parents: Vec<Pick>,
    pub(super) payload: Option<Json>,
    /// One tag a bit.
    pub(super) tags: u8,
}

/// What a list asks for; instants are seconds before now.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    pub(super) status: Option<Status>,
    pub(super) priority: Option<Priority>,
    pub(super) queue: Option<u8>,
    pub(super) kind: Option<u8>,
    pub(super) tag: Option<u8>,
    pub(super) reason: Option<PendingReason>,
    pub(super) created_ago: Option<f64>,
    pub(super) search: Option<u8>,
}

/// What a task says about its attempts; instants are seconds from now.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) max_attempts: u32,
    pub(super) retry: RetryPolicy,
    pub(super) timeout: Option<u32>,
    pub(super) deadline_in: Option<f64>,
    pub(super) expires_in: Option<f64>,
    pub(super) lease_seconds: u32,
}

/// An edit; instants are seconds from now.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) title: Option<u8>,
    pub(super) priority: Option<Priority>,
    pub(super) payload: Option<Option<Json>>,
    pub(super) run_in: Option<f64>,
    pub(super) bounds: Option<Bounds>,
    pub(super) queue: Option<u8>,
    pub(super) status: Option<Status>,
    pub(super) tags: Option<u8>,
    pub(super) rerun: bool,
}

/// A short time, now and then a long one or the shortest.
pub(super) fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0..4_u32).prop_map(f64::from),
        4 => 0.0..5.0,
        1 => Just(0.000_001),
        1 => 10.0..5_000.0,
    ]
}

/// One in six: a task with every bound at once would only ever show the first.
pub(super) fn rarely<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![5 => Just(None), 1 => strategy.prop_map(Some)]
}

/// Two in three.
pub(super) fn often<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![1 => Just(None), 2 => strategy.prop_map(Some)]
}

pub(super) fn status() -> impl Strategy<Value = Status> {
    select(Status::ALL.to_vec())
}

pub(super) fn priority() -> impl Strategy<Value = Priority> {
    select(Priority::ALL.to_vec())
}

fn json() -> impl Strategy<Value = Json> {
    let texts = ["null", "0.10", r#"{"b":1,"a":[]}"#, r#""é\u00e9""#, " [1, 2] "];
    select(texts.to_vec()).prop_map(|text| Json::parse(text).expect("well-formed"))
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let growths = vec![Growth::Exponential, Growth::Linear, Growth::Fixed];
    let some = (select(growths), 0.0..3.0, 1.0..3.0, 3.0..10.0, 0.0..=1.0).prop_map(
        |(strategy, base_seconds, factor, max_seconds, jitter)| RetryPolicy {
            strategy,
            base_seconds,
            factor,
            max_seconds,
            jitter,
        },
    );
    prop_oneof![Just(RetryPolicy::default()), some]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..4_u32, retry(), rarely(1..5_u32), rarely(seconds()), rarely(seconds()), 1..6_u32).prop_map(
        |(max_attempts, retry, timeout, deadline_in, expires_in, lease_seconds)| Bounds {
            max_attempts,
            retry,
            timeout,
            deadline_in,
            expires_in,
            lease_seconds,
        },
    )
}

fn key() -> impl Strategy<Value = Option<(u8, OnConflict)>> {
    let policies = vec![OnConflict::Return, OnConflict::Reject, OnConflict::Replace];
    let key = (0..2_u8, select(policies));
    prop_oneof![2 => Just(None), 1 => key.prop_map(Some)]
}

pub(super) fn birth() -> impl Strategy<Value = Birth> {
    let parents = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Pick>(), 1..4)];
    let run_in = rarely(prop_oneof![4 => seconds(), 1 => Just(-1.0)]);
    let tags = prop_oneof![2 => Just(0), 1 => 1..4_u8];
    let keys = (key(), of(0..3_u8));
    (priority(), 0..2_u8, kind(), run_in, bounds(), keys, parents, rarely(json()), tags).prop_map(
        |(
            priority,
            queue,
            kind,
            run_in,
            bounds,
            (key, concurrency_key),
            parents,
            payload,
            tags,
        )| Birth {
            priority,
            queue,
            kind,
            run_in,
            bounds,
            key,
            concurrency_key,
            parents,
            payload,
            tags,
        },
    )
}

/// One change of a queue.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    Pause(bool),
    Limit(Option<u32>),
    KeyLimit(Option<u32>),
    Rate(Option<(u32, u32)>),
    Guard(u32),
}

/// Mostly what lets things through.
pub(super) fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        1 => Just(Setting::Pause(true)),
        3 => Just(Setting::Pause(false)),
        3 => of(1..4_u32).prop_map(Setting::Limit),
        3 => of(1..3_u32).prop_map(Setting::KeyLimit),
        3 => of((1..4_u32, 1..6_u32)).prop_map(Setting::Rate),
        3 => (0..4_u32).prop_map(Setting::Guard),
    ]
}

/// Mostly kinds that every claim takes.
fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0..2_u8, 1 => 2..4_u8]
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    let status = prop_oneof![2 => Just(None), 3 => status().prop_map(Some)];
    (
        rarely(0..3_u8),
        rarely(priority()),
        rarely(of(json())),
        rarely(seconds()),
        rarely(bounds()),
        prop_oneof![12 => Just(None), 1 => (0..2_u8).prop_map(Some)],
        status,
        rarely(0..4_u8),
        prop_oneof![6 => Just(false), 1 => Just(true)],
    )
        .prop_map(|(title, priority, payload, run_in, bounds, queue, status, tags, rerun)| {
            Change { title, priority, payload, run_in, bounds, queue, status, tags, rerun }
        })
}

/// Mostly one or two parts at once.
pub(super) fn sieve() -> impl Strategy<Value = Sieve> {
    (
        rarely(status()),
        rarely(priority()),
        rarely(0..3_u8),
        rarely(0..4_u8),
        rarely(0..3_u8),
        prop_oneof![2 => Just(None), 1 => select(PendingReason::ALL.to_vec()).prop_map(Some)],
        rarely(seconds()),
        rarely(0..6_u8),
    )
        .prop_map(|(status, priority, queue, kind, tag, reason, created_ago, search)| Sieve {
            status,
            priority,
            queue,
            kind,
            tag,
            reason,
            created_ago,
            search,
        })
}

pub(super) fn finish() -> impl Strategy<Value = Finish> {
    let failed = (0..2_u8, prop_oneof![4 => Just(true), 1 => Just(false)], rarely(seconds()))
        .prop_map(|(n, retryable, retry_after)| Finish::Failed {
            error: format!("error {n}"),
            retryable,
            retry_after,
        });
    prop_oneof![
        4 => rarely(json()).prop_map(|result| Finish::Completed { result }),
        4 => failed,
        1 => seconds().prop_map(|delay| Finish::Snoozed { delay }),
        1 => Just(Finish::Released),
        1 => Just(Finish::Interrupted),
    ]
}
