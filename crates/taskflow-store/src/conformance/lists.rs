//! Cases of the room of lists: every filter, mixtures of them, and walks while tasks change.

use std::collections::BTreeSet;
use std::sync::Arc;

use taskflow_core::limits::FAILURE_ERROR_CHARS_MAX;
use taskflow_core::{
    Finish, Json, Kind, NewTask, PendingReason, Priority, QueueName, Status, Task, TaskId,
    TaskPatch, TenantId, Terms, Timestamp,
};

use super::harness::Harness;
use super::stage::{Stage, done, failed, failed_for_good, id, kind, queue, search};
use crate::lists::{LANES_MANY, SORTED_MAX};
use crate::model::Model;
use crate::{Claim, Edit, Failure, Filter, Inserted, Page, Paged, Store};

fn ids(tasks: &[Task]) -> Vec<i64> {
    tasks.iter().map(|task| task.id.get()).collect()
}

/// What a filter takes, in one page, of which `find` says the same.
async fn listed(stage: &Stage, filter: Filter) -> Vec<i64> {
    let tasks = stage.list(filter.clone(), 0, 1000).await;
    let page = Page { filter, before: None, skip: 0, limit: 1000, now: stage.now() };
    let found = stage.store.find(stage.tenant, page).await.expect("find works").items;
    let of = |task: &Task| (task.id, task.state.version, task.state.status);
    let found: Vec<_> = found.iter().map(|f| (f.id, f.version, f.status)).collect();
    assert_eq!(found, tasks.iter().map(of).collect::<Vec<_>>());
    ids(&tasks)
}

fn of_queue(name: &str) -> Filter {
    Filter { queue: Some(queue(name)), ..Filter::default() }
}

fn of_kind(name: &str) -> Filter {
    Filter { kind: Some(kind(name)), ..Filter::default() }
}

fn of_tag(tag: &str) -> Filter {
    Filter { tag: Some(tag.to_owned()), ..Filter::default() }
}

fn of_reason(reason: PendingReason) -> Filter {
    Filter { reason: Some(reason), ..Filter::default() }
}

/// A lane each: pages that are full by their newest tasks, and those that are not.
pub async fn a_list_over_very_many_lanes_is_whole(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let many = i64::try_from(LANES_MANY).expect("fits") + 40;
    let plan = |n: i64| NewTask { kind: kind(&format!("k{n}")), ..stage.plan("t") };
    stage.insert((1..=many).map(plan).collect()).await;
    for n in [many, many - 1, 7] {
        stage.set(id(n), Status::Failed).await;
    }
    let waiting = Filter { status: Some(Status::Pending), ..Filter::default() };
    let all: Vec<i64> = (1..=many - 2).rev().filter(|n| *n != 7).collect();
    assert_eq!(listed(&stage, waiting.clone()).await, all);
    assert_eq!(listed(&stage, of_reason(PendingReason::Ready)).await, all);
    let mut walked = Vec::new();
    loop {
        let before = walked.last().copied().and_then(TaskId::new);
        let (filter, now) = (waiting.clone(), stage.now());
        let page = Page { filter, before, skip: 0, limit: 100, now };
        let found = stage.store.find(stage.tenant, page).await.expect("find works");
        walked.extend(found.items.iter().map(|found| found.id.get()));
        if found.rest.is_none() {
            break;
        }
    }
    assert_eq!(walked, all);
    let skipped = stage.list(waiting, 30, 10).await;
    assert_eq!(ids(&skipped), all[30..40]);
    let failed = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert_eq!(listed(&stage, failed).await, [many, many - 1, 7]);
}

