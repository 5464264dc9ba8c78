//! Cases of time running out (leases, timeouts, deadlines, `expires_at`), of what comes due, and of
//! the history that attempts leave.

use taskflow_core::limits::ATTEMPTS_KEPT;
use taskflow_core::{
    Attempt, Finish, Kind, NewTask, Outcome, QueueName, RetryPolicy, Status, Terms, Timestamp,
};

use super::harness::Harness;
use super::stage::{KIND, START, Stage, done, failed, id, kind, queue, worker};
use crate::{Claim, Expired, Extended, Finished, Ready};

/// An answer about a task whose attempt by "w1" ended.
fn ended(n: i64, status: Status, outcome: Outcome) -> Expired {
    Expired { id: id(n), status, outcome: Some(outcome), worker: Some("w1".into()) }
}

/// An answer about a task that nobody held.
fn never_ran(n: i64, status: Status) -> Expired {
    Expired { id: id(n), status, outcome: None, worker: None }
}

/// At once, without a back-off, and the attempt counts.
pub async fn a_lease_without_heartbeat_is_rescued(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 2, ..Terms::default() };
    let task = stage.create(NewTask { terms, ..stage.plan("dies") }).await;
    let held = stage.take().await;
    stage.pass(29.999_999);
    assert_eq!(stage.expire().await, []);
    stage.pass(0.000_001);
    let swept = stage.store.expire(stage.now(), 10).await.expect("expire works");
    assert_eq!(swept.items, [ended(1, Status::Pending, Outcome::LeaseExpired)]);
    let ready = Ready { queue: QueueName::default(), kind: kind(KIND), run_at: stage.now() };
    assert_eq!(swept.ready, [ready]);
    assert_eq!(stage.finish(task.id, held.token, done()).await, Finished::LeaseLost);
    let state = stage.read(task.id).await.state;
    assert_eq!((state.run_at, state.attempts_used(), state.retrying), (stage.now(), 1, true));
    let error = "lease expired: no heartbeat from worker w1";
    assert_eq!(state.error_message.as_deref(), Some(error));
    stage.take().await;
    stage.pass(30.0);
    assert_eq!(stage.expire().await, [ended(1, Status::Failed, Outcome::LeaseExpired)]);
    assert_eq!(stage.expire().await, []);
}

/// An hour of heartbeats, while other work goes on and the store is opened again.
pub async fn heartbeats_hold_a_lease_for_as_long_as_they_come(h: &dyn Harness) {
    let mut stage = Stage::open(h).await;
    let task = stage.task("long").await;
    let held = stage.take().await;
    for n in 0..60 {
        stage.pass(29.0);
        assert_eq!(stage.beat(task.id, held.token).await, Extended::Held(stage.after(30.0)));
        assert_eq!(stage.expire().await, []);
        assert_eq!(stage.claim(stage.wish(9)).await, []);
        let other = stage.task("short").await;
        let short = stage.take().await;
        assert_eq!(short.task.id, other.id);
        stage.end(&short, done()).await;
        if n == 30 {
            stage = stage.reopen(h).await;
        }
    }
    let receipt = stage.end(&held, done()).await;
    assert_eq!((receipt.attempt, receipt.status), (1, Status::Completed));
    assert_eq!(stage.attempts(task.id).await.len(), 1);
}

/// A process that begins anew under the same name works on its own tasks only.
pub async fn a_worker_s_name_keeps_no_lease_alive(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("old").await;
    let old = stage.take().await;
    stage.pass(20.0);
    stage.task("new").await;
    let new = stage.take().await;
    for _ in 0..2 {
        stage.pass(5.0);
        assert_eq!(stage.beat(new.task.id, new.token).await, Extended::Held(stage.after(30.0)));
    }
    assert_eq!(stage.expire().await, [ended(1, Status::Pending, Outcome::LeaseExpired)]);
    for token in [old.token, new.token] {
        assert_eq!(stage.beat(old.task.id, token).await, Extended::LeaseLost);
        assert_eq!(stage.finish(old.task.id, token, done()).await, Finished::LeaseLost);
    }
    let held = stage.store.holds(stage.tenant, vec![worker("w1")]).await.expect("holds works");
    let ids: Vec<_> = held[0].tasks.iter().map(|held| held.id).collect();
    assert_eq!((held[0].count, ids), (1, vec![new.task.id]));
    let again = stage.take().await;
    assert_eq!((again.task.id, again.task.state.attempt), (old.task.id, 2));
    assert_eq!(stage.end(&new, done()).await.attempt, 1);
}

