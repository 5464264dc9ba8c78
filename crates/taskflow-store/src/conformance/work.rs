//! Cases of the room of work: finishes, heartbeats and whole syncs. Claims are in `claims.rs`, time
//! that runs out is in `time.rs`.

use taskflow_core::task::Progress;
use taskflow_core::text::kept_error;
use taskflow_core::{Finish, NewTask, Outcome, RetryPolicy, Status, TaskPatch, Terms};

use super::harness::Harness;
use super::stage::{
    KIND, Stage, done, failed, failed_for_good, id, json, kind, patch, queue, titles, to, token,
    worker,
};
use crate::{
    Claim, Claimed, Edited, Extend, Extended, FinishTask, Finished, Ready, Receipt, Sync, Synced,
};

/// The result is the task's; the lease is gone and the attempt is in the history.
pub async fn a_completed_attempt_leaves_its_result(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("one").await;
    let held = stage.take().await;
    stage.pass(1.5);
    let receipt = stage.end(&held, Finish::Completed { result: json("{\"n\": 1}") }).await;
    let expected = Receipt {
        id: task.id,
        status: Status::Completed,
        attempt: 1,
        outcome: Outcome::Completed,
        run_at: task.state.run_at,
    };
    assert_eq!(receipt, expected);
    let state = stage.read(task.id).await.state;
    assert_eq!((state.status, state.result), (Status::Completed, json("{\"n\": 1}")));
    assert_eq!((state.completed_at, state.ended_at), (Some(stage.now()), Some(stage.now())));
    assert_eq!((state.lease, state.version), (None, 3));
    let attempts = stage.attempts(task.id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].attempt, attempts[0].outcome), (1, Outcome::Completed));
    assert_eq!(attempts[0].ended_at, stage.now());
    assert_eq!(attempts[0].worker.as_deref(), Some("w1"));
}

/// The same instant that `core::retry` computes from task and attempt.
pub async fn a_failed_attempt_waits_as_the_policy_says(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("other").await;
    stage.set(id(1), Status::Cancelled).await;
    let retry = RetryPolicy { base_seconds: 10.0, jitter: 0.5, ..RetryPolicy::default() };
    let terms = Terms { retry, ..Terms::default() };
    let task = stage.create(NewTask { terms, ..stage.plan("fails") }).await;
    for attempt in 1..=3 {
        let held = stage.take().await;
        assert_eq!(held.task.state.attempt, attempt);
        stage.pass(1.0);
        let receipt = stage.end(&held, failed(&format!("no {attempt}"))).await;
        let chance = taskflow_core::retry::chance(task.id.get(), attempt);
        let delay = retry.backoff_seconds(attempt, chance);
        let state = stage.read(task.id).await.state;
        assert_eq!(state.run_at, stage.after(delay));
        assert_eq!((receipt.run_at, receipt.status), (state.run_at, Status::Pending));
        assert_eq!((receipt.attempt, receipt.outcome), (attempt, Outcome::Failed));
        assert!(state.retrying);
        assert_eq!(state.error_message, Some(format!("no {attempt}")));
        assert_eq!(stage.claim(stage.wish(1)).await, [], "not before its back-off");
        stage.pass(delay + 0.000_001);
    }
}

/// Instead of the policy's.
pub async fn a_failure_may_name_its_own_delay(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("busy").await;
    let held = stage.take().await;
    let finish = Finish::Failed { error: "503".into(), retryable: true, retry_after: Some(120.25) };
    assert_eq!(stage.end(&held, finish).await.run_at, stage.after(120.25));
    let held = stage.claim(stage.wish(1)).await;
    assert_eq!(held, []);
    stage.pass(120.25);
    let held = stage.take().await;
    let at_once = Finish::Failed { error: "0".into(), retryable: true, retry_after: Some(0.0) };
    assert_eq!(stage.end(&held, at_once).await.run_at, stage.now());
    assert_eq!(stage.take().await.task.state.attempt, 3);
}

