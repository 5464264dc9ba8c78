//! Cases of the room of tasks: insert, read, edit, delete, list and count.
//! Dependencies and unique keys have their own rooms.

use taskflow_core::limits::INSTANT_MAX_MICROS;
use taskflow_core::task::{OnConflict, State};
use taskflow_core::{
    Finish, NewTask, Outcome, Priority, Status, Task, TaskId, TaskPatch, Terms, Timestamp,
};

use super::harness::Harness;
use super::stage::{START, Stage, done, failed, failed_for_good, full, id, json, patch, unique};
use crate::{Counts, Delete, Deleted, Extend, Filter, Inserted, Page, Sync};

/// The ids of tasks, in their order.
fn ids(tasks: &[Task]) -> Vec<i64> {
    tasks.iter().map(|task| task.id.get()).collect()
}

/// The first task of a fresh database has id 1, the next one 2; both wait.
pub async fn a_new_task_gets_the_next_id_and_is_pending(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = stage.task("one").await;
    let second = stage.task("two").await;
    assert_eq!((first.id, second.id), (id(1), id(2)));
    assert_eq!(first.state, State::born(START, 0, START));
    assert_eq!(first.created_at, START);
    assert_eq!(stage.read(first.id).await, first);
}

/// What was given comes back field by field, from the answer and from a read.
pub async fn a_task_keeps_every_field_as_it_was_given(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let born = Task::born(id(1), full(&stage), 0, stage.now());
    assert_eq!(stage.create(full(&stage)).await, born);
    assert_eq!(stage.read(born.id).await, born);
    assert_eq!(stage.list(Filter::default(), 0, 10).await, [born]);
}

/// Nothing is due before it exists.
pub async fn a_run_at_in_the_past_means_now(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let late = NewTask { run_at: stage.after(-60.0), ..stage.plan("late") };
    let task = stage.create(late).await;
    assert_eq!(task.state.run_at, stage.now());
    assert_eq!(stage.read(task.id).await, task);
}

/// One answer per item, also when one in the middle is refused; a refused one takes no id.
pub async fn a_batch_is_answered_in_order_with_rising_ids(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let orphan = NewTask { depends_on: vec![id(99)], ..stage.plan("b") };
    let answers = stage.insert(vec![stage.plan("a"), orphan, stage.plan("c")]).await.items;
    let [Inserted::Created(a), Inserted::NoParent(missing), Inserted::Created(c)] = &answers[..]
    else {
        panic!("other answers: {answers:?}");
    };
    assert_eq!((a.title.as_str(), a.id), ("a", id(1)));
    assert_eq!(*missing, id(99));
    assert_eq!((c.title.as_str(), c.id), ("c", id(2)));
    let many = (0..300).map(|n| stage.plan(&format!("t{n}"))).collect();
    let answers = stage.insert(many).await.items;
    for (n, answer) in (0..).zip(&answers) {
        assert!(
            matches!(answer, Inserted::Created(t) if t.id == id(3 + n) && t.title == format!("t{n}")),
            "answer {n} is {answer:?}"
        );
    }
    assert_eq!(answers.len(), 300);
}

/// Nothing asked, nothing answered, nothing changed.
pub async fn an_empty_batch_gets_no_answers(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (store, tenant, now) = (&stage.store, stage.tenant, stage.now());
    assert_eq!(stage.insert(Vec::new()).await.items, []);
    assert_eq!(store.get(tenant, Vec::new()).await.expect("get works"), []);
    assert_eq!(store.edit(tenant, Vec::new(), now).await.expect("edit works").items, []);
    assert_eq!(store.delete(tenant, Vec::new(), now).await.expect("delete works").items, []);
    assert_eq!(stage.counts().await, [0; 5]);
    assert_eq!(stage.list(Filter::default(), 0, 10).await, []);
}

/// One answer per id, doubles and unknown ones too.
pub async fn reading_answers_in_the_order_of_the_ids_with_none_for_the_unknown(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (one, two) = (stage.task("one").await, stage.task("two").await);
    let wanted = vec![two.id, id(77), one.id, two.id];
    let read = stage.store.get(stage.tenant, wanted).await.expect("get works");
    assert_eq!(read, [Some(two.clone()), None, Some(one), Some(two)]);
    assert_eq!(stage.store.attempts(stage.tenant, id(77)).await.expect("attempts works"), None);
    assert_eq!(stage.attempts(id(1)).await, []);
}