/// With a back-off, as every failure.
pub async fn an_attempt_that_ran_too_long_timed_out(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let retry = RetryPolicy { base_seconds: 5.0, jitter: 0.0, ..RetryPolicy::default() };
    let terms = Terms { timeout_seconds: Some(10), retry, ..Terms::default() };
    let task = stage.create(NewTask { terms, ..stage.plan("slow") }).await;
    let held = stage.take().await;
    stage.pass(9.0);
    stage.beat(task.id, held.token).await;
    assert_eq!(stage.expire().await, []);
    stage.pass(1.0);
    assert_eq!(stage.expire().await, [ended(1, Status::Pending, Outcome::TimedOut)]);
    let state = stage.read(task.id).await.state;
    assert_eq!(state.run_at, stage.after(5.0));
    assert_eq!(state.error_message.as_deref(), Some("the attempt timed out"));
    assert_eq!(stage.finish(task.id, held.token, done()).await, Finished::LeaseLost);
}

/// For good, attempts left or not.
pub async fn a_deadline_ends_running_and_waiting_tasks(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { deadline_at: Some(stage.after(10.0)), ..Terms::default() };
    let bounded = |title: &str| NewTask { terms: terms.clone(), ..stage.plan(title) };
    stage.create(bounded("runs")).await;
    stage.create(bounded("fails")).await;
    let later = NewTask { run_at: stage.after(60.0), ..bounded("scheduled") };
    stage.create(later).await;
    let held = stage.claim(stage.wish(2)).await;
    stage.pass(9.999_999);
    let too_late = Finish::Failed { error: "x".into(), retryable: true, retry_after: Some(1.0) };
    let receipt = stage.end(&held[1], too_late).await;
    assert_eq!(receipt.status, Status::Failed, "no attempt would start before the deadline");
    assert_eq!(stage.expire().await, []);
    stage.pass(0.000_001);
    let swept = [ended(1, Status::Failed, Outcome::TimedOut), never_ran(3, Status::Failed)];
    assert_eq!(stage.expire().await, swept);
    for n in [1, 3] {
        let state = stage.read(id(n)).await.state;
        assert_eq!((state.ended_at, state.lease), (Some(stage.now()), None));
        assert!(state.error_message.is_some_and(|error| error.contains("deadline")));
    }
    assert_eq!(stage.attempts(id(3)).await, []);
}

/// By the reaper; `expires_at` is about the start, so a running one goes on.
pub async fn a_task_not_started_in_time_is_cancelled(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { expires_at: Some(stage.after(10.0)), ..Terms::default() };
    let bounded = |title: &str| NewTask { terms: terms.clone(), ..stage.plan(title) };
    stage.create(bounded("runs")).await;
    stage.create(bounded("waits")).await;
    let held = stage.take().await;
    stage.pass(9.999_999);
    assert_eq!(stage.expire().await, []);
    stage.pass(0.000_001);
    assert_eq!(stage.expire().await, [never_ran(2, Status::Cancelled)]);
    let state = stage.read(id(2)).await.state;
    assert_eq!(state.cancel_reason.as_deref(), Some("expired"));
    assert_eq!((state.ended_at, state.completed_at), (Some(stage.now()), None));
    assert_eq!(stage.end(&held, done()).await.status, Status::Completed);
    assert_eq!(stage.counts().await, [0, 0, 1, 0, 1]);
}

/// On the spot, without using up a token; the claim goes on with the next.
pub async fn a_task_past_its_time_is_ended_instead_of_handed_out(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let soon = Some(stage.after(10.0));
    let expires = Terms { expires_at: soon, ..Terms::default() };
    let deadline = Terms { deadline_at: soon, ..Terms::default() };
    for terms in [expires.clone(), deadline, expires, Terms::default(), Terms::default()] {
        stage.create(NewTask { terms, ..stage.plan("t") }).await;
    }
    stage.pass(10.0);
    let claimed = stage.claim(stage.wish(1)).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].task.id, id(4));
    let first = stage.read(id(1)).await.state;
    assert_eq!(first.cancel_reason.as_deref(), Some("expired"));
    assert_eq!(stage.read(id(2)).await.state.status, Status::Failed);
    assert_eq!(stage.read(id(3)).await.state.status, Status::Cancelled);
    assert_eq!(stage.counts().await, [1, 1, 0, 1, 2]);
}

