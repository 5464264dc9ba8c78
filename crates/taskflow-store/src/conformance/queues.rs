//! Cases of queues: their settings, and what those let through.

use taskflow_core::limits::{KEYED_WALK_MAX, QUEUES_MAX};
use taskflow_core::queue::{Defaults, Keep, Pause, RateLimit, Settings};
use taskflow_core::{
    Barred, Finish, NewTask, PendingReason, Priority, Queue, QueueName, QueuePatch, RetryPolicy,
    Status, Strategy, TaskId, TenantId,
};

use super::harness::Harness;
use super::stage::{Stage, done, queue, titles};
use crate::{Claim, Claimed, Extended, Filter, QueueSet, QueueView, Ready, Sync};

pub(super) fn named(name: &str, stage: &Stage) -> NewTask {
    NewTask { queue: queue(name), ..stage.plan(name) }
}

pub(super) async fn set_one(stage: &Stage, name: &str, patch: QueuePatch) -> Queue {
    match answer(stage, name, None, patch).await {
        QueueSet::Done(queue, _) => *queue,
        other => panic!("not set: {other:?}"),
    }
}

async fn answer(stage: &Stage, name: &str, version: Option<u64>, patch: QueuePatch) -> QueueSet {
    let set = stage.store.set_queue(stage.tenant, queue(name), version, patch, stage.now());
    set.await.expect("set_queue works")
}

async fn view(stage: &Stage, name: &str) -> QueueView {
    stage.store.queue(stage.tenant, queue(name)).await.expect("queue works")
}

pub(super) fn limit(limit: u32) -> QueuePatch {
    QueuePatch { concurrency_limit: Some(Some(limit)), ..QueuePatch::default() }
}

pub(super) fn key_limit(limit: u32) -> QueuePatch {
    QueuePatch { concurrency_key_limit: Some(Some(limit)), ..QueuePatch::default() }
}

fn rate(tasks: u32, per_seconds: u32) -> QueuePatch {
    QueuePatch { rate_limit: Some(Some(RateLimit { tasks, per_seconds })), ..QueuePatch::default() }
}

fn paused(reason: &str) -> QueuePatch {
    QueuePatch { pause: Some(Some(Some(reason.into()))), ..QueuePatch::default() }
}

fn resumed() -> QueuePatch {
    QueuePatch { pause: Some(None), ..QueuePatch::default() }
}

pub(super) fn ids(claimed: &[Claimed]) -> Vec<TaskId> {
    claimed.iter().map(|held| held.task.id).collect()
}

/// Nothing has to be set before a queue is used.
pub async fn a_queue_that_nobody_set_has_the_usual_settings(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(named("a", &stage)).await;
    let seen = view(&stage, "a").await;
    assert_eq!(seen.queue, Queue::plain(queue("a")));
    assert_eq!(seen.counts.0, [1, 0, 0, 0, 0]);
    assert_eq!(view(&stage, "nowhere").await.counts.0, [0; 5]);
}

/// Each with its own settings and tasks, in the order of the names, whether twice or not at all used.
pub async fn queues_are_read_by_their_names(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let set = set_one(&stage, "b", limit(2)).await;
    stage.create(named("a", &stage)).await;
    stage.create(named("a.b", &stage)).await;
    stage.create(named("a.b", &stage)).await;
    let names: Vec<QueueName> = ["b", "nowhere", "a.b", "a", "b"].map(queue).into();
    let told = stage.store.named(stage.tenant, names.clone()).await.expect("named works");
    let told: Vec<_> = told.into_iter().map(|view| (view.queue, view.counts.0[0])).collect();
    let plain = |at: usize| Queue::plain(names[at].clone());
    let wanted = [(set.clone(), 0), (plain(1), 0), (plain(2), 2), (plain(3), 1), (set, 0)];
    assert_eq!(told, wanted);
    let other = stage.seen_by(TenantId(2));
    let names = vec![queue("b"), queue("a.b")];
    let told = other.store.named(other.tenant, names).await.expect("named works");
    assert_eq!(told[0].queue, Queue::plain(queue("b")), "another tenant's is another queue");
    assert_eq!(told[1].counts.0, [0; 5], "with tasks of its own");
    assert_eq!(stage.store.named(stage.tenant, Vec::new()).await.expect("named works"), []);
}

