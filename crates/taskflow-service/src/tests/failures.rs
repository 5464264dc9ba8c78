//! Groups of failures, their bounds, and the retry of one group.

use taskflow_core::failures::NO_ERROR;
use taskflow_core::limits::{
    ERROR_EXAMPLE_CHARS_MAX, FAILURE_GROUPS_MAX, FAILURE_QUEUES_MAX, FAILURES_LOOKED_MAX,
};
use taskflow_core::{Status, TaskPatch};
use taskflow_store::Edit;

use super::*;
use crate::failures::{Group, Groups};
use crate::many::Outcome;

const ME: Actor = Actor::DEFAULT;

/// A task of this queue and kind that failed for good with this error.
async fn fail(stage: &Stage, of: (&str, &str), error: &str) -> TaskId {
    let (name, sort) = of;
    let new = NewTask { queue: queue(name), ..stage.new_task(sort) };
    let id = stage.create_as(new).await;
    let held = stage.claim(one(&[sort], Duration::ZERO)).await.unwrap();
    assert_eq!(held[0].task.id, id);
    let finish = Finish::Failed { error: error.into(), retryable: false, retry_after: None };
    stage.finish(&held[0], finish).await;
    id
}

/// Tasks that a person failed: they have no error.
async fn fail_many(stage: &Stage, sort: &str, many: usize) {
    let batch = vec![stage.new_task(sort); many];
    let now = stage.clock.now();
    let answers = stage.store.insert(TenantId::DEFAULT, batch, now).await.unwrap();
    let task = |inserted: &taskflow_store::Inserted| match inserted {
        taskflow_store::Inserted::Created(task) => task.id,
        other => panic!("not created: {other:?}"),
    };
    let failed = TaskPatch { status: Some(Status::Failed), ..TaskPatch::default() };
    let edit = |id| Edit { id, if_version: None, patch: failed.clone() };
    let edits = answers.items.iter().map(task).map(edit).collect();
    stage.store.edit(TenantId::DEFAULT, edits, now).await.unwrap();
}

async fn groups(stage: &Stage) -> Groups {
    stage.services.failures.groups(ME).await.unwrap()
}

async fn redrive(stage: &Stage, sort: &str, error: &str) -> Outcome {
    stage.services.failures.redrive(ME, &kind(sort), error).await.unwrap()
}

async fn failed(stage: &Stage) -> u64 {
    stage.services.tasks.count(ME).await.unwrap().of(Status::Failed)
}

#[tokio::test(start_paused = true)]
async fn failures_of_one_kind_and_sort_are_one_group_and_the_largest_is_first() {
    let stage = Stage::simulated(NEVER);
    assert_eq!(groups(&stage).await, Groups::default());
    let first = stage.clock.now();
    fail(&stage, ("b", "mail"), "timeout after 31 s\n  at line 7").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    fail(&stage, ("a", "mail"), "timeout after 29 s").await;
    let last = stage.clock.now();
    let newest = fail(&stage, ("b", "mail"), "\n timeout after 30 s \nmore").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let other = fail(&stage, ("a", "post"), "timeout after 31 s").await;
    fail_many(&stage, "mail", 1).await;
    stage.create("waits").await;
    let told = groups(&stage).await;
    assert_eq!((told.looked, told.more), (5, false));
    let seen: Vec<_> =
        told.groups.iter().map(|g| (g.kind.as_str(), g.error.as_str(), g.count)).collect();
    let sort = "timeout after # s";
    assert_eq!(seen, [("mail", sort, 3), ("mail", NO_ERROR, 1), ("post", sort, 1)]);
    let wanted = Group {
        kind: kind("mail"),
        error: sort.into(),
        count: 3,
        newest,
        example: Some("timeout after 30 s".into()),
        last,
        first,
        queues: vec![queue("b"), queue("a")],
    };
    assert_eq!(told.groups[0], wanted);
    assert_eq!(told.groups[1].example, None);
    assert_eq!(told.groups[2].newest, other);
    let recent = stage.services.failures.recent(ME, 2).await.unwrap();
    assert_eq!((recent.looked, recent.more, recent.groups.len()), (2, true, 2));
    let theirs = Actor { tenant: TenantId(2) };
    assert_eq!(stage.services.failures.groups(theirs).await.unwrap(), Groups::default());
}