/// However long it is and whatever bytes it is made of, the attempt ends: a refusal would leave it running.
pub async fn an_error_text_is_kept_whatever_it_holds(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let texts = [
        "a\0b",
        "\0",
        "\u{1b}[31mred\u{1b}[0m\r\n",
        "\u{202e}\u{ffff}\u{10ffff}",
        &"é\0".repeat(500_000),
    ];
    for text in texts {
        for (finish, status) in
            [(failed(text), Status::Pending), (failed_for_good(text), Status::Failed)]
        {
            let task = stage.task("noisy").await;
            let held = stage.take().await;
            stage.pass(1.0);
            let receipt = stage.end(&held, finish.clone()).await;
            assert_eq!((receipt.status, receipt.outcome), (status, Outcome::Failed));
            let state = stage.read(task.id).await.state;
            assert_eq!((&state.error_message, state.lease), (&Some(kept_error(text)), None));
            assert_eq!(stage.attempts(task.id).await[0].error, state.error_message);
            let again = stage.finish(task.id, held.token, finish).await;
            assert_eq!(again, Finished::Done(receipt));
            stage.delete(task.id).await;
        }
    }
    let task = stage.task("noisy").await;
    let held = stage.take().await;
    stage.end(&held, failed_for_good("a\0b")).await;
    let stage = stage.reopen(h).await;
    assert_eq!(stage.read(task.id).await.state.error_message.as_deref(), Some("a\u{fffd}b"));
}

/// With attempts left.
pub async fn a_failure_for_good_ends_the_task(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("bad").await;
    let held = stage.take().await;
    let receipt = stage.end(&held, failed_for_good("bad input")).await;
    assert_eq!((receipt.status, receipt.outcome), (Status::Failed, Outcome::Failed));
    let state = stage.read(task.id).await.state;
    assert_eq!((state.ended_at, state.completed_at), (Some(stage.now()), None));
    assert_eq!(state.error_message.as_deref(), Some("bad input"));
    stage.pass(100_000.0);
    assert_eq!(stage.claim(stage.wish(1)).await, []);
}

/// The last one ends it as failed.
pub async fn attempts_used_up_end_the_task(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 2, ..Terms::default() };
    let task = stage.create(NewTask { terms, ..stage.plan("twice") }).await;
    let held = stage.take().await;
    assert_eq!(stage.end(&held, failed("one")).await.status, Status::Pending);
    stage.pass(3600.0);
    let held = stage.take().await;
    assert_eq!(stage.end(&held, failed("two")).await.status, Status::Failed);
    let task = stage.read(task.id).await;
    assert_eq!((task.state.status, task.state.attempt), (Status::Failed, 2));
    assert_eq!(task.state.error_message.as_deref(), Some("two"));
    assert_eq!(stage.counts().await, [0, 0, 0, 1, 0]);
}

/// Against `max_attempts`; the number of the attempt rises all the same.
pub async fn snooze_release_and_interruption_do_not_count(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 1, ..Terms::default() };
    let task = stage.create(NewTask { terms, ..stage.plan("once") }).await;
    let gifts = [
        (Finish::Snoozed { delay: 30.5 }, Outcome::Snoozed, 30.5),
        (Finish::Released, Outcome::Released, 0.0),
        (Finish::Interrupted, Outcome::Interrupted, 0.0),
        (Finish::Snoozed { delay: 0.0 }, Outcome::Snoozed, 0.0),
    ];
    for (attempt, (finish, outcome, delay)) in (1..).zip(gifts) {
        let held = stage.take().await;
        let receipt = stage.end(&held, finish).await;
        assert_eq!((receipt.attempt, receipt.status), (attempt, Status::Pending));
        assert_eq!((receipt.outcome, receipt.run_at), (outcome, stage.after(delay)));
        let state = stage.read(task.id).await.state;
        assert_eq!((state.attempts_used(), state.retrying), (0, false));
        if delay > 0.0 {
            assert_eq!(stage.claim(stage.wish(1)).await, []);
        }
        stage.pass(delay);
    }
    let held = stage.take().await;
    assert_eq!(held.task.state.attempt, 5);
    assert_eq!(stage.end(&held, failed("now it counts")).await.status, Status::Failed);
}

/// Networks repeat things: nothing more happens to the task.
pub async fn the_same_finish_twice_gets_the_same_answer(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let finishes = [
        Finish::Completed { result: json("[1]") },
        failed("again"),
        failed_for_good("never"),
        Finish::Snoozed { delay: 5.0 },
        Finish::Released,
        Finish::Interrupted,
    ];
    for finish in finishes {
        let task = stage.task("repeated").await;
        let held = stage.take().await;
        let first = stage.finish(task.id, held.token, finish.clone()).await;
        let left = stage.read(task.id).await;
        let history = stage.attempts(task.id).await;
        stage.pass(1.0);
        let again = FinishTask { id: task.id, token: held.token, finish };
        let twice = vec![again.clone(), again];
        let synced = stage.sync(Sync { finish: twice, ..Sync::default() }).await;
        assert_eq!(synced.finished, [first.clone(), first]);
        assert_eq!(synced.ready, []);
        assert_eq!(stage.read(task.id).await, left);
        assert_eq!(stage.attempts(task.id).await, history);
        stage.delete(task.id).await;
    }
}

