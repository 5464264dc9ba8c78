//! Cases of edits: fields, the status by a person's hand, versions and what never changes.

use taskflow_core::patch::Pinned;
use taskflow_core::task::OnConflict;
use taskflow_core::{Finish, Illegal, NewTask, Priority, RetryPolicy, Status, Task, TaskPatch};

use super::harness::Harness;
use super::stage::{Stage, done, full, id, json, patch, to, unique};
use crate::{Claim, Edit, Edited, Extend, Sync};

/// The rest stays what it was; the version rises by one and `updated_at` is now.
pub async fn an_edit_changes_the_given_fields_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let born = stage.create(full(&stage)).await;
    stage.pass(3.0);
    let changes = [
        TaskPatch { title: Some("new".into()), ..TaskPatch::default() },
        TaskPatch { description: Some(Some("other".into())), ..TaskPatch::default() },
        TaskPatch { priority: Some(Priority::Low), ..TaskPatch::default() },
        TaskPatch {
            payload: Some(json("[0]")),
            max_attempts: Some(100),
            retry: Some(RetryPolicy { jitter: 0.75, ..RetryPolicy::default() }),
            ..TaskPatch::default()
        },
        TaskPatch {
            timeout_seconds: Some(Some(5)),
            deadline_at: Some(Some(stage.after(9.9))),
            expires_at: Some(Some(stage.after(8.8))),
            lease_seconds: Some(1),
            run_at: Some(stage.after(7.7)),
            ..TaskPatch::default()
        },
        TaskPatch {
            tags: Some(vec!["x".into()]),
            metadata: Some(json("{}")),
            ..TaskPatch::default()
        },
    ];
    let mut expected = born;
    for change in changes {
        assert!(change.apply(&mut expected, stage.now()), "every change changes something");
        let edited = stage.change(patch(expected.id, change)).await;
        assert_eq!(edited, Edited::Done(Box::new(expected.clone())));
        assert_eq!(stage.read(expected.id).await, expected);
    }
    assert_eq!((expected.state.version, expected.state.updated_at), (7, stage.now()));
}

/// `Some(None)` is not `None`.
pub async fn an_edit_clears_what_is_set_to_none(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.create(full(&stage)).await;
    let clear = TaskPatch {
        description: Some(None),
        payload: Some(None),
        timeout_seconds: Some(None),
        deadline_at: Some(None),
        expires_at: Some(None),
        tags: Some(Vec::new()),
        metadata: Some(None),
        ..TaskPatch::default()
    };
    stage.change(patch(task.id, clear)).await;
    let read = stage.read(task.id).await;
    assert_eq!((&read.description, &read.payload, &read.metadata), (&None, &None, &None));
    let terms = &read.terms;
    assert_eq!((terms.timeout_seconds, terms.deadline_at, terms.expires_at), (None, None, None));
    assert!(read.tags.is_empty());
    assert_eq!((read.title, read.unique_key), (task.title, task.unique_key));
}

/// Neither an empty patch nor one that says what is there, nor the same status.
pub async fn an_edit_that_changes_nothing_leaves_the_version(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("same").await;
    stage.pass(1.0);
    let same = TaskPatch {
        title: Some("same".into()),
        description: Some(None),
        run_at: Some(task.state.run_at),
        status: Some(Status::Pending),
        ..TaskPatch::default()
    };
    for nothing in [TaskPatch::default(), same] {
        let answers = stage.store.edit(stage.tenant, vec![patch(task.id, nothing)], stage.now());
        let answers = answers.await.expect("edit works");
        assert_eq!(answers.items, [Edited::Done(Box::new(task.clone()))]);
        assert_eq!(answers.ready, []);
    }
    assert_eq!(stage.read(task.id).await, task);
}