/// First leases, then deadlines, then `expires_at`, each by the instant and the id.
pub async fn expiry_goes_in_order_and_stops_at_its_limit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let lease = |seconds| Terms { lease_seconds: seconds, ..Terms::default() };
    let expires = |seconds| Terms { expires_at: Some(stage.after(seconds)), ..Terms::default() };
    let deadline = |seconds| Terms { deadline_at: Some(stage.after(seconds)), ..Terms::default() };
    let later = |terms| NewTask { terms, run_at: stage.after(3600.0), ..stage.plan("waits") };
    let runs = |terms| NewTask { terms, ..stage.plan("runs") };
    let batch = vec![
        later(expires(2.0)),
        later(expires(1.0)),
        later(deadline(2.0)),
        later(deadline(1.0)),
        runs(lease(3)),
        runs(lease(2)),
        runs(lease(3)),
        later(Terms { deadline_at: Some(stage.after(1.5)), ..expires(0.5) }),
    ];
    stage.insert(batch).await;
    assert_eq!(stage.claim(stage.wish(10)).await.len(), 3);
    stage.pass(60.0);
    let steps = [(0, &[][..]), (2, &[6, 5]), (3, &[7, 4, 8]), (100, &[3, 2, 1]), (100, &[])];
    for (limit, expected) in steps {
        let swept = stage.store.expire(stage.now(), limit).await.expect("expire works").items;
        let ids: Vec<_> = swept.iter().map(|expired| expired.id.get()).collect();
        assert_eq!(ids, expected);
    }
}

/// However many stand before it, and though a look a moment ago found nothing.
pub async fn many_long_leases_do_not_hide_a_short_one(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let lease = |seconds, title: &str| NewTask {
        terms: Terms { lease_seconds: seconds, ..Terms::default() },
        ..stage.plan(title)
    };
    stage.insert(vec![lease(86_400, "long"); 1000]).await;
    assert_eq!(stage.claim(stage.wish(1000)).await.len(), 1000);
    stage.pass(1.0);
    assert_eq!(stage.expire().await, []);
    let short = stage.create(lease(5, "short")).await;
    stage.take().await;
    stage.pass(4.999_999);
    assert_eq!(stage.expire().await, []);
    stage.pass(0.000_001);
    let swept = stage.store.expire(stage.now(), 1).await.expect("expire works").items;
    assert_eq!(swept, [ended(short.id.get(), Status::Pending, Outcome::LeaseExpired)]);
    assert_eq!(stage.expire().await, []);
}

/// It has no lease that could end.
pub async fn a_person_s_work_never_expires(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms {
        timeout_seconds: Some(1),
        deadline_at: Some(stage.after(10.0)),
        expires_at: Some(stage.after(10.0)),
        ..Terms::default()
    };
    stage.create(NewTask { terms, ..stage.plan("by hand") }).await;
    let taken = stage.set(id(1), Status::InProgress).await;
    stage.pass(100_000.0);
    assert_eq!(stage.expire().await, []);
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    assert_eq!(stage.read(id(1)).await, taken);
}

/// Number, holder, times, outcome and error of each, oldest first.
pub async fn the_history_tells_every_attempt(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("busy").await;
    let mut expected: Vec<Attempt> = Vec::new();
    let ends = [
        (Some(Finish::Snoozed { delay: 1.0 }), Outcome::Snoozed, None),
        (Some(failed("ouch \u{1F4A5}")), Outcome::Failed, Some("ouch \u{1F4A5}")),
        (None, Outcome::LeaseExpired, Some("lease expired: no heartbeat from worker w3")),
        (Some(Finish::Released), Outcome::Released, None),
        (Some(Finish::Interrupted), Outcome::Interrupted, None),
        (Some(done()), Outcome::Completed, None),
    ];
    for (attempt, (finish, outcome, error)) in (1..).zip(ends) {
        let name = format!("w{attempt}");
        let claim = Claim { worker: worker(&name), ..stage.wish(1) };
        let held = stage.claim(claim).await.pop().expect("the task is ready");
        let started_at = stage.now();
        stage.pass(30.0);
        match finish {
            Some(finish) => assert_eq!(stage.end(&held, finish).await.outcome, outcome),
            None => assert_eq!(stage.expire().await[0].outcome, Some(outcome)),
        }
        expected.push(Attempt {
            attempt,
            worker: Some(name),
            started_at,
            ended_at: stage.now(),
            outcome,
            error: error.map(str::to_owned),
        });
        assert_eq!(stage.attempts(id(1)).await, expected);
        stage.pass(10.0);
    }
    let stage = stage.reopen(h).await;
    assert_eq!(stage.attempts(id(1)).await, expected);
}