/// What was said first stands.
pub async fn a_different_finish_afterwards_has_lost_the_lease(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("one").await;
    let held = stage.take().await;
    stage.end(&held, Finish::Completed { result: json("1") }).await;
    let left = stage.read(task.id).await;
    for other in [done(), Finish::Completed { result: json("2") }, failed("x"), Finish::Released] {
        assert_eq!(stage.finish(task.id, held.token, other).await, Finished::LeaseLost);
    }
    assert_eq!(stage.beat(task.id, held.token).await, Extended::LeaseLost);
    assert_eq!(stage.read(task.id).await, left);
}

/// After the next claim the old token is worth nothing, not even for the call that was taken once.
pub async fn a_stale_lease_cannot_finish_or_extend_a_task(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("passed on").await;
    let old = stage.take().await;
    stage.end(&old, Finish::Released).await;
    let new = stage.take().await;
    let held = stage.read(task.id).await;
    for finish in [Finish::Released, done(), failed("late")] {
        assert_eq!(stage.finish(task.id, old.token, finish).await, Finished::LeaseLost);
    }
    assert_eq!(stage.beat(task.id, old.token).await, Extended::LeaseLost);
    assert_eq!(stage.read(task.id).await, held);
    assert_eq!(stage.end(&new, done()).await.attempt, 2);
}

/// Of a task that nobody holds or that somebody else holds.
pub async fn a_wrong_token_changes_nothing(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert(vec![stage.plan("held"), stage.plan("free"), stage.plan("by hand")]).await;
    let held = stage.take().await;
    stage.set(id(3), Status::InProgress).await;
    for n in 1..=3 {
        let before = stage.read(id(n)).await;
        let wrong = if n == 1 { token(999) } else { held.token };
        assert_eq!(stage.finish(id(n), wrong, done()).await, Finished::LeaseLost);
        assert_eq!(stage.beat(id(n), wrong).await, Extended::LeaseLost);
        assert_eq!(stage.read(id(n)).await, before);
    }
}

/// It is neither an error nor a lost lease.
pub async fn work_on_an_unknown_task_is_answered(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(stage.finish(id(1), token(1), done()).await, Finished::NotFound);
    assert_eq!(stage.beat(id(1), token(1)).await, Extended::NotFound);
}

/// The worker learns it from its next word, whatever it says; a retry makes it a stranger.
pub async fn a_cancelled_attempt_is_told_so(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("called off").await;
    let held = stage.take().await;
    stage.pass(1.0);
    let cancelled = stage.set(task.id, Status::Cancelled).await;
    assert_eq!(cancelled.state.cancel_reason.as_deref(), Some("requested"));
    let mut stage = stage;
    for _ in 0..2 {
        assert_eq!(stage.beat(task.id, held.token).await, Extended::Cancelled);
        for finish in [done(), failed("late")] {
            assert_eq!(stage.finish(task.id, held.token, finish).await, Finished::Cancelled);
        }
        assert_eq!(stage.beat(task.id, token(999)).await, Extended::LeaseLost);
        assert_eq!(stage.read(task.id).await, cancelled);
        stage = stage.reopen(h).await;
    }
    assert_eq!(stage.attempts(task.id).await[0].outcome, Outcome::Cancelled);
    stage.set(task.id, Status::Pending).await;
    assert_eq!(stage.beat(task.id, held.token).await, Extended::LeaseLost);
    assert_eq!(stage.finish(task.id, held.token, done()).await, Finished::LeaseLost);
}

/// Its id leads nowhere any more.
pub async fn a_deleted_task_fences_its_worker(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("gone").await;
    let held = stage.take().await;
    stage.delete(task.id).await;
    assert_eq!(stage.beat(task.id, held.token).await, Extended::NotFound);
    assert_eq!(stage.finish(task.id, held.token, done()).await, Finished::NotFound);
    stage.pass(1000.0);
    assert_eq!(stage.expire().await, []);
}