/// Once for the fields, once for the status; both are in one answer.
pub async fn an_edit_of_fields_and_status_raises_the_version_twice(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("old").await;
    let both = TaskPatch {
        title: Some("new".into()),
        status: Some(Status::Completed),
        ..TaskPatch::default()
    };
    let Edited::Done(edited) = stage.change(patch(task.id, both)).await else {
        panic!("refused");
    };
    assert_eq!((edited.title.as_str(), edited.state.version), ("new", 3));
    assert_eq!(edited.state.status, Status::Completed);
    assert_eq!(edited.state.completed_at, Some(stage.now()));
    assert_eq!(stage.read(task.id).await, *edited);
}

/// Beside answers to the others of its batch.
pub async fn an_edit_of_an_unknown_task_is_answered(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("here").await;
    let batch = vec![to(id(50), Status::Cancelled), to(task.id, Status::Cancelled)];
    let answers = stage.store.edit(stage.tenant, batch, stage.now()).await.expect("edit works");
    assert_eq!(answers.items[0], Edited::NotFound);
    assert!(matches!(&answers.items[1], Edited::Done(t) if t.state.status == Status::Cancelled));
    assert_eq!(answers.items.len(), 2);
}

/// The answer names the version that is there, before anything else is looked at.
pub async fn an_edit_of_another_version_is_stale(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("v1").await;
    let rename = |title: &str| TaskPatch { title: Some(title.into()), ..TaskPatch::default() };
    let guarded = |version, patch| Edit { id: task.id, if_version: Some(version), patch };
    let edited = stage.change(guarded(1, rename("v2"))).await;
    assert!(matches!(edited, Edited::Done(t) if t.state.version == 2));
    assert_eq!(stage.change(guarded(1, rename("lost"))).await, Edited::Stale(2));
    let pinned = Pinned { queue: Some("other".into()), ..Pinned::default() };
    let pinned = TaskPatch { pinned, ..rename("lost") };
    assert_eq!(stage.change(guarded(3, pinned)).await, Edited::Stale(2));
    assert_eq!(stage.read(task.id).await.title, "v2");
}

/// All faults are named and nothing else of the patch is done.
pub async fn an_edit_of_a_pinned_field_is_refused(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.create(full(&stage)).await;
    let pinned = Pinned {
        queue: Some("elsewhere".into()),
        kind: Some("other".into()),
        unique_key: Some(None),
        concurrency_key: Some(Some("x".into())),
        depends_on: Some(vec![1]),
    };
    let patched = TaskPatch {
        title: Some("new".into()),
        status: Some(Status::Cancelled),
        pinned: pinned.clone(),
        ..TaskPatch::default()
    };
    let faults = pinned.faults(&task);
    assert_eq!(faults.len(), 5);
    assert_eq!(stage.change(patch(task.id, patched)).await, Edited::Pinned(faults));
    assert_eq!(stage.read(task.id).await, task);
}

/// A whole task sent back is fine.
pub async fn an_edit_may_repeat_what_is_pinned(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let child = NewTask { depends_on: vec![parent.id], ..full(&stage) };
    let task = stage.create(child).await;
    let pinned = Pinned {
        queue: Some("mail.out".into()),
        kind: Some("send:2".into()),
        unique_key: Some(Some("order-1".into())),
        concurrency_key: Some(Some("customer-9".into())),
        depends_on: Some(vec![parent.id.get()]),
    };
    let repeated = TaskPatch { title: Some("new".into()), pinned, ..TaskPatch::default() };
    let edited = stage.change(patch(task.id, repeated)).await;
    assert!(matches!(edited, Edited::Done(t) if t.title == "new"));
}

/// All or nothing per task.
pub async fn an_illegal_move_changes_nothing_not_even_fields(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("old").await;
    let completed = stage.set(task.id, Status::Completed).await;
    stage.pass(1.0);
    let illegal = TaskPatch {
        title: Some("new".into()),
        status: Some(Status::Failed),
        ..TaskPatch::default()
    };
    let refusal = Illegal::Transition { from: Status::Completed, to: Status::Failed };
    assert_eq!(stage.change(patch(task.id, illegal)).await, Edited::Refused(refusal));
    assert_eq!(stage.read(task.id).await, completed);
}