/// The largest payload that the API lets in by default.
pub async fn a_payload_of_a_mebibyte_comes_back_exact(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let text = format!("\"{}\"", "0123456789abcde€".repeat(1024 * 1024 / 18));
    let payload = json(&text);
    let task = stage.create(NewTask { payload: payload.clone(), ..stage.plan("big") }).await;
    assert!(stage.read(task.id).await.payload == payload, "the payload is another one");
    let held = stage.take().await;
    assert!(held.task.payload == payload, "the claimed payload is another one");
    stage.end(&held, Finish::Completed { result: payload.clone() }).await;
    assert!(stage.read(task.id).await.state.result == payload, "the result is another one");
}

/// White space, digits, key order and escapes of JSON stay what they were.
pub async fn json_text_is_never_rewritten(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let texts = [
        r#"{"z":1,"a":{"y":[],"b":{}}}"#,
        "[ 1.0 , 1.00,1e2, -0, 0.1 ]",
        "9007199254740993",
        "123456789012345678901234567890.123456789",
        r#""A\u00e9\n\/\ud83d\ude00""#,
        "null",
        "false",
        "\"\"",
    ];
    for text in texts {
        let json = json(text);
        let metadata = self::json(&format!("{{ \"x\" : {text} }}"));
        let new =
            NewTask { payload: json.clone(), metadata: metadata.clone(), ..stage.plan("json") };
        let task = stage.create(new).await;
        let kept = |task: &Task| {
            assert_eq!((&task.payload, &task.metadata), (&json, &metadata), "{text}");
        };
        kept(&task);
        kept(&stage.read(task.id).await);
        kept(&stage.list(Filter::default(), 0, 1).await[0]);
        let held = stage.take().await;
        kept(&held.task);
        let checkpoint = json.clone();
        let beat = Extend { id: task.id, token: held.token, progress: None, checkpoint };
        stage.sync(Sync { extend: vec![beat], ..Sync::default() }).await;
        stage.end(&held, Finish::Released).await;
        let held = stage.take().await;
        assert_eq!(held.task.state.checkpoint, json, "{text}");
        stage.end(&held, Finish::Completed { result: json.clone() }).await;
        assert_eq!(stage.read(task.id).await.state.result, json, "{text}");
        let title = TaskPatch { title: Some("other".into()), ..TaskPatch::default() };
        let rerun = TaskPatch { rerun: true, ..TaskPatch::default() };
        for change in [title, rerun] {
            stage.change(patch(task.id, change)).await;
            kept(&stage.read(task.id).await);
        }
        let again = stage.take().await;
        kept(&again.task);
        assert_eq!(again.task.state.checkpoint, json, "{text}");
        stage.end(&again, done()).await;
    }
}

/// Text is compared and kept as it is: no case folding, no normal forms, no trimming.
pub async fn text_of_every_script_comes_back_exact(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let texts = [
        "  leading and trailing  ",
        "e\u{301} is not \u{e9}",
        "日本語 עברית العربية",
        "👩‍👩‍👧‍👦 \u{202e}txet",
        "it's; DROP TABLE tasks; -- \" ` \\ % _ ?1 $1 :a",
        "\u{10FFFF}\u{7f}\u{1}",
        "1e3",
        "007",
    ];
    for text in texts {
        let new = NewTask {
            description: Some(text.into()),
            tags: vec![text.into(), text.to_uppercase()],
            unique: unique(text, OnConflict::Reject),
            concurrency_key: Some(text.into()),
            ..stage.plan(text)
        };
        let born = stage.create(new.clone()).await;
        let task = stage.read(born.id).await;
        assert_eq!(task, Task::born(born.id, new, 0, stage.now()));
    }
    let empty = NewTask { description: Some(String::new()), ..stage.plan("empty") };
    let empty = stage.create(empty).await;
    assert_eq!(stage.read(empty.id).await.description.as_deref(), Some(""));
}