/// Every one of them, and through a restart.
pub async fn settings_come_back_as_they_were_set(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let settings = Settings {
        concurrency_limit: Some(7),
        concurrency_key_limit: Some(2),
        rate_limit: Some(RateLimit { tasks: 30, per_seconds: 60 }),
        starvation_guard: 0,
        defaults: Defaults {
            priority: Some(Priority::High),
            max_attempts: Some(3),
            retry: Some(RetryPolicy { strategy: Strategy::Fixed, ..RetryPolicy::default() }),
            timeout_seconds: Some(90),
            lease_seconds: Some(11),
        },
        retention: Keep { completed_seconds: Some(0), failed_seconds: Some(60), ..Keep::default() },
    };
    let patch = QueuePatch {
        concurrency_limit: Some(settings.concurrency_limit),
        concurrency_key_limit: Some(settings.concurrency_key_limit),
        rate_limit: Some(settings.rate_limit),
        starvation_guard: Some(settings.starvation_guard),
        defaults: Some(settings.defaults),
        retention: Some(settings.retention),
        pause: Some(Some(Some("ünder repair".into()))),
    };
    let is = set_one(&stage, "a", patch.clone()).await;
    let pause = Some(Pause { reason: Some("ünder repair".into()), since: stage.now() });
    assert_eq!((&is.settings, is.pause.clone(), is.version), (&settings, pause, 1));
    assert_eq!(is.updated_at, Some(stage.now()));
    stage.pass(5.0);
    assert_eq!(set_one(&stage, "a", patch).await, is, "the same again changes nothing");
    let stage = stage.reopen(h).await;
    assert_eq!(view(&stage, "a").await.queue, is);
    let all = stage.store.settings(stage.tenant).await.expect("settings works");
    assert_eq!(all, std::slice::from_ref(&is));
    let cleared = set_one(
        &stage,
        "a",
        QueuePatch { rate_limit: Some(None), concurrency_limit: Some(None), ..resumed() },
    )
    .await;
    assert_eq!((cleared.pause, cleared.version), (None, 2));
    assert_eq!(cleared.settings.concurrency_key_limit, Some(2), "what is not named stays");
}

/// The version guards a change as it guards those of tasks.
pub async fn a_change_of_a_queue_s_other_version_is_stale(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(answer(&stage, "a", Some(1), limit(1)).await, QueueSet::Stale(0));
    assert!(matches!(answer(&stage, "a", Some(0), limit(1)).await, QueueSet::Done(..)));
    assert_eq!(answer(&stage, "a", Some(0), limit(2)).await, QueueSet::Stale(1));
    assert_eq!(view(&stage, "a").await.queue.settings.concurrency_limit, Some(1));
}

/// Those with tasks and those with settings, in the order of their bytes.
pub async fn queues_are_listed_by_name_in_pages(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for name in ["b", "B", "a", "b"] {
        stage.create(named(name, &stage)).await;
    }
    set_one(&stage, "only-set", limit(1)).await;
    let page = async |after: Option<&str>, limit| {
        let page = stage.store.queues(stage.tenant, after.map(queue), limit).await;
        let page = page.expect("queues works");
        let name = |view: &QueueView| view.queue.name.as_str().to_owned();
        page.iter().map(|view| (name(view), view.counts.0[0])).collect::<Vec<_>>()
    };
    let all = [("B", 1), ("a", 1), ("b", 2), ("only-set", 0)];
    let all: Vec<(String, u64)> = all.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    assert_eq!(page(None, 10).await, all);
    assert_eq!(page(None, 2).await, all[..2]);
    assert_eq!(page(Some("a"), 10).await, all[2..]);
    let other = stage.seen_by(TenantId(2));
    assert_eq!(other.store.queues(other.tenant, None, 10).await.expect("queues works"), []);
}

