//! Cases of the statistics: tasks by queue and kind, and what happened minute by minute.

use taskflow_core::histogram::{bucket, middle};
use taskflow_core::series::{Counter, Minute, Tally};
use taskflow_core::task::OnConflict;
use taskflow_core::{
    Finish, NewTask, Priority, QueueName, Status, TaskPatch, TenantId, Terms, Timestamp,
};

use super::harness::Harness;
use super::stage::{Stage, done, failed, failed_for_good, id, kind, patch, queue, unique};
use crate::{Claim, Inserted, Narrow, Overview};

async fn overview(stage: &Stage, narrow: Narrow, limit: u32) -> Overview {
    stage.store.overview(stage.tenant, narrow, limit).await.expect("overview works")
}

/// An overview as short words: the total, then the lists.
type Told<'o> = ([u64; 5], Vec<(&'o str, [u64; 5])>, Vec<(&'o str, [u64; 5])>);

fn told(overview: &Overview) -> Told<'_> {
    let queues = overview.queues.iter().map(|(name, counts)| (name.as_str(), counts.0));
    let kinds = overview.kinds.iter().map(|(name, counts)| (name.as_str(), counts.0));
    (overview.total.0, queues.collect(), kinds.collect())
}

fn of(stage: &Stage, queue_name: &str, kind_name: &str) -> NewTask {
    NewTask { queue: queue(queue_name), kind: kind(kind_name), ..stage.plan("counted") }
}

async fn series(stage: &Stage, of: Option<&str>) -> Vec<(Minute, Tally)> {
    let last = Minute::of(stage.now());
    let series = stage.store.series(stage.tenant, of.map(queue), last.plus(-99), last);
    series.await.expect("series works")
}

/// The counters of the present minute, in the order of [`Counter::ALL`].
async fn now(stage: &Stage) -> [u64; 7] {
    let series = series(stage, None).await;
    let present = Minute::of(stage.now());
    let tally = series.into_iter().find(|(minute, _)| *minute == present);
    counters(&tally.map(|(_, tally)| tally).unwrap_or_default())
}

fn counters(tally: &Tally) -> [u64; 7] {
    Counter::ALL.map(|counter| tally.of(counter))
}

/// Neither counts nor minutes.
pub async fn an_empty_store_has_nothing_to_tell(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(overview(&stage, Narrow::default(), 10).await, Overview::default());
    assert_eq!(series(&stage, None).await, []);
    assert_eq!(series(&stage, Some("default")).await, []);
}

/// Over all priorities, by the order of the names' bytes.
pub async fn an_overview_counts_by_queue_and_by_kind(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let all = [("b", "y"), ("a", "x"), ("B", "x"), ("a", "y"), ("a", "x")];
    for (queue, kind) in all {
        stage.create(of(&stage, queue, kind)).await;
    }
    let urgent = taskflow_core::Priority::Urgent;
    stage.create(NewTask { priority: urgent, ..of(&stage, "a", "x") }).await;
    let held = stage.take().await;
    stage.end(&held, done()).await;
    let overview = overview(&stage, Narrow::default(), 10).await;
    let queues = vec![("B", [1, 0, 0, 0, 0]), ("a", [3, 0, 1, 0, 0]), ("b", [1, 0, 0, 0, 0])];
    let kinds = vec![("x", [3, 0, 1, 0, 0]), ("y", [2, 0, 0, 0, 0])];
    assert_eq!(told(&overview), ([5, 0, 1, 0, 0], queues, kinds));
    assert!(!overview.more_queues && !overview.more_kinds);
}

/// At once; and what has no task any more is not told.
pub async fn an_overview_follows_every_change(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.create(of(&stage, "q", "k")).await;
    let steps = [
        (Status::InProgress, [0, 1, 0, 0, 0]),
        (Status::Failed, [0, 0, 0, 1, 0]),
        (Status::Pending, [1, 0, 0, 0, 0]),
        (Status::Cancelled, [0, 0, 0, 0, 1]),
    ];
    for (status, counts) in steps {
        stage.set(task.id, status).await;
        let overview = overview(&stage, Narrow::default(), 10).await;
        assert_eq!(told(&overview), (counts, vec![("q", counts)], vec![("k", counts)]));
    }
    stage.delete(task.id).await;
    assert_eq!(overview(&stage, Narrow::default(), 10).await, Overview::default());
}