/// The others of the batch are taken, each in its place.
pub async fn a_task_that_was_deleted_sinks_none_of_its_batch(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..100).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(stage.wish(100)).await;
    let gone = held[49].task.id;
    stage.delete(gone).await;
    let end = |held: &Claimed| FinishTask { id: held.task.id, token: held.token, finish: done() };
    let finish = held.iter().map(end).collect();
    let finished = stage.sync(Sync { finish, ..Sync::default() }).await.finished;
    assert_eq!(finished.len(), held.len());
    for (held, finished) in held.iter().zip(finished) {
        match finished {
            Finished::Done(receipt) => {
                assert_eq!((receipt.id, receipt.status), (held.task.id, Status::Completed));
            }
            other => assert_eq!((held.task.id, other), (gone, Finished::NotFound)),
        }
    }
    assert_eq!(stage.counts().await, [0, 0, 99, 0, 0]);
}

/// Progress and checkpoint stay until the next word on them; the version does not move.
pub async fn a_heartbeat_extends_the_lease_and_keeps_what_it_says(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("long").await;
    let held = stage.take().await;
    stage.pass(20.0);
    let progress = Some(Progress { percent: 33.3, message: Some("a third".into()) });
    let checkpoint = json("{\"page\": 7}");
    let said = Extend { id: task.id, token: held.token, progress, checkpoint };
    let synced = stage.sync(Sync { extend: vec![said.clone()], ..Sync::default() }).await;
    assert_eq!(synced.extended, [Extended::Held(stage.after(30.0))]);
    stage.pass(20.0);
    assert_eq!(stage.beat(task.id, held.token).await, Extended::Held(stage.after(30.0)));
    let state = stage.read(task.id).await.state;
    assert_eq!((&state.progress, &state.checkpoint), (&said.progress, &said.checkpoint));
    assert_eq!((state.version, state.updated_at), (2, held.task.state.updated_at));
    assert_eq!(state.lease.as_ref().expect("a lease").until, stage.after(30.0));
    stage.end(&held, Finish::Released).await;
    let next = stage.take().await.task.state;
    assert_eq!(
        (next.progress, next.checkpoint),
        (None, said.checkpoint),
        "the next one starts there"
    );
}

/// Whatever the worker asks for, the attempt's own end and the task's deadline come first.
pub async fn a_heartbeat_never_goes_beyond_the_hard_end(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = |timeout, deadline: Option<f64>| Terms {
        timeout_seconds: timeout,
        deadline_at: deadline.map(|seconds| stage.after(seconds)),
        ..Terms::default()
    };
    let sorts = [terms(Some(40), None), terms(None, Some(40.0)), terms(Some(60), Some(40.0))];
    for terms in sorts {
        stage.create(NewTask { terms, ..stage.plan("bounded") }).await;
    }
    let short = Terms { timeout_seconds: Some(10), ..Terms::default() };
    stage.create(NewTask { terms: short, ..stage.plan("short") }).await;
    let end = stage.after(40.0);
    let held = stage.claim(stage.wish(4)).await;
    let until = |held: &Claimed| held.task.state.lease.as_ref().expect("a lease").until;
    assert_eq!(until(&held[3]), stage.after(10.0), "already the claim is bounded");
    stage.pass(25.0);
    for held in &held[..3] {
        assert_eq!(stage.beat(held.task.id, held.token).await, Extended::Held(end));
    }
    stage.pass(14.0);
    for held in &held[..3] {
        assert_eq!(stage.beat(held.task.id, held.token).await, Extended::Held(end));
    }
}

/// One commit: what it frees it may hand out again.
pub async fn a_sync_finishes_extends_and_claims_in_this_order(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert(vec![stage.plan("one"), stage.plan("two"), stage.plan("three")]).await;
    let held = stage.claim(stage.wish(2)).await;
    stage.pass(1.0);
    let release = FinishTask { id: id(1), token: held[0].token, finish: Finish::Released };
    let beat = |held: &Claimed| Extend {
        id: held.task.id,
        token: held.token,
        progress: None,
        checkpoint: None,
    };
    let sync = Sync {
        finish: vec![release],
        extend: vec![beat(&held[0]), beat(&held[1])],
        claim: Some(Claim { worker: worker("w2"), ..stage.wish(5) }),
    };
    let synced = stage.sync(sync).await;
    assert!(matches!(&synced.finished[..], [Finished::Done(r)] if r.status == Status::Pending));
    let extended = [Extended::LeaseLost, Extended::Held(stage.after(30.0))];
    assert_eq!(synced.extended, extended);
    // "three" has waited since the start, "one" since its release.
    assert_eq!(titles(&synced.claimed), ["three", "one"]);
    assert_eq!(synced.claimed[1].task.state.attempt, 2);
    assert_eq!(synced.ready, [], "what was handed out again waits for nobody");
}