/// At most `ATTEMPTS_KEPT` in every answer, the one that completed the task included.
pub async fn the_history_keeps_the_newest_attempts(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("snoozed for ever").await;
    stage.task("another").await;
    stage.set(id(2), Status::Cancelled).await;
    for _ in 0..ATTEMPTS_KEPT + 3 {
        let held = stage.take().await;
        assert_eq!(held.task.id, id(1));
        stage.end(&held, Finish::Snoozed { delay: 0.0 }).await;
    }
    let numbers = async || {
        let attempts = stage.attempts(id(1)).await;
        (attempts.len(), attempts[0].attempt, attempts[attempts.len() - 1].attempt)
    };
    let kept = ATTEMPTS_KEPT as usize;
    assert_eq!(numbers().await, (kept, 4, ATTEMPTS_KEPT + 3));
    let held = stage.take().await;
    assert_eq!(
        numbers().await,
        (kept, 4, ATTEMPTS_KEPT + 3),
        "a running attempt is no history yet"
    );
    stage.end(&held, done()).await;
    assert_eq!(numbers().await, (kept, 5, ATTEMPTS_KEPT + 4));
    stage.set(id(1), Status::Pending).await;
    assert_eq!(numbers().await, (kept, 5, ATTEMPTS_KEPT + 4));
    assert_eq!(stage.attempts(id(2)).await, []);
}

/// And is there once, not twice; a completion by hand is no attempt.
pub async fn a_completed_attempt_stays_in_the_history_through_a_retry(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("again").await;
    let held = stage.take().await;
    stage.pass(2.0);
    stage.end(&held, done()).await;
    let history = stage.attempts(id(1)).await;
    assert_eq!(history.len(), 1);
    stage.pass(5.0);
    stage.set(id(1), Status::Pending).await;
    assert_eq!(stage.attempts(id(1)).await, history);
    stage.set(id(1), Status::Completed).await;
    assert_eq!(stage.attempts(id(1)).await, history);
    stage.set(id(1), Status::Pending).await;
    stage.take().await;
    stage.set(id(1), Status::Completed).await;
    let outcomes: Vec<_> =
        stage.attempts(id(1)).await.iter().map(|a| (a.attempt, a.outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::Completed), (2, Outcome::Completed)]);
}

/// The number goes on, the count begins anew.
pub async fn a_retried_task_gets_all_its_attempts_again(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 1, ..Terms::default() };
    stage.create(NewTask { terms, ..stage.plan("stubborn") }).await;
    for attempt in 1..=3 {
        let held = stage.take().await;
        assert_eq!((held.task.state.attempt, held.task.state.attempts_used()), (attempt, 1));
        assert_eq!(stage.end(&held, failed("no")).await.status, Status::Failed);
        let retried = stage.set(id(1), Status::Pending).await.state;
        assert_eq!((retried.attempt, retried.attempts_used()), (attempt, 0));
        assert_eq!((retried.error_message, retried.ended_at), (None, None));
    }
    assert_eq!(stage.attempts(id(1)).await.len(), 3);
}

/// The earliest instant of each within the interval, which begins after `after`.
pub async fn due_tells_each_queue_and_kind_once_and_what_comes_next(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let plan = |queue_name: &str, kind_name: &str, delay: f64| NewTask {
        queue: queue(queue_name),
        kind: kind(kind_name),
        run_at: stage.after(delay),
        ..stage.plan("t")
    };
    let batch = vec![
        plan("a", "x", 1.0),
        plan("a", "x", 2.0),
        plan("a", "y", 3.0),
        plan("b", "x", 4.0),
        plan("b", "x", 9.0),
        plan("c", "x", 2.0),
        NewTask { depends_on: vec![id(1)], ..plan("d", "x", 2.0) },
        NewTask { priority: taskflow_core::Priority::High, ..plan("a", "x", 1.5) },
    ];
    stage.insert(batch).await;
    stage.set(id(6), Status::Cancelled).await;
    let due = async |after: f64, until: f64| {
        let (after, until) = (START.plus_seconds(after), START.plus_seconds(until));
        let due = stage.store.due(after, until).await.expect("due works");
        let mut ready: Vec<_> = due.ready.iter().map(short).collect();
        ready.sort();
        (ready, due.next.map(|next| next.seconds_since(START)))
    };
    assert_eq!(due(0.0, 0.5).await, (vec![], Some(1.0)));
    let all = ["a x 1", "a y 3", "b x 4"].map(str::to_owned).to_vec();
    assert_eq!(due(0.0, 4.0).await, (all, Some(9.0)));
    assert_eq!(due(1.0, 2.0).await, (vec!["a x 1.5".to_owned()], Some(3.0)));
    assert_eq!(due(4.0, 9.0).await, (vec!["b x 9".to_owned()], None));
    assert_eq!(due(9.0, 99.0).await, (vec![], None));
    assert_eq!(due(4.0, 4.0).await, (vec![], Some(9.0)));
}

fn short(ready: &Ready) -> String {
    let (queue, kind): (&QueueName, &Kind) = (&ready.queue, &ready.kind);
    let at: Timestamp = ready.run_at;
    format!("{queue} {kind} {}", at.seconds_since(START))
}