/// Also those that no clock will ever show.
pub async fn instants_keep_their_microseconds(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let last = Timestamp::from_micros(INSTANT_MAX_MICROS);
    let terms = Terms {
        deadline_at: Some(last),
        expires_at: Some(Timestamp::from_micros(last.micros() - 1)),
        ..Terms::default()
    };
    let new = NewTask { run_at: last, terms: terms.clone(), ..stage.plan("far") };
    let task = stage.create(new).await;
    let read = stage.read(task.id).await;
    assert_eq!((read.state.run_at, read.terms), (last, terms));
    assert_eq!(read.created_at.micros() % 1_000_000, 123_457);
}

/// Not even that of the newest task.
pub async fn ids_are_never_used_again_after_a_delete(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("one").await;
    let two = stage.task("two").await;
    assert_eq!(stage.delete(two.id).await, Deleted::Done);
    assert_eq!(stage.task("three").await.id, id(3));
    assert_eq!(stage.delete(id(3)).await, Deleted::Done);
    assert_eq!(stage.delete(id(1)).await, Deleted::Done);
    let stage = stage.reopen(h).await;
    assert_eq!(stage.task("four").await.id, id(4), "also after reopening an empty database");
}

/// `skip` and `limit` cut it into pages that join without gap or overlap.
pub async fn a_list_is_newest_first_in_pages(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..7).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let page = async |skip, limit| ids(&stage.list(Filter::default(), skip, limit).await);
    assert_eq!(page(0, 3).await, [7, 6, 5]);
    assert_eq!(page(3, 3).await, [4, 3, 2]);
    assert_eq!(page(6, 3).await, [1]);
    assert_eq!(page(7, 3).await, [0_i64; 0]);
    assert_eq!(page(1_000_000, 1000).await, [0_i64; 0]);
    assert_eq!(page(0, 0).await, [0_i64; 0]);
    assert_eq!(page(0, 1000).await, [7, 6, 5, 4, 3, 2, 1]);
}

/// Also when the task at the end of the page is gone, with a filter, and while others are created.
pub async fn a_list_goes_on_where_a_page_ended(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..7).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let page = async |before, status, skip, limit| {
        let filter = Filter { status, ..Filter::default() };
        let before = Some(id(before));
        let page = Page { filter, before, skip, limit, now: stage.now() };
        ids(&stage.store.list(stage.tenant, page).await.expect("list works").items)
    };
    assert_eq!(page(8, None, 0, 3).await, [7, 6, 5]);
    assert_eq!(page(5, None, 0, 3).await, [4, 3, 2]);
    stage.task("new").await;
    stage.delete(id(2)).await;
    assert_eq!(page(2, None, 0, 3).await, [1]);
    assert_eq!(page(1, None, 0, 3).await, [0_i64; 0]);
    assert_eq!(page(i64::MAX, None, 1, 2).await, [7, 6]);
    for n in [3, 5, 7] {
        stage.set(id(n), Status::Completed).await;
    }
    let completed = Some(Status::Completed);
    assert_eq!(page(7, completed, 0, 1).await, [5]);
    assert_eq!(page(5, completed, 0, 9).await, [3]);
    assert_eq!(page(6, Some(Status::Pending), 1, 9).await, [1]);
}

/// Each alone and both together, with pages.
pub async fn a_list_filters_by_status_and_priority(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for n in 0..8 {
        let priority = if n % 2 == 0 { Priority::High } else { Priority::Low };
        stage.create(NewTask { priority, ..stage.plan(&format!("t{n}")) }).await;
    }
    for n in [1, 2, 3, 5] {
        stage.set(id(n), Status::Cancelled).await;
    }
    let list = async |status, priority, skip, limit| {
        let filter = Filter { status, priority, ..Filter::default() };
        ids(&stage.list(filter, skip, limit).await)
    };
    let (cancelled, high) = (Some(Status::Cancelled), Some(Priority::High));
    assert_eq!(list(cancelled, None, 0, 10).await, [5, 3, 2, 1]);
    assert_eq!(list(None, high, 0, 10).await, [7, 5, 3, 1]);
    assert_eq!(list(cancelled, high, 0, 10).await, [5, 3, 1]);
    assert_eq!(list(cancelled, high, 1, 1).await, [3]);
    assert_eq!(list(Some(Status::Pending), Some(Priority::Low), 0, 10).await, [8, 6, 4]);
    assert_eq!(list(Some(Status::Failed), None, 0, 10).await, [0_i64; 0]);
}