/// Also when the ones in between are refused.
pub async fn a_sync_answers_every_item_in_order(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..4).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(stage.wish(4)).await;
    stage.set(id(3), Status::Cancelled).await;
    let finish = |n: i64, token| FinishTask { id: id(n), token, finish: done() };
    let (extra, last) = (stage.token(), held[3].token);
    let batch = vec![
        finish(4, last),
        finish(9, last),
        finish(3, held[2].token),
        finish(2, extra),
        finish(4, last),
        finish(1, held[0].token),
    ];
    let extend = [(2, held[1].token), (3, held[2].token), (9, extra), (1, held[0].token)];
    let extend =
        extend.map(|(n, token)| Extend { id: id(n), token, progress: None, checkpoint: None });
    let synced = stage.sync(Sync { finish: batch, extend: extend.into(), claim: None }).await;
    let receipt = |n| {
        Finished::Done(Receipt {
            id: id(n),
            status: Status::Completed,
            attempt: 1,
            outcome: Outcome::Completed,
            run_at: stage.now(),
        })
    };
    let finished = [
        receipt(4),
        Finished::NotFound,
        Finished::Cancelled,
        Finished::LeaseLost,
        receipt(4),
        receipt(1),
    ];
    assert_eq!(synced.finished, finished);
    let until = stage.after(30.0);
    let extended =
        [Extended::Held(until), Extended::Cancelled, Extended::NotFound, Extended::LeaseLost];
    assert_eq!(synced.extended, extended);
}

/// And changes nothing.
pub async fn an_empty_sync_answers_nothing(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("stays").await;
    assert_eq!(stage.sync(Sync::default()).await, Synced::default());
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
}

/// After births, ends of attempts, moves and changes of `run_at`; not after anything else.
pub async fn ready_tells_what_may_be_claimed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mail = NewTask { queue: queue("mail"), run_at: stage.after(5.0), ..stage.plan("mail") };
    let waits = |name, run_at| Ready { queue: queue(name), kind: kind(KIND), run_at };
    let mut born = stage.insert(vec![mail, stage.plan("plain")]).await.ready;
    born.sort_by_key(|ready| ready.run_at);
    assert_eq!(born, [waits("default", stage.now()), waits("mail", stage.after(5.0))]);

    let claim = Sync { claim: Some(stage.wish(1)), ..Sync::default() };
    let synced = stage.sync(claim).await;
    assert_eq!(synced.ready, []);
    let held = &synced.claimed[0];
    let finish = Finish::Snoozed { delay: 9.0 };
    let finish = vec![FinishTask { id: held.task.id, token: held.token, finish }];
    let synced = stage.sync(Sync { finish, ..Sync::default() }).await;
    assert_eq!(synced.ready, [waits("default", stage.after(9.0))]);

    let edit = async |edit| {
        let answers = stage.store.edit(stage.tenant, vec![edit], stage.now()).await;
        let answers = answers.expect("edit works");
        assert!(matches!(answers.items[..], [Edited::Done(_)]));
        answers.ready
    };
    let sooner = TaskPatch { run_at: Some(stage.after(2.0)), ..TaskPatch::default() };
    assert_eq!(edit(patch(id(1), sooner)).await, [waits("mail", stage.after(2.0))]);
    let renamed = TaskPatch { title: Some("other".into()), ..TaskPatch::default() };
    assert_eq!(edit(patch(id(1), renamed)).await, []);
    assert_eq!(edit(to(id(1), Status::Cancelled)).await, []);
    assert_eq!(edit(to(id(1), Status::Pending)).await, [waits("mail", stage.now())]);
    assert_eq!(edit(to(id(2), Status::InProgress)).await, []);
    stage.pass(1.0);
    assert_eq!(edit(to(id(2), Status::Pending)).await, [waits("default", stage.now())]);
}

/// The holder goes on where it was; the tokens are as good as before.
pub async fn leases_hold_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..4).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(stage.wish(3)).await;
    stage.end(&held[0], failed("once")).await;
    let stage = stage.reopen(h).await;
    stage.pass(10.0);
    let repeated = stage.finish(id(1), held[0].token, failed("once")).await;
    assert!(matches!(repeated, Finished::Done(r) if r.outcome == Outcome::Failed));
    assert_eq!(stage.beat(id(2), held[1].token).await, Extended::Held(stage.after(30.0)));
    assert_eq!(stage.end(&held[2], done()).await.status, Status::Completed);
    assert_eq!(stage.counts().await, [2, 1, 1, 0, 0]);
}