/// Alone, and with a status and a priority.
pub async fn a_list_filters_by_queue_and_kind(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for n in 0..8 {
        let priority = if n % 2 == 0 { Priority::High } else { Priority::Low };
        let (in_queue, of) = (queue(["a", "b"][n / 4]), kind(["k", "l", "m"][n % 3]));
        stage.create(NewTask { queue: in_queue, kind: of, priority, ..stage.plan("t") }).await;
    }
    for n in [2, 5, 8] {
        stage.set(id(n), Status::Completed).await;
    }
    assert_eq!(listed(&stage, of_queue("a")).await, [4, 3, 2, 1]);
    assert_eq!(listed(&stage, of_queue("b")).await, [8, 7, 6, 5]);
    assert_eq!(listed(&stage, of_queue("A")).await, [0_i64; 0]);
    assert_eq!(listed(&stage, of_kind("k")).await, [7, 4, 1]);
    assert_eq!(listed(&stage, of_kind("nobody")).await, [0_i64; 0]);
    let completed = Some(Status::Completed);
    let done = Filter { status: completed, ..of_queue("b") };
    assert_eq!(listed(&stage, done).await, [8, 5]);
    assert_eq!(listed(&stage, Filter { status: completed, ..of_kind("l") }).await, [8, 5, 2]);
    let high = Filter { priority: Some(Priority::High), ..of_queue("a") };
    assert_eq!(listed(&stage, high).await, [3, 1]);
    let both = Filter { kind: Some(kind("l")), ..of_queue("b") };
    assert_eq!(listed(&stage, both.clone()).await, [8, 5]);
    assert_eq!(listed(&stage, Filter { status: completed, ..both.clone() }).await, [8, 5]);
    let waiting = Filter { status: Some(Status::Pending), ..both };
    assert_eq!(listed(&stage, waiting).await, [0_i64; 0]);
    assert_eq!(ids(&stage.list(of_queue("a"), 1, 2).await), [3, 2]);
}

/// They come with the task, change with an edit and go with the task.
pub async fn a_list_by_tag_follows_births_edits_and_deletes(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let tagged = |tags: &[&str]| NewTask {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..stage.plan("t")
    };
    let odd = "it's \"quoted\" \\ é 日本";
    let batch = vec![
        tagged(&["red"]),
        tagged(&["red", "blue"]),
        tagged(&[]),
        tagged(&["Red", odd]),
        tagged(&["blue"]),
    ];
    stage.insert(batch).await;
    assert_eq!(listed(&stage, of_tag("red")).await, [2, 1]);
    assert_eq!(listed(&stage, of_tag("Red")).await, [4]);
    assert_eq!(listed(&stage, of_tag(odd)).await, [4]);
    assert_eq!(listed(&stage, of_tag("re")).await, [0_i64; 0]);
    let patch = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        TaskPatch { tags: Some(tags), ..TaskPatch::default() }
    };
    for (n, tags) in [(1, &["blue", "green"][..]), (3, &["red"]), (5, &[]), (4, &["Red", odd])] {
        stage.change(Edit { id: id(n), if_version: None, patch: patch(tags) }).await;
    }
    assert_eq!(listed(&stage, of_tag("red")).await, [3, 2]);
    assert_eq!(listed(&stage, of_tag("blue")).await, [2, 1]);
    assert_eq!(listed(&stage, of_tag("green")).await, [1]);
    stage.delete(id(2)).await;
    assert_eq!(listed(&stage, of_tag("red")).await, [3]);
    assert_eq!(listed(&stage, of_tag("blue")).await, [1]);
    // Neither a claim nor an end takes them away.
    let held = stage.claim(stage.wish(1)).await;
    stage.end(&held[0], done()).await;
    assert_eq!(listed(&stage, of_tag("green")).await, [1]);
    let completed = Filter { status: Some(Status::Completed), ..of_tag("green") };
    assert_eq!(listed(&stage, completed).await, [1]);
    let waiting = Filter { status: Some(Status::Pending), ..of_tag("green") };
    assert_eq!(listed(&stage, waiting).await, [0_i64; 0]);
    let stage = stage.reopen(h).await;
    assert_eq!(listed(&stage, of_tag("Red")).await, [4]);
    stage.create(NewTask { tags: vec!["red".into()], ..stage.plan("t") }).await;
    assert_eq!(listed(&stage, of_tag("red")).await, [6, 3]);
}