/// To a queue, a kind or both.
pub async fn an_overview_may_be_narrowed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for (queue, kind) in [("a", "x"), ("a", "y"), ("a", "y"), ("b", "x")] {
        stage.create(of(&stage, queue, kind)).await;
    }
    let n = |n| [n, 0, 0, 0, 0];
    let one = Narrow { queue: Some(queue("a")), ..Narrow::default() };
    let seen = overview(&stage, one.clone(), 10).await;
    assert_eq!(told(&seen), (n(3), vec![("a", n(3))], vec![("x", n(1)), ("y", n(2))]));
    let other = Narrow { kind: Some(kind("x")), ..Narrow::default() };
    let seen = overview(&stage, other, 10).await;
    assert_eq!(told(&seen), (n(2), vec![("a", n(1)), ("b", n(1))], vec![("x", n(2))]));
    let seen = overview(&stage, Narrow { kind: Some(kind("y")), ..one }, 10).await;
    assert_eq!(told(&seen), (n(2), vec![("a", n(2))], vec![("y", n(2))]));
    let nothing = Narrow { queue: Some(queue("c")), ..Narrow::default() };
    assert_eq!(overview(&stage, nothing, 10).await, Overview::default());
}

/// The total stays that of all.
pub async fn an_overview_goes_on_after_a_name(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for name in ["a", "b", "c", "d", "e"] {
        stage.create(of(&stage, name, name)).await;
    }
    let mut narrow = Narrow::default();
    let (mut queues, mut kinds) = (Vec::new(), Vec::new());
    for more in [true, true, false] {
        let page = overview(&stage, narrow.clone(), 2).await;
        assert_eq!(page.total.0, [5, 0, 0, 0, 0]);
        assert_eq!((page.more_queues, page.more_kinds), (more, more));
        queues.extend(page.queues.into_iter().map(|(name, _)| name));
        kinds.extend(page.kinds.into_iter().map(|(name, _)| name));
        narrow.after_queue = queues.last().cloned();
        narrow.after_kind = kinds.last().cloned();
    }
    assert_eq!(queues, ["a", "b", "c", "d", "e"].map(queue));
    assert_eq!(kinds, ["a", "b", "c", "d", "e"].map(kind));
    let exact = Narrow { after_queue: Some(queue("c")), ..Narrow::default() };
    assert!(!overview(&stage, exact, 2).await.more_queues, "two are left and both are told");
}

/// In the minute in which it happened, and minutes with nothing are left out.
pub async fn a_series_counts_what_happens_minute_by_minute(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = Minute::of(stage.now());
    stage.insert((0..3).map(|n| stage.plan(&format!("{n}"))).collect()).await;
    stage.pass(60.0);
    let held = stage.claim(stage.wish(2)).await;
    stage.pass(120.0);
    for held in &held {
        stage.end(held, done()).await;
    }
    let series = series(&stage, None).await;
    let told: Vec<_> = series.iter().map(|(minute, tally)| (*minute, counters(tally))).collect();
    let wanted = [
        (first, [3, 0, 0, 0, 0, 0, 0]),
        (first.plus(1), [0, 2, 0, 0, 0, 0, 0]),
        (first.plus(3), [0, 0, 2, 0, 0, 0, 0]),
    ];
    assert_eq!(told, wanted);
}

/// An attempt that failed is not a task that failed.
pub async fn a_series_tells_failed_attempts_from_failed_tasks(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 2, lease_seconds: 5, ..Terms::default() };
    stage.create(NewTask { terms, ..stage.plan("fails") }).await;
    let held = stage.take().await;
    stage.end(&held, failed("once")).await;
    assert_eq!(now(&stage).await, [1, 1, 0, 0, 1, 1, 0]);
    stage.pass(600.0);
    stage.take().await;
    stage.pass(6.0);
    stage.expire().await;
    assert_eq!(
        now(&stage).await,
        [0, 1, 0, 1, 1, 0, 0],
        "its lease ended and it had no more attempts"
    );
    stage.pass(600.0);
    stage.task("given back").await;
    let held = stage.take().await;
    stage.end(&held, Finish::Released).await;
    let held = stage.take().await;
    stage.end(&held, failed_for_good("broken")).await;
    assert_eq!(now(&stage).await, [1, 2, 0, 1, 1, 0, 0], "what is given back did not fail");
}