/// In their order, each with its own answer.
pub async fn edits_see_the_edits_before_them_in_the_batch(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("one").await;
    let guarded = |version, status| Edit { if_version: Some(version), ..to(task.id, status) };
    let batch = vec![
        guarded(1, Status::InProgress),
        guarded(1, Status::Cancelled),
        guarded(2, Status::Failed),
        guarded(3, Status::Pending),
    ];
    let answers = stage.store.edit(stage.tenant, batch, stage.now()).await.expect("edit works");
    let seen: Vec<_> = answers
        .items
        .iter()
        .map(|answer| match answer {
            Edited::Done(task) => Ok((task.state.status, task.state.version)),
            Edited::Stale(version) => Err(*version),
            other => panic!("not expected: {other:?}"),
        })
        .collect();
    let expected =
        [Ok((Status::InProgress, 2)), Err(2), Ok((Status::Failed, 3)), Ok((Status::Pending, 4))];
    assert_eq!(seen, expected);
}

/// No lease, no attempt, and a retry clears what the end left.
pub async fn a_person_can_take_finish_and_retry_a_task(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("by hand").await;
    stage.pass(1.0);
    let taken = stage.set(task.id, Status::InProgress).await;
    assert_eq!((taken.state.lease, taken.state.attempt), (None, 0));
    assert_eq!(taken.state.started_at, Some(stage.now()));
    stage.pass(1.0);
    let ended = stage.set(task.id, Status::Completed).await;
    assert_eq!(
        (ended.state.completed_at, ended.state.ended_at),
        (Some(stage.now()), Some(stage.now()))
    );
    stage.pass(1.0);
    let retried = stage.set(task.id, Status::Pending).await.state;
    assert_eq!((retried.completed_at, retried.ended_at), (None, None));
    assert_eq!((retried.run_at, retried.version), (stage.now(), 4));
    assert_eq!(stage.read(task.id).await.state, retried);
    assert_eq!(stage.attempts(task.id).await, []);
    assert_eq!(stage.claim(stage.wish(5)).await.len(), 1, "a retried task is handed out");
}

/// For a running or ended one it says when the task was due.
pub async fn an_edit_of_run_at_moves_a_pending_task_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("later").await;
    let later = |seconds| TaskPatch { run_at: Some(stage.after(seconds)), ..TaskPatch::default() };
    stage.change(patch(task.id, later(60.0))).await;
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    stage.pass(60.0);
    let held = stage.take().await;
    stage.change(patch(task.id, later(60.0))).await;
    assert_eq!(stage.read(task.id).await, held.task);
    stage.end(&held, done()).await;
    let ended = stage.read(task.id).await;
    stage.change(patch(task.id, later(60.0))).await;
    assert_eq!(stage.read(task.id).await, ended);
}

/// Fields and status of one edit belong together.
pub async fn a_retry_may_wait_until_the_edit_s_run_at(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("again tomorrow").await;
    stage.set(task.id, Status::Failed).await;
    let again = TaskPatch {
        status: Some(Status::Pending),
        run_at: Some(stage.after(60.0)),
        ..TaskPatch::default()
    };
    stage.change(patch(task.id, again)).await;
    assert_eq!(stage.read(task.id).await.state.run_at, stage.after(60.0));
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    stage.pass(60.0);
    assert_eq!(stage.claim(stage.wish(1)).await.len(), 1);
}

/// The lease of the running attempt is cut to the new end.
pub async fn an_edited_deadline_binds_the_running_attempt(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("runs").await;
    let held = stage.take().await;
    let sooner = TaskPatch { deadline_at: Some(Some(stage.after(1.0))), ..TaskPatch::default() };
    stage.change(patch(held.task.id, sooner)).await;
    let lease = stage.read(held.task.id).await.state.lease;
    assert_eq!(lease.map(|lease| lease.until), Some(stage.after(1.0)));
}