#[tokio::test(start_paused = true)]
async fn an_answer_names_so_many_groups_and_queues_and_no_more() {
    let stage = Stage::simulated(NEVER);
    for n in 0..FAILURE_QUEUES_MAX + 2 {
        let error = format!("is long: {}", "x".repeat(ERROR_EXAMPLE_CHARS_MAX));
        fail(&stage, (&format!("q{n}"), "mail"), &error).await;
    }
    for n in 0..FAILURE_GROUPS_MAX + 1 {
        fail_many(&stage, &format!("k{n}"), 1).await;
    }
    let told = groups(&stage).await;
    assert_eq!(told.groups.len(), FAILURE_GROUPS_MAX);
    let largest = &told.groups[0];
    let names: Vec<&str> = largest.queues.iter().map(QueueName::as_str).collect();
    assert_eq!(names, ["q0", "q1", "q2", "q3", "q4"]);
    assert_eq!(largest.example.as_ref().unwrap().chars().count(), ERROR_EXAMPLE_CHARS_MAX);
    assert_eq!(told.groups[1].kind, kind(&format!("k{FAILURE_GROUPS_MAX}")), "the newest first");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_retries_its_group_and_nothing_else() {
    let stage = Stage::simulated(NEVER);
    let mine = [
        fail(&stage, ("a", "mail"), "no host 17").await,
        fail(&stage, ("b", "mail"), "no host 4").await,
    ];
    let others = [
        fail(&stage, ("a", "mail"), "no port 17").await,
        fail(&stage, ("a", "post"), "no host 17").await,
    ];
    let counted = stage.services.failures.count(ME, &kind("mail"), "no host #").await.unwrap();
    assert_eq!(counted, (2, false));
    let outcome = redrive(&stage, "mail", "no host #").await;
    assert_eq!(outcome, Outcome { changed: 2, skipped: 0, more: false });
    for id in mine {
        assert_eq!(stage.task(id).await.state.status, Status::Pending);
    }
    for id in others {
        assert_eq!(stage.task(id).await.state.status, Status::Failed);
    }
    assert_eq!(redrive(&stage, "mail", "no host #").await, Outcome::default());
    assert_eq!(redrive(&stage, "mail", "never heard of").await, Outcome::default());
    let theirs = Actor { tenant: TenantId(2) };
    let outcome = stage.services.failures.redrive(theirs, &kind("post"), "no host #").await;
    assert_eq!(outcome.unwrap(), Outcome::default());
}

#[tokio::test(start_paused = true)]
async fn a_redrive_wakes_who_waits_for_work() {
    let stage = Stage::simulated(NEVER);
    fail(&stage, ("a", "mail"), "e").await;
    let claimer = stage.claimer(one(&["mail"], LONG));
    stage.waiting(1).await;
    redrive(&stage, "mail", "e").await;
    assert_eq!(soon(claimer).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_of_more_than_are_looked_at_goes_on_with_the_next_call() {
    let stage = Stage::simulated(NEVER);
    let looked = u64::from(FAILURES_LOOKED_MAX);
    fail_many(&stage, "mail", FAILURES_LOOKED_MAX as usize + 10).await;
    let count = stage.services.failures.count(ME, &kind("mail"), NO_ERROR).await.unwrap();
    assert_eq!(count, (looked, true));
    let told = groups(&stage).await;
    assert_eq!((told.looked, told.more, told.groups[0].count), (FAILURES_LOOKED_MAX, true, looked));
    let first = redrive(&stage, "mail", NO_ERROR).await;
    assert_eq!(first, Outcome { changed: looked, skipped: 0, more: true });
    let second = redrive(&stage, "mail", NO_ERROR).await;
    assert_eq!(second, Outcome { changed: 10, skipped: 0, more: false });
    fail_many(&stage, "post", FAILURES_LOOKED_MAX as usize + 1).await;
    let none = redrive(&stage, "mail", NO_ERROR).await;
    assert_eq!(none, Outcome::default(), "no call would ever find more");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_ends_when_time_runs_out_or_the_process_stops() {
    let stage = Stage::simulated(NEVER);
    fail_many(&stage, "mail", 7_000).await;
    // The second page is found when time is over.
    stage.store.let_find_take(Duration::from_secs(15));
    let outcome = redrive(&stage, "mail", NO_ERROR).await;
    assert_eq!(outcome, Outcome { changed: 500, skipped: 0, more: true });
    assert_eq!(failed(&stage).await, 6_500);
    stage.store.let_find_take(Duration::ZERO);
    stage.services.bus.close();
    let outcome = redrive(&stage, "mail", NO_ERROR).await;
    assert_eq!(outcome, Outcome { changed: 0, skipped: 0, more: true });
    assert_eq!(failed(&stage).await, 6_500);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_changes_meanwhile_is_skipped() {
    let stage = Stage::simulated(NEVER);
    let ids = [fail(&stage, ("a", "mail"), "e").await, fail(&stage, ("a", "mail"), "e").await];
    stage.store.let_find_take(Duration::from_secs(2));
    let edit = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let patch = TaskPatch { title: Some("another".into()), ..TaskPatch::default() };
        stage.services.tasks.edit(ME, ids[0], None, patch).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(redrive(&stage, "mail", "e"), edit);
    assert_eq!(outcome, Outcome { changed: 1, skipped: 1, more: false });
    assert_eq!(stage.task(ids[0]).await.state.status, Status::Failed);
}