/// By hand, by a deadline, by a parent's end, by a second task with the same key.
pub async fn a_series_counts_what_people_and_time_do(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("by hand").await;
    stage.set(task.id, Status::InProgress).await;
    stage.set(task.id, Status::Completed).await;
    stage.set(task.id, Status::Pending).await;
    stage.set(task.id, Status::Failed).await;
    assert_eq!(now(&stage).await, [1, 1, 1, 1, 0, 1, 0]);
    stage.pass(600.0);
    let parent = stage.task("parent").await;
    let child = NewTask { depends_on: vec![parent.id], ..stage.plan("child") };
    stage.create(child).await;
    stage.set(parent.id, Status::Cancelled).await;
    assert_eq!(now(&stage).await, [2, 0, 0, 0, 0, 0, 2]);
    stage.pass(600.0);
    let keyed = || NewTask { unique: unique("k", OnConflict::Replace), ..stage.plan("keyed") };
    stage.create(keyed()).await;
    assert!(matches!(stage.offer(keyed()).await, Inserted::Replaced { .. }));
    assert_eq!(now(&stage).await, [2, 0, 0, 0, 0, 0, 1]);
    stage.pass(600.0);
    let terms = Terms { deadline_at: Some(stage.after(5.0)), ..Terms::default() };
    stage.create(NewTask { terms, run_at: stage.after(60.0), ..stage.plan("late") }).await;
    stage.pass(10.0);
    stage.expire().await;
    assert_eq!(now(&stage).await, [1, 0, 0, 1, 0, 0, 0]);
}

/// As buckets: from the moment from which it might run to the claim, and from there to the end.
pub async fn a_series_tells_how_long_tasks_waited_and_ran(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(NewTask { run_at: stage.after(30.0), ..stage.plan("later") }).await;
    stage.pass(30.25);
    let held = stage.take().await;
    stage.pass(2.0);
    stage.end(&held, failed("once")).await;
    // What a person does is nobody's waiting and no worker's running.
    let by_hand = stage.task("by hand").await;
    stage.pass(7.0);
    stage.set(by_hand.id, Status::InProgress).await;
    stage.set(by_hand.id, Status::Completed).await;
    let mut sum = Tally::default();
    series(&stage, None).await.iter().for_each(|(_, tally)| sum.merge(tally));
    let near = |micros| Some(middle(bucket(micros)));
    assert_eq!((sum.waiting.count(), sum.running.count()), (1, 1));
    assert_eq!(sum.waiting.percentile(0.5), near(250_000));
    assert_eq!(sum.running.percentile(0.99), near(2_000_000));
}

/// And all of them together are the sum.
pub async fn a_series_of_one_queue_tells_nothing_of_another(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for (queue, tasks) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.insert(vec![of(&stage, queue, "work"); tasks]).await;
    }
    stage.claim(stage.wish(6)).await;
    for (of, tasks) in [(Some("a"), 1), (Some("b"), 2), (Some("d"), 0), (None, 6)] {
        let series = series(&stage, of).await;
        let counted = series.first().map(|(_, tally)| tally.of(Counter::Started));
        assert_eq!(counted.unwrap_or(0), tasks, "{of:?}");
        let waited = series.first().map(|(_, tally)| tally.waiting.count());
        assert_eq!(waited.unwrap_or(0), tasks, "{of:?}");
    }
}

/// Both of them included, nothing before and nothing after.
pub async fn a_series_goes_from_minute_to_minute(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = Minute::of(stage.now());
    for n in 0..5 {
        stage.task(&format!("{n}")).await;
        stage.pass(60.0);
    }
    let series = stage.store.series(stage.tenant, None, first.plus(1), first.plus(3)).await;
    let minutes: Vec<Minute> =
        series.expect("series works").into_iter().map(|(minute, _)| minute).collect();
    assert_eq!(minutes, [1, 2, 3].map(|n| first.plus(n)));
    let none = stage.store.series(stage.tenant, None, first.plus(3), first.plus(1)).await;
    assert_eq!(none.expect("series works"), []);
}