/// What runs goes on; nothing starts; other queues are not concerned.
pub async fn a_paused_queue_hands_nothing_out_until_it_is_resumed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(named("a", &stage)).await;
    let held = stage.take().await;
    set_one(&stage, "a", paused("repair")).await;
    let waits = stage.create(named("a", &stage)).await.id;
    stage.create(named("b", &stage)).await;
    assert_eq!(titles(&stage.claim(stage.wish(9)).await), ["b"]);
    stage.end(&held, Finish::Released).await;
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    let stage = stage.reopen(h).await;
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    let QueueSet::Done(_, ready) = answer(&stage, "a", None, resumed()).await else {
        panic!("not resumed")
    };
    let run_at = stage.read(held.task.id).await.state.run_at;
    let kind = held.task.kind.clone();
    assert_eq!(ready, [Ready { queue: queue("a"), kind, run_at }], "a claimer can be woken");
    let mut taken = ids(&stage.claim(stage.wish(9)).await);
    taken.sort_unstable();
    assert_eq!(taken, [held.task.id, waits]);
}

/// Scheduled, failed, snoozed, rescued or plain; what runs is let run, and no count moves by a pause.
pub async fn what_comes_due_in_a_paused_queue_waits_there(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let titled = |title: &str| NewTask { title: title.into(), ..named("a", &stage) };
    stage.insert(["fails", "snoozes", "dies", "runs"].map(titled).into()).await;
    let mut held = stage.claim(stage.wish(2)).await;
    held.extend(stage.claim(Claim { lease_seconds: Some(5), ..stage.wish(1) }).await);
    held.push(stage.take().await);
    let error = "503".to_owned();
    let fails = Finish::Failed { error, retryable: true, retry_after: Some(10.0) };
    stage.end(&held[0], fails).await;
    stage.end(&held[1], Finish::Snoozed { delay: 10.0 }).await;
    let later = NewTask { run_at: stage.after(10.0), ..titled("later") };
    stage.insert(vec![later, titled("plain"), named("b", &stage)]).await;
    let before = view(&stage, "a").await.counts;
    assert_eq!(before.0, [4, 2, 0, 0, 0]);
    set_one(&stage, "a", paused("repair")).await;
    assert_eq!(view(&stage, "a").await.counts, before);
    stage.pass(10.0);
    let swept = stage.expire().await;
    assert_eq!(swept.len(), 1);
    assert_eq!((swept[0].id, swept[0].status), (held[2].task.id, Status::Pending));
    assert_eq!(titles(&stage.claim(stage.wish(9)).await), ["b"]);
    let ready =
        Filter { queue: Some(queue("a")), reason: Some(PendingReason::Ready), ..Filter::default() };
    let waits = ["dies", "fails", "later", "plain", "snoozes"];
    let mut listed: Vec<_> =
        stage.list(ready, 0, 100).await.into_iter().map(|task| task.title).collect();
    listed.sort_unstable();
    assert_eq!(listed, waits);
    let runs = &held[3];
    assert_eq!(stage.beat(runs.task.id, runs.token).await, Extended::Held(stage.after(30.0)));
    stage.end(runs, done()).await;
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    set_one(&stage, "a", resumed()).await;
    let claimed = stage.claim(stage.wish(9)).await;
    let mut taken = titles(&claimed);
    taken.sort_unstable();
    assert_eq!(taken, waits);
}

/// Over every claim, through a restart; the end of a lease makes room, however it ends.
pub async fn a_queue_never_has_more_leases_than_its_limit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", limit(2)).await;
    for _ in 0..9 {
        stage.create(named("a", &stage)).await;
    }
    stage.create(named("b", &stage)).await;
    let first = stage.claim(stage.wish(9)).await;
    assert_eq!(titles(&first), ["a", "a", "b"]);
    stage.end(&first[2], done()).await;
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    let stage = stage.reopen(h).await;
    assert_eq!(stage.claim(stage.wish(9)).await, [], "leases are counted anew");
    stage.end(&first[0], done()).await;
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 1);
    // What a person works on has no lease.
    stage.set(first[1].task.id, Status::Cancelled).await;
    let by_hand = stage.claim(stage.wish(9)).await;
    assert_eq!(by_hand.len(), 1);
    stage.set(by_hand[0].task.id, Status::Pending).await;
    stage.set(by_hand[0].task.id, Status::InProgress).await;
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 1);
    // Deleted while it runs.
    let running = stage.store.gate(stage.tenant, queue("a"), None).await.expect("gate works");
    assert_eq!((running.gate.running, running.holders.len()), (2, 2));
    stage.delete(running.holders[0]).await;
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 1);
    stage.pass(1000.0);
    assert_eq!(stage.claim(stage.wish(9)).await, [], "until the dead are rescued");
    stage.expire().await;
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 2);
    let raised = set_one(&stage, "a", limit(3)).await;
    assert_eq!(raised.version, 2);
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 1);
}