/// A waiting task needs one attempt more than it has used.
pub async fn max_attempts_cannot_fall_below_what_is_used(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("tried").await;
    let held = stage.take().await;
    let finish = Finish::Failed { error: "no".into(), retryable: true, retry_after: Some(0.0) };
    stage.end(&held, finish).await;
    let attempts = |n| TaskPatch { max_attempts: Some(n), ..TaskPatch::default() };
    let refused = stage.change(patch(task.id, attempts(1))).await;
    assert!(matches!(refused, Edited::Pinned(ref faults) if faults[0].pointer == "/max_attempts"));
    assert_eq!(stage.read(task.id).await.terms.max_attempts, 5);
    stage.change(patch(task.id, attempts(2))).await;
    assert_eq!(stage.read(task.id).await.terms.max_attempts, 2);
}

/// A retry is for what has ended: a pending task is left as it is, a running one keeps running.
pub async fn a_rerun_takes_only_what_has_ended(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let rerun = |id| patch(id, TaskPatch { rerun: true, ..TaskPatch::default() });
    for end in [Status::Completed, Status::Failed, Status::Cancelled] {
        let task = stage.task("ended").await;
        stage.set(task.id, end).await;
        stage.pass(1.0);
        let Edited::Done(again) = stage.change(rerun(task.id)).await else {
            panic!("{end:?} is retried")
        };
        assert_eq!((again.state.status, again.state.run_at), (Status::Pending, stage.now()));
        assert_eq!((again.state.ended_at, again.state.cancel_reason.clone()), (None, None));
        assert_eq!(stage.change(rerun(task.id)).await, Edited::Done(again.clone()));
        stage.set(task.id, Status::Cancelled).await;
    }
    stage.task("running").await;
    let held = stage.take().await;
    assert_eq!(stage.change(rerun(held.task.id)).await, Edited::Refused(Illegal::NotEnded));
    assert_eq!(stage.read(held.task.id).await, held.task);
    assert_eq!(stage.change(rerun(id(9999))).await, Edited::NotFound);
}

/// Only where it stands is new: by itself, by a person's hand, and one of many.
pub async fn a_retry_keeps_all_that_was_given(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    stage.set(parent.id, Status::Completed).await;
    let mut born = Vec::new();
    for n in 0..3 {
        let unique = unique(&format!("order-{n}"), OnConflict::Reject);
        let new = NewTask { depends_on: vec![parent.id], unique, ..full(&stage) };
        born.push(stage.create(new).await);
    }
    stage.pass(12.345_678);
    let same = async || {
        for born in &born {
            let now = stage.read(born.id).await;
            assert_eq!(Task { state: born.state.clone(), ..now.clone() }, *born);
            assert_eq!(now.state.status, Status::Pending);
            assert_eq!(now.state.checkpoint, json("[1]"), "a retry goes on where it was");
        }
    };
    let fail = async |retryable| {
        let claim = Claim { lease_seconds: Some(3), ..stage.wish(9) };
        let held = stage.claim(claim).await;
        assert_eq!(held.len(), born.len());
        for held in held {
            let (id, token) = (held.task.id, held.token);
            let extend = vec![Extend { id, token, progress: None, checkpoint: json("[1]") }];
            stage.sync(Sync { extend, ..Sync::default() }).await;
            let error = "no".into();
            stage.end(&held, Finish::Failed { error, retryable, retry_after: Some(5.0) }).await;
        }
    };
    fail(true).await;
    same().await;
    stage.pass(5.0);
    let rerun = TaskPatch { rerun: true, ..TaskPatch::default() };
    let by_hand = TaskPatch { status: Some(Status::Pending), ..TaskPatch::default() };
    for again in [rerun, by_hand] {
        fail(false).await;
        let edits = born.iter().map(|born| patch(born.id, again.clone())).collect();
        let edited = stage.store.edit(stage.tenant, edits, stage.now()).await.expect("edit works");
        assert!(edited.items.iter().all(|edited| matches!(edited, Edited::Done(_))), "{edited:?}");
        same().await;
    }
}