/// A reason changes with time alone, and every pending task has exactly one.
pub async fn a_list_by_reason_follows_the_time(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let later = |seconds| NewTask { run_at: stage.after(seconds), ..stage.plan("later") };
    stage.insert(vec![stage.plan("now"), later(10.0), later(20.0)]).await;
    let child = NewTask { depends_on: vec![id(3)], ..stage.plan("child") };
    let child_later = NewTask { depends_on: vec![id(3)], ..later(5.0) };
    stage.insert(vec![child, child_later, stage.plan("fails")]).await;
    let held = stage.claim(stage.wish(2)).await;
    assert_eq!(held.iter().map(|h| h.task.id).collect::<Vec<_>>(), [id(1), id(6)]);
    let retry = Finish::Failed { error: "e".into(), retryable: true, retry_after: Some(15.0) };
    stage.end(&held[1], retry).await;
    stage.end(&held[0], Finish::Released).await;
    let all = async |expected: [&[i64]; 4]| {
        let mut seen = Vec::new();
        for (reason, expected) in PendingReason::ALL.into_iter().zip(expected) {
            let list = listed(&stage, of_reason(reason)).await;
            assert_eq!(list, expected, "{reason:?}");
            let status = Some(Status::Pending);
            assert_eq!(listed(&stage, Filter { status, ..of_reason(reason) }).await, expected);
            let status = Some(Status::Failed);
            assert_eq!(listed(&stage, Filter { status, ..of_reason(reason) }).await, [0_i64; 0]);
            seen.extend(list);
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    };
    all([&[1], &[3, 2], &[6], &[5, 4]]).await;
    stage.pass(9.999_999);
    all([&[1], &[3, 2], &[6], &[5, 4]]).await;
    stage.pass(0.000_001);
    all([&[2, 1], &[3], &[6], &[5, 4]]).await;
    stage.pass(5.0);
    all([&[6, 2, 1], &[3], &[], &[5, 4]]).await;
    let soon = TaskPatch { run_at: Some(stage.now()), ..TaskPatch::default() };
    stage.change(Edit { id: id(3), if_version: None, patch: soon }).await;
    all([&[6, 3, 2, 1], &[], &[], &[5, 4]]).await;
    stage.set(id(3), Status::Completed).await;
    let ready = listed(&stage, of_reason(PendingReason::Ready)).await;
    assert_eq!(ready, [6, 5, 4, 2, 1]);
}

/// With more of them than are sorted for one page, waiting and due.
pub async fn a_list_by_reason_is_right_when_very_many_were_put_off(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let many = SORTED_MAX + 100;
    let later = |n: u32| {
        let (name, seconds) = (["a", "b"][(n % 2) as usize], f64::from(n % 7 + 1) * 10.0);
        let run_at = stage.after(seconds);
        NewTask { queue: queue(name), kind: kind("k"), ..NewTask::titled("t", run_at) }
    };
    let first = stage.task("at once").await;
    for batch in (0..many).collect::<Vec<_>>().chunks(2_000) {
        stage.insert(batch.iter().map(|n| later(*n)).collect()).await;
    }
    let last = stage.task("at once too").await;
    for (pass, due) in [(0.0, 0), (10.0, 1), (50.0, 6), (10.0, 7)] {
        stage.pass(pass);
        let waits = |n: &i64| (n - 2) % 7 >= due;
        let of_all = 2..i64::from(many) + 2;
        let scheduled: Vec<i64> = of_all.clone().rev().filter(waits).take(1000).collect();
        assert_eq!(listed(&stage, of_reason(PendingReason::Scheduled)).await, scheduled);
        let mut ready = vec![last.id.get()];
        ready.extend(of_all.rev().filter(|n| !waits(n)));
        ready.push(first.id.get());
        ready.truncate(1000);
        assert_eq!(listed(&stage, of_reason(PendingReason::Ready)).await, ready);
        let mut of_a = Filter { queue: Some(queue("a")), ..of_reason(PendingReason::Ready) };
        ready.retain(|n| n % 2 == 0 && *n != last.id.get());
        let listed_of_a = listed(&stage, of_a.clone()).await;
        assert_eq!(listed_of_a[..ready.len()], ready);
        of_a.kind = Some(kind("k"));
        assert_eq!(listed(&stage, of_a).await, listed_of_a);
    }
}

/// The instant itself is not after it; a clock that was set back hides nothing.
pub async fn a_list_of_what_was_created_after_an_instant_trusts_no_order(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let start = stage.now();
    let at = |seconds: i32| start.plus_seconds(f64::from(seconds));
    // An hour ahead in the middle of it, and back.
    let mut births = Vec::new();
    for (from, clock) in [(0, 0), (1_000, 3_600), (1_100, 20), (2_500, 30), (4_000, 3_700)] {
        for n in 0..20 {
            let now = at(clock + n);
            let batch = (0..75).map(|_| NewTask::titled("t", now)).collect();
            let answers = stage.store.insert(stage.tenant, batch, now).await;
            let items = answers.expect("insert works").items;
            births.extend(items.iter().map(|item| match item {
                Inserted::Created(task) => (task.id.get(), task.created_at),
                other => panic!("not created {from}: {other:?}"),
            }));
        }
    }
    for after in [-1, 0, 1, 19, 20, 25, 45, 50, 3_599, 3_610, 3_619, 3_699, 3_710, 3_719, 3_720] {
        let created_after = Some(at(after));
        let filter = Filter { created_after, ..Filter::default() };
        let expected: Vec<i64> = births
            .iter()
            .rev()
            .filter(|(_, created)| *created > at(after))
            .map(|(id, _)| *id)
            .collect();
        let mut walked = Vec::new();
        let mut before = None;
        loop {
            let page = Page { filter: filter.clone(), before, skip: 0, limit: 1000, now: at(0) };
            let tasks = stage.store.list(stage.tenant, page).await.expect("list works").items;
            let Some(last) = tasks.last() else { break };
            before = Some(last.id);
            walked.extend(ids(&tasks));
        }
        assert_eq!(walked, expected, "after {after}");
        let (status, queue) = (Some(Status::Pending), Some(QueueName::default()));
        let first = listed(&stage, Filter { status, queue, ..filter }).await;
        assert_eq!(first, expected[..expected.len().min(1000)], "after {after}");
    }
}

/// Others create, claim, finish, edit and delete between the pages of a walk.
pub async fn a_walk_finds_every_task_that_stays_exactly_once(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let new = |n: usize| NewTask {
        queue: queue(["a", "b"][n % 2]),
        tags: if n.is_multiple_of(3) { vec!["t".into()] } else { Vec::new() },
        ..stage.plan("t")
    };
    stage.insert((0..300).map(new).collect()).await;
    let filters = [Filter::default(), of_queue("a"), of_tag("t"), of_kind("work")];
    let fits = |filter: &Filter, n: usize| match (&filter.queue, &filter.tag) {
        (Some(_), _) => n.is_multiple_of(2),
        (_, Some(_)) => n.is_multiple_of(3),
        _ => true,
    };
    for filter in filters {
        let gone: BTreeSet<i64> = (0..300).filter(|n| n % 10 == 9).collect();
        let mut seen: Vec<i64> = Vec::new();
        let mut before = None;
        for step in 0.. {
            let page =
                Page { filter: filter.clone(), before, skip: 0, limit: 20, now: stage.now() };
            let tasks = stage.store.list(stage.tenant, page).await.expect("list works").items;
            let Some(last) = tasks.last() else { break };
            before = Some(last.id);
            seen.extend(ids(&tasks));
            stage.insert(vec![new(0)]).await;
            let held = stage.claim(stage.wish(5)).await;
            for (n, held) in held.iter().enumerate() {
                stage.end(held, if n % 2 == 0 { done() } else { failed("again") }).await;
            }
            if let Some(gone) = id_of(step * 10 + 10) {
                stage.delete(gone).await;
            }
        }
        let stayed = (1..=300_i64).rev().filter(|n| !gone.contains(&(n - 1)));
        let stayed: Vec<i64> =
            stayed.filter(|n| fits(&filter, usize::try_from(n - 1).expect("small"))).collect();
        let mut counted = seen.clone();
        counted.dedup();
        assert_eq!(counted, seen, "a task came twice");
        seen.retain(|n| stayed.contains(n));
        assert_eq!(seen, stayed, "{filter:?}");
    }
}

fn id_of(n: i64) -> Option<TaskId> {
    TaskId::new(n).filter(|id| id.get() <= 300)
}

/// Mixtures of everything, many tasks, against the model.
pub async fn random_filters_list_what_the_model_lists(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let model = Model::new();
    let stores: [&dyn Store; 2] = [&*stage.store, &model];
    let mut dice = Dice(7);
    for round in 0..12_u32 {
        let now = stage.now();
        let batch: Vec<NewTask> = (0..150).map(|_| a_task(&mut dice, &stage)).collect();
        for store in stores {
            store.insert(stage.tenant, batch.clone(), now).await.expect("insert works");
        }
        let edits: Vec<Edit> = (0..40)
            .filter_map(|_| {
                let id = TaskId::new(1 + dice.below(i64::from(round + 1) * 150))?;
                let status = dice.of(&[None, Some(Status::Cancelled), Some(Status::InProgress)]);
                let tags = dice.of(&[None, Some(vec!["t1".to_owned()]), Some(Vec::new())]);
                let patch = TaskPatch { status, tags, ..TaskPatch::default() };
                Some(Edit { id, if_version: None, patch })
            })
            .collect();
        let claim = Claim { queues: None, ..stage.wish(20) };
        for store in stores {
            store.edit(stage.tenant, edits.clone(), now).await.expect("edit works");
            let sync = crate::Sync { claim: Some(claim.clone()), ..crate::Sync::default() };
            store.sync(stage.tenant, sync, now).await.expect("sync works");
        }
        stage.pass(1.0);
        for _ in 0..40 {
            let somewhere = TaskId::new(1 + dice.below(1_800));
            let filter = a_filter(&mut dice, &stage);
            let skip = if filter.search.is_some() { 0 } else { dice.of(&[0, 0, 3]) };
            let page = Page {
                filter,
                before: dice.of(&[None, somewhere]),
                skip: u32::try_from(skip).expect("small"),
                limit: 50,
                now: stage.now(),
            };
            let expected = model.find_all(stage.tenant, &page).await;
            let got = stage.store.find(stage.tenant, page.clone()).await.expect("find works");
            assert_eq!(got, expected, "{page:?}");
            let got = stage.store.list(stage.tenant, page.clone()).await.expect("list works");
            assert_eq!(got.map(|task| task.id), expected.map(|f| f.id), "{page:?}");
        }
    }
}

async fn failures(stage: &Stage, before: Option<i64>, limit: u32) -> Paged<Failure> {
    let before = before.and_then(TaskId::new);
    stage.store.failures(stage.tenant, before, limit).await.expect("failures works")
}

/// With what is known of each, and nothing of the others.
pub async fn failures_are_told_with_their_errors(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let payload = Json::parse(&format!("\"{}\"", "p".repeat(100_000))).ok();
    let terms = Terms { max_attempts: 2, ..Terms::default() };
    let new = NewTask { payload, terms, queue: queue("q"), kind: kind("k"), ..stage.plan("fails") };
    let twice = stage.create(new).await;
    let held = stage.take().await;
    stage.end(&held, Finish::Released).await;
    for error in ["first", "second\n\u{1F980} line"] {
        let held = stage.take().await;
        stage.pass(1.0);
        stage.end(&held, failed(error)).await;
        stage.pass(600.0);
    }
    let by_hand = stage.task("by hand").await;
    stage.set(by_hand.id, Status::Failed).await;
    let long = stage.task("long").await;
    let held = stage.take().await;
    let text = "\u{1F980}é".repeat(2_000);
    stage.end(&held, failed_for_good(&text)).await;
    let [again, cancelled] = [stage.task("again").await, stage.task("cancelled").await];
    stage.task("waits").await;
    stage.set(again.id, Status::Failed).await;
    stage.set(again.id, Status::Pending).await;
    stage.set(cancelled.id, Status::Cancelled).await;
    let told = failures(&stage, None, 10).await;
    assert_eq!(told.rest, None);
    let mut wanted = Vec::new();
    for id in [long.id, by_hand.id, twice.id] {
        let task = stage.read(id).await;
        let begin = |text: String| text.chars().take(FAILURE_ERROR_CHARS_MAX as usize).collect();
        wanted.push(Failure {
            id,
            version: task.state.version,
            queue: task.queue,
            kind: task.kind,
            attempts_used: task.state.attempts_used(),
            worker: task.state.worker,
            error: task.state.error_message.map(begin),
            ended_at: task.state.ended_at.expect("it ended"),
        });
    }
    assert_eq!(told.items, wanted);
    assert_eq!(told.items[1].error, None);
    assert_eq!(told.items[0].error.as_ref().map(|text| text.chars().count()), Some(1_000));
    assert_eq!((told.items[2].worker.as_deref(), told.items[2].attempts_used), (Some("w1"), 2));
    let stage = stage.reopen(h).await;
    assert_eq!(failures(&stage, None, 10).await.items, wanted);
}

/// From the cursor on, over queues, kinds and priorities, whatever happens to the task that it names.
pub async fn failures_are_listed_newest_first_in_pages(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(failures(&stage, None, 10).await, Paged { items: Vec::new(), rest: None });
    let plan = |n: usize| NewTask {
        queue: queue(["a", "b", "c"][n % 3]),
        kind: kind(["k", "l"][n % 2]),
        priority: Priority::ALL[n % 4],
        ..stage.plan("t")
    };
    stage.insert((0..60).map(plan).collect()).await;
    let model = stage.beside(Arc::new(Model::new()));
    model.insert((0..60).map(plan).collect()).await;
    let of: Vec<i64> = (1..=60).filter(|n| n % 7 != 0).collect();
    for chunk in of.chunks(9) {
        for n in chunk {
            stage.set(id(*n), Status::Failed).await;
            model.set(id(*n), Status::Failed).await;
        }
        stage.pass(1.0);
    }
    let (mut before, mut walked) = (None, Vec::new());
    loop {
        let page = failures(&stage, before, 10).await;
        assert_eq!(page, failures(&model, before, 10).await);
        walked.extend(page.items.iter().map(|failure| failure.id.get()));
        let Some(rest) = page.rest else { break };
        before = Some(rest.get());
        stage.delete(rest).await;
        model.delete(rest).await;
    }
    assert_eq!(walked, of.iter().rev().copied().collect::<Vec<_>>());
}

impl Model {
    async fn find_all(&self, scope: TenantId, page: &Page) -> crate::Paged<crate::Found> {
        crate::ListStore::find(self, scope, page.clone()).await.expect("the model finds")
    }
}

/// Chance that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).expect("31 bits") % n
    }

    fn of<T: Clone>(&mut self, of: &[T]) -> T {
        let place = self.below(i64::try_from(of.len()).expect("few"));
        of[usize::try_from(place).expect("few")].clone()
    }
}