/// Through every way in and out of a status.
pub async fn counts_equal_the_lists(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(stage.counts().await, [0; 5]);
    stage.insert((0..9).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(stage.wish(4)).await;
    stage.end(&held[0], done()).await;
    stage.end(&held[1], failed("again")).await;
    stage.end(&held[2], failed_for_good("never")).await;
    stage.set(id(5), Status::Cancelled).await;
    stage.set(id(6), Status::Completed).await;
    stage.set(id(6), Status::Pending).await;
    stage.set(id(7), Status::InProgress).await;
    stage.delete(id(8)).await;
    stage.delete(id(5)).await;
    assert_eq!(stage.counts().await, [3, 2, 1, 1, 0]);
    for status in Status::ALL {
        let filter = Filter { status: Some(status), ..Filter::default() };
        let listed = stage.list(filter, 0, 100).await.len();
        let counts = Counts(stage.counts().await);
        assert_eq!(counts.of(status), listed as u64, "{status:?}");
    }
    let stage = stage.reopen(h).await;
    assert_eq!(stage.counts().await, [3, 2, 1, 1, 0]);
}

/// From every status.
pub async fn a_delete_answers_done_then_not_found(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..5).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    for (n, status) in (1..).zip(Status::ALL) {
        if status != Status::Pending {
            stage.set(id(n), status).await;
        }
        assert_eq!(stage.delete(id(n)).await, Deleted::Done, "{status:?}");
        assert_eq!(stage.delete(id(n)).await, Deleted::NotFound, "{status:?}");
        assert_eq!(stage.find(id(n)).await, None);
    }
    assert_eq!(stage.counts().await, [0; 5]);
    assert_eq!(stage.list(Filter::default(), 0, 10).await, []);
    assert_eq!(stage.claim(stage.wish(5)).await, []);
}

/// Nothing is deleted then; the neighbours of the batch are.
pub async fn a_delete_of_another_version_is_stale(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (one, two) = (stage.task("one").await, stage.task("two").await);
    let one = stage.set(one.id, Status::Cancelled).await;
    let guarded = |id: TaskId, version| Delete { id, if_version: Some(version) };
    let batch = vec![guarded(one.id, 1), guarded(two.id, 1), guarded(id(9), 1)];
    let answers = stage.store.delete(stage.tenant, batch, stage.now()).await.expect("delete works");
    assert_eq!(answers.items, [Deleted::Stale(2), Deleted::Done, Deleted::NotFound]);
    assert_eq!(stage.read(one.id).await, one);
    assert_eq!(stage.find(two.id).await, None);
}

/// Of an unknown task there is no history, not an empty one.
pub async fn a_delete_takes_the_history_along(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("gone").await;
    let held = stage.take().await;
    stage.end(&held, failed("first")).await;
    assert_eq!(stage.attempts(task.id).await[0].outcome, Outcome::Failed);
    stage.delete(task.id).await;
    assert_eq!(stage.store.attempts(stage.tenant, task.id).await.expect("attempts works"), None);
    let next = stage.task("next").await;
    assert_eq!(stage.attempts(next.id).await, []);
}

/// `Ok` means durable: tasks, edits, history, deletions and the next id.
pub async fn everything_acknowledged_is_there_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(full(&stage)).await;
    stage.insert((0..5).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(stage.wish(3)).await;
    stage.end(&held[0], done()).await;
    stage.end(&held[1], failed("again")).await;
    stage.set(id(5), Status::Cancelled).await;
    stage.delete(id(6)).await;
    let before = stage.list(Filter::default(), 0, 100).await;
    let history = [stage.attempts(id(2)).await, stage.attempts(id(3)).await];
    let stage = stage.reopen(h).await;
    assert_eq!(stage.list(Filter::default(), 0, 100).await, before);
    assert_eq!([stage.attempts(id(2)).await, stage.attempts(id(3)).await], history);
    assert_eq!(stage.task("next").await.id, id(7));
    let stage = stage.reopen(h).await.reopen(h).await;
    assert_eq!(stage.task("next").await.id, id(8));
}

/// The store answers, and its schema is the one that the program knows.
pub async fn health_tells_the_schema(h: &dyn Harness) {
    let store = h.fresh().await;
    let health = store.health().await.expect("the store answers");
    assert_eq!(health.schema, health.known);
    assert!(health.known > 0);
}