/// One sync that ends an attempt may take the next one.
pub async fn a_sync_may_take_the_room_that_its_finish_made(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", limit(1)).await;
    let ids =
        [stage.create(named("a", &stage)).await.id, stage.create(named("a", &stage)).await.id];
    let held = stage.take().await;
    let finish = vec![crate::FinishTask { id: held.task.id, token: held.token, finish: done() }];
    let synced = stage.sync(Sync { finish, claim: Some(stage.wish(5)), ..Sync::default() }).await;
    assert_eq!(synced.claimed.iter().map(|c| c.task.id).collect::<Vec<_>>(), ids[1..]);
}

/// The tasks of a full key are passed over, however many stand in front.
pub async fn a_full_key_holds_up_nobody_else(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", key_limit(1)).await;
    let keyed = |key: &str| NewTask {
        title: key.to_owned(),
        concurrency_key: Some(key.to_owned()),
        ..named("a", &stage)
    };
    let crowd: Vec<NewTask> = (0..KEYED_WALK_MAX + 50).map(|_| keyed("big")).collect();
    for part in crowd.chunks(500) {
        stage.insert(part.to_vec()).await;
    }
    stage.insert(vec![keyed("small"), keyed("small"), named("a", &stage), keyed("tiny")]).await;
    let first = stage.claim(stage.wish(2)).await;
    assert_eq!(titles(&first), ["big", "small"]);
    let more = stage.claim(stage.wish(9)).await;
    let mut others = titles(&more);
    others.sort_unstable();
    assert_eq!(others, ["a", "tiny"]);
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    let stage_gate = stage.store.gate(stage.tenant, queue("a"), Some("small".into()));
    let gate = stage_gate.await.expect("gate works");
    assert_eq!(gate.key_holders, [first[1].task.id]);
    assert_eq!(gate.gate.barred_key(Some("small")), Some(Barred::KeyFull));
    stage.end(&first[1], done()).await;
    assert_eq!(titles(&stage.claim(stage.wish(9)).await), ["small"]);
    stage.end(&first[0], done()).await;
    assert_eq!(titles(&stage.claim(stage.wish(9)).await), ["big"]);
}

/// Full keys change nothing about the order of the others, nor about the guard.
pub async fn the_order_holds_behind_full_keys(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let guard = QueuePatch { starvation_guard: Some(4), ..key_limit(1) };
    set_one(&stage, "a", guard).await;
    let keyed = |key: &str, priority| NewTask {
        title: key.to_owned(),
        concurrency_key: Some(key.to_owned()),
        priority,
        ..named("a", &stage)
    };
    stage.insert((0..30).map(|_| keyed("full", Priority::Urgent)).collect()).await;
    stage.insert(vec![keyed("high", Priority::Urgent), keyed("low", Priority::Low)]).await;
    stage.insert((0..30).map(|_| keyed("full", Priority::Low)).collect()).await;
    stage.pass(1.0);
    let plain = NewTask { title: "plain".into(), priority: Priority::High, ..named("a", &stage) };
    stage.insert(vec![plain; 8]).await;
    assert_eq!(titles(&stage.claim(stage.wish(3)).await), ["full", "high", "plain"]);
    // The fourth start is the oldest task's that may start.
    assert_eq!(titles(&stage.claim(stage.wish(3)).await), ["low", "plain", "plain"]);
}