fn a_task(dice: &mut Dice, stage: &Stage) -> NewTask {
    let run_at = stage.after(dice.of(&[0.0, 0.0, 2.0, 30.0]));
    let parent = TaskId::new(1 + dice.below(100));
    NewTask {
        queue: queue(dice.of(&["a", "a", "a", "b", "rare"])),
        kind: kind(dice.of(&["k", "k", "l"])),
        priority: dice.of(&Priority::ALL),
        tags: dice.of(&[vec![], vec!["t1".into()], vec!["t1".into(), "t2".into()]]),
        depends_on: dice.of(&[vec![], vec![], vec![], parent.into_iter().collect()]),
        ..NewTask::titled(dice.of(&["this is mine", "this is yours 17", "of nobody"]), run_at)
    }
}

fn a_filter(dice: &mut Dice, stage: &Stage) -> Filter {
    let status = Status::ALL[usize::try_from(dice.below(5)).expect("few")];
    let priority = dice.of(&Priority::ALL);
    let reason = dice.of(&PendingReason::ALL);
    let name: QueueName = queue(dice.of(&["a", "b", "rare", "nowhere"]));
    let of: Kind = kind(dice.of(&["k", "l"]));
    let tag = dice.of(&["t1", "t2", "t3"]).to_owned();
    let wanted = search(dice.of(&["mine", "yours 1", "t"]));
    let after: Timestamp = stage.after(dice.of(&[-0.5, -2.0, -4.0, -100.0]));
    Filter {
        status: dice.of(&[None, None, Some(status)]),
        priority: dice.of(&[None, None, Some(priority)]),
        queue: dice.of(&[None, None, Some(name)]),
        kind: dice.of(&[None, None, Some(of)]),
        tag: dice.of(&[None, None, Some(tag)]),
        reason: dice.of(&[None, None, Some(reason)]),
        created_after: dice.of(&[None, None, Some(after)]),
        search: dice.of(&[None, None, None, Some(wanted)]),
    }
}

/// Of the other tenant's tasks, with every filter.
pub async fn another_tenant_s_tasks_are_in_no_list(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let theirs = stage.seen_by(TenantId(2));
    let tagged = NewTask { tags: vec!["t".into()], ..stage.plan("ours") };
    stage.insert(vec![tagged.clone(), NewTask { run_at: stage.after(9.0), ..tagged }]).await;
    let filters = [
        of_queue("default"),
        of_kind("work"),
        of_tag("t"),
        of_reason(PendingReason::Ready),
        of_reason(PendingReason::Scheduled),
        Filter { created_after: Some(stage.after(-1.0)), ..Filter::default() },
        Filter { kind: Some(kind("work")), tag: Some("t".into()), ..of_queue("default") },
    ];
    for filter in filters {
        assert_ne!(listed(&stage, filter.clone()).await, [0_i64; 0], "{filter:?}");
        assert_eq!(listed(&theirs, filter.clone()).await, [0_i64; 0], "{filter:?}");
    }
    stage.set(id(1), Status::Failed).await;
    assert_eq!(failures(&stage, None, 10).await.items.len(), 1);
    assert_eq!(failures(&theirs, None, 10).await.items, []);
}