/// In the order of the names, whether twice or not at all used; and only of the minutes asked for.
pub async fn tallies_sum_the_minutes_of_each_queue(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = Minute::of(stage.now());
    let tallies = async |stage: &Stage, queues: &[&str], [from, to]: [i32; 2]| {
        let names = queues.iter().map(|name| queue(name)).collect();
        let told = stage.store.tallies(stage.tenant, names, first.plus(from), first.plus(to));
        told.await.expect("tallies works").iter().map(counters).collect::<Vec<_>>()
    };
    assert_eq!(tallies(&stage, &[], [0, 9]).await, Vec::<[u64; 7]>::new());
    for (name, many) in [("a", 2), ("a.b", 3)] {
        stage.insert((0..many).map(|_| of(&stage, name, "x")).collect()).await;
    }
    stage.pass(60.0);
    stage.create(of(&stage, "a", "y")).await;
    let held = stage.claim(Claim { queues: Some(vec![queue("a")]), ..stage.wish(2) }).await;
    for held in &held {
        stage.end(held, done()).await;
    }
    let (a, b) = ([3, 2, 2, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]);
    let all = ["a.b", "a", "nowhere", "a"];
    assert_eq!(tallies(&stage, &all, [0, 1]).await, [b, a, [0; 7], a]);
    assert_eq!(tallies(&stage, &["a"], [0, 0]).await, [[2, 0, 0, 0, 0, 0, 0]]);
    assert_eq!(tallies(&stage, &["a"], [1, 9]).await, [[1, 2, 2, 0, 0, 0, 0]]);
    let stage = stage.reopen(h).await;
    assert_eq!(tallies(&stage, &all, [0, 1]).await, [b, a, [0; 7], a]);
}

/// A batch that is refused as a whole happened to nobody.
pub async fn a_series_forgets_what_was_undone(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let holder =
        stage.create(NewTask { unique: unique("k", OnConflict::Reject), ..stage.plan("holds") });
    holder.await;
    let again = NewTask { unique: unique("k", OnConflict::Reject), ..stage.plan("again") };
    let batch = vec![stage.plan("fine"), again];
    stage.store.insert_all(stage.tenant, batch, stage.now()).await.expect("answers");
    let held = stage.take().await;
    stage.end(&held, done()).await;
    stage.end(&held, done()).await;
    assert_eq!(now(&stage).await, [1, 1, 1, 0, 0, 0, 0], "a repeated call ends nothing twice");
}

/// It goes on where it was.
pub async fn a_series_is_there_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("before").await;
    let stage = stage.reopen(h).await;
    stage.task("after").await;
    assert_eq!(now(&stage).await, [2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(overview(&stage, Narrow::default(), 10).await.total.0, [2, 0, 0, 0, 0]);
}

async fn oldest(stage: &Stage, queues: &[&str]) -> Vec<Option<Timestamp>> {
    let queues: Vec<QueueName> = queues.iter().map(|name| queue(name)).collect();
    stage.store.oldest(stage.tenant, queues, stage.now()).await.expect("oldest works")
}

async fn overdue(stage: &Stage, before: Timestamp, limit: u32) -> u64 {
    stage.store.overdue(stage.tenant, before, limit).await.expect("overdue works")
}

/// Over its kinds and priorities, in the order in which the queues are named.
pub async fn the_oldest_ready_task_of_each_queue_is_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let start = stage.now();
    assert_eq!(oldest(&stage, &[]).await, []);
    assert_eq!(oldest(&stage, &["a"]).await, [None]);
    let low = NewTask { priority: Priority::Low, ..of(&stage, "a", "x") };
    let (low, late) = (stage.create(low).await, of(&stage, "b", "x"));
    stage.create(NewTask { run_at: stage.after(20.0), ..late }).await;
    let waits = NewTask { depends_on: vec![low.id], ..of(&stage, "c", "x") };
    stage.create(waits).await;
    stage.pass(10.0);
    let second = stage.now();
    stage.create(NewTask { priority: Priority::Urgent, ..of(&stage, "a", "y") }).await;
    // Names of which one is the beginning of the other, and one that no queue has.
    stage.create(of(&stage, "a.b", "x")).await;
    let queues = ["c", "a", "nowhere", "b", "a.b", "a"];
    let told = oldest(&stage, &queues).await;
    assert_eq!(told, [None, Some(start), None, None, Some(second), Some(start)]);
    stage.pass(10.0);
    let due = Some(start.plus_seconds(20.0));
    assert_eq!(oldest(&stage, &queues).await[3], due, "the instant itself is not too early");
    stage.set(low.id, Status::Completed).await;
    let told = oldest(&stage, &queues).await;
    assert_eq!(told, [Some(stage.now()), Some(second), None, due, Some(second), Some(second)]);
    let stage = stage.reopen(h).await;
    assert_eq!(oldest(&stage, &queues).await, told);
}