/// In every span of its length, through a restart, and it says when the next may start.
pub async fn a_rate_lets_so_many_start_in_its_span(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", rate(3, 64)).await;
    for _ in 0..9 {
        stage.create(named("a", &stage)).await;
    }
    let began = stage.now();
    assert_eq!(stage.claim(stage.wish(2)).await.len(), 2);
    stage.pass(30.0);
    let synced = stage.sync(Sync { claim: Some(stage.wish(5)), ..Sync::default() }).await;
    assert_eq!(synced.claimed.len(), 1);
    let [(name, next)] = &synced.later[..] else { panic!("no instant: {:?}", synced.later) };
    assert_eq!(name.as_str(), "a");
    let after = next.seconds_since(began);
    assert!((64.0..=66.0).contains(&after), "the next start is {after} s after the first");
    let stage = stage.reopen(h).await;
    stage.pass(next.seconds_since(stage.now()) - 0.001);
    assert_eq!(stage.claim(stage.wish(5)).await, []);
    stage.pass(0.002);
    assert_eq!(stage.claim(stage.wish(5)).await.len(), 2);
    // A retry is a start too; a limit that goes leaves the rest free.
    set_one(&stage, "a", QueuePatch { rate_limit: Some(None), ..QueuePatch::default() }).await;
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 4);
}

/// Of sixteen starts the last is the oldest task's, unless the queue says otherwise.
pub async fn one_start_in_so_many_is_the_oldest_task_s(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let low = NewTask { title: "low".into(), priority: Priority::Low, ..stage.plan("") };
    stage.create(low.clone()).await;
    stage.pass(1.0);
    let urgent = |n: usize| {
        let plan = NewTask { priority: Priority::Urgent, ..stage.plan("urgent") };
        std::iter::repeat_n(plan, n).collect::<Vec<_>>()
    };
    stage.insert(urgent(40)).await;
    let first = stage.claim(stage.wish(15)).await;
    assert!(titles(&first).iter().all(|title| *title == "urgent"));
    assert_eq!(titles(&stage.claim(stage.wish(2)).await), ["low", "urgent"]);
    // Strict priority for those who want it.
    set_one(&stage, "default", QueuePatch { starvation_guard: Some(0), ..QueuePatch::default() })
        .await;
    stage.create(NewTask { run_at: first[0].task.created_at, ..low }).await;
    assert!(titles(&stage.claim(stage.wish(24)).await).iter().all(|title| *title == "urgent"));
    assert_eq!(titles(&stage.claim(stage.wish(24)).await), ["low"]);
}

/// Somebody who waits for the limit can be woken.
pub async fn the_end_of_a_lease_tells_of_what_waits_for_the_limit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", limit(1)).await;
    let tasks = [stage.create(named("a", &stage)).await, stage.create(named("a", &stage)).await];
    let held = stage.take().await;
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    let finish = vec![crate::FinishTask { id: held.task.id, token: held.token, finish: done() }];
    let synced = stage.sync(Sync { finish, ..Sync::default() }).await;
    let waits = &tasks[1];
    let (kind, run_at) = (waits.kind.clone(), waits.state.run_at);
    assert_eq!(synced.ready, [Ready { queue: queue("a"), kind, run_at }]);
}

/// The same name means another queue to each.
pub async fn tenants_set_their_own_queues(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let other = stage.seen_by(TenantId(2));
    set_one(&stage, "a", paused("mine")).await;
    stage.create(named("a", &stage)).await;
    other.create(named("a", &other)).await;
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    assert_eq!(other.claim(other.wish(1)).await.len(), 1);
    assert_eq!(view(&other, "a").await.queue, Queue::plain(queue("a")));
}

/// Claims read them.
pub async fn the_number_of_queues_with_settings_is_bounded(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let name = |n: usize| QueueName::parse(&format!("q{n}")).expect("a name");
    let set = |n: usize| {
        let stage = stage.clone();
        async move {
            let set = stage.store.set_queue(stage.tenant, name(n), None, limit(1), stage.now());
            set.await.expect("set_queue works")
        }
    };
    for answer in (0..QUEUES_MAX).map(set).collect::<tokio::task::JoinSet<_>>().join_all().await {
        assert!(matches!(answer, QueueSet::Done(..)), "{answer:?}");
    }
    assert_eq!(set(QUEUES_MAX).await, QueueSet::TooMany);
    assert!(matches!(answer(&stage, "q7", None, limit(2)).await, QueueSet::Done(..)));
    // One of which nothing is set any more makes room.
    let none = QueuePatch { concurrency_limit: Some(None), ..QueuePatch::default() };
    assert_eq!(set_one(&stage, "q7", none).await, Queue::plain(queue("q7")));
    assert!(matches!(set(QUEUES_MAX).await, QueueSet::Done(..)));
}