/// A task that is claimed waits no more, one that is to be tried again waits from its next attempt on.
pub async fn the_oldest_ready_task_follows_claims_and_edits(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let start = stage.now();
    stage.task("first").await;
    stage.pass(5.0);
    let second = stage.now();
    stage.task("second").await;
    let name = QueueName::default();
    let told = async || oldest(&stage, &[name.as_str()]).await[0];
    assert_eq!(told().await, Some(start));
    let held = stage.take().await;
    assert_eq!(told().await, Some(second));
    stage.end(&held, Finish::Released).await;
    assert_eq!(told().await, Some(second), "both of them");
    let later = stage.after(60.0);
    for task in [id(1), id(2)] {
        let put_off = TaskPatch { run_at: Some(later), ..TaskPatch::default() };
        stage.change(patch(task, put_off)).await;
    }
    assert_eq!(told().await, None);
    stage.pass(60.0);
    assert_eq!(told().await, Some(later));
    assert_eq!(stage.claim(stage.wish(2)).await.len(), 2);
    assert_eq!(told().await, None);
}

/// From the instant after their end on, until they are rescued.
pub async fn leases_that_nobody_rescued_are_counted(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..5).map(|n| stage.plan(&format!("{n}"))).collect()).await;
    let wish = stage.wish(3);
    stage.claim(Claim { lease_seconds: Some(10), ..wish }).await;
    let wish = stage.wish(1);
    let held = stage.claim(Claim { lease_seconds: Some(20), ..wish }).await;
    assert_eq!(overdue(&stage, stage.after(10.0), 9).await, 0, "it ends then, and not before");
    assert_eq!(overdue(&stage, stage.after(10.000_001), 9).await, 3);
    assert_eq!(overdue(&stage, stage.after(10.000_001), 2).await, 2);
    assert_eq!(overdue(&stage, stage.after(10.000_001), 0).await, 0);
    assert_eq!(overdue(&stage, stage.after(21.0), 9).await, 4);
    stage.end(&held[0], done()).await;
    assert_eq!(overdue(&stage, stage.after(21.0), 9).await, 3);
    // What a person works on has no lease.
    stage.set(id(5), Status::InProgress).await;
    stage.pass(30.0);
    assert_eq!(overdue(&stage, stage.now(), 9).await, 3);
    stage.expire().await;
    assert_eq!(overdue(&stage, stage.now(), 9).await, 0);
    assert_eq!(stage.expire().await, []);
    stage.take().await;
    stage.pass(40.0);
    assert_eq!(overdue(&stage, stage.now(), 9).await, 1);
}

/// For each, the other does not exist.
pub async fn each_tenant_has_its_own_statistics(h: &dyn Harness) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    ours.task("ours").await;
    assert_eq!(overview(&theirs, Narrow::default(), 10).await, Overview::default());
    assert_eq!(series(&theirs, None).await, []);
    theirs.task("theirs").await;
    theirs.take().await;
    assert_eq!(now(&ours).await, [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(now(&theirs).await, [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(overview(&ours, Narrow::default(), 10).await.total.0, [1, 0, 0, 0, 0]);
    let name = QueueName::default();
    assert_eq!(oldest(&ours, &[name.as_str()]).await, [Some(ours.now())]);
    assert_eq!(oldest(&theirs, &[name.as_str()]).await, [None]);
    let last = Minute::of(ours.now());
    let tallied = theirs.store.tallies(theirs.tenant, vec![name], last, last).await;
    assert_eq!(counters(&tallied.expect("tallies works")[0]), [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(overdue(&ours, ours.after(60.0), 9).await, 0);
    assert_eq!(overdue(&theirs, ours.after(60.0), 9).await, 1);
}
