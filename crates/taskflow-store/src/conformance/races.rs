//! Cases of calls that meet: whichever comes first, all answers are true of what is there afterwards.

use taskflow_core::task::OnConflict;
use taskflow_core::{NewTask, Outcome, Status, TaskId, Terms};

use super::harness::Harness;
use super::idempotency::{keyed as for_key, once};
use super::stage::{Stage, done, to, unique};
use crate::{
    AllInserted, Answers, Deed, Deleted, Done, Edited, Expired, Filter, Finished, Inserted, Onced,
};

/// A task with a unique key.
fn keyed(stage: &Stage, key: &str, on_conflict: OnConflict) -> NewTask {
    NewTask { unique: unique(key, on_conflict), ..stage.plan(key) }
}

/// The live tasks, which are those that hold keys here.
async fn live(stage: &Stage) -> Vec<TaskId> {
    let tasks = stage.list(Filter::default(), 0, 1000).await;
    tasks.iter().filter(|task| !task.state.status.is_ended()).map(|task| task.id).collect()
}

/// Each task is completed or rescued, and its worker knows which.
pub async fn a_finish_and_a_sweep_that_meet_leave_one_outcome(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for _ in 0..5 {
        stage.insert(vec![stage.plan("met"); 40]).await;
        let held = stage.claim(stage.wish(40)).await;
        assert_eq!(held.len(), 40);
        stage.pass(30.0);
        let (mut ends, mut sweeps) = (Vec::new(), Vec::new());
        for (n, held) in held.into_iter().enumerate() {
            if n % 5 == 0 {
                let stage = stage.clone();
                let sweep = async move { stage.store.expire(stage.now(), 10).await };
                sweeps.push(tokio::spawn(sweep));
            }
            let stage = stage.clone();
            ends.push(tokio::spawn(async move {
                let finished = stage.finish(held.task.id, held.token, done()).await;
                (held.task.id, finished)
            }));
        }
        let mut swept: Vec<Expired> = Vec::new();
        for sweep in sweeps {
            swept.extend(sweep.await.expect("no panic").expect("expire works").items);
        }
        let mut rescued = 0;
        for end in ends {
            let (id, finished) = end.await.expect("no panic");
            let swept: Vec<_> = swept.iter().filter(|swept| swept.id == id).collect();
            let (status, outcome) = match (finished, swept.as_slice()) {
                (Finished::Done(_), []) => (Status::Completed, Outcome::Completed),
                (Finished::LeaseLost, [one]) if one.status == Status::Pending => {
                    rescued += 1;
                    (Status::Pending, Outcome::LeaseExpired)
                }
                other => panic!("{id}: {other:?}"),
            };
            assert_eq!(stage.read(id).await.state.status, status);
            let attempts = stage.attempts(id).await;
            let attempts: Vec<_> = attempts.iter().map(|a| (a.attempt, a.outcome)).collect();
            assert_eq!(attempts, [(1, outcome)]);
        }
        assert_eq!(stage.counts().await, [rescued, 0, 40 - rescued, 0, 0]);
        for task in stage.list(Filter::default(), 0, 1000).await {
            stage.delete(task.id).await;
        }
    }
}

/// It is done or not found; it is gone in any case, and counted nowhere.
pub async fn a_finish_and_a_delete_that_meet_leave_nothing(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for _ in 0..20 {
        stage.insert(vec![stage.plan("stays"), stage.plan("goes")]).await;
        let held = stage.claim(stage.wish(2)).await;
        let (id, token) = (held[1].task.id, held[1].token);
        let (finisher, deleter) = (stage.clone(), stage.clone());
        let finish = tokio::spawn(async move { finisher.finish(id, token, done()).await });
        let delete = tokio::spawn(async move { deleter.delete(id).await });
        assert_eq!(delete.await.expect("no panic"), Deleted::Done);
        let finished = finish.await.expect("no panic");
        assert!(matches!(finished, Finished::Done(_) | Finished::NotFound), "{finished:?}");
        assert_eq!(stage.finish(id, token, done()).await, Finished::NotFound);
        assert_eq!(stage.find(id).await, None);
        stage.end(&held[0], done()).await;
    }
    assert_eq!(stage.counts().await, [0, 0, 20, 0, 0]);
    assert_eq!(stage.list(Filter::default(), 0, 1000).await.len(), 20);
}

/// Also when each names them in another order.
pub async fn batches_that_share_keys_at_once_make_each_task_once(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let batch = |n: usize| -> Vec<NewTask> {
        let key = |item: usize| format!("k{}", (item * [1, 3, 7, 9][n] + n) % 10);
        (0..200).map(|item| keyed(&stage, &key(item), OnConflict::Return)).collect()
    };
    let calls = (0..4).map(|n| {
        let (stage, batch) = (stage.clone(), batch(n));
        tokio::spawn(async move {
            if n % 2 == 0 {
                return stage.insert(batch).await.items;
            }
            let all = stage.store.insert_all(stage.tenant, batch, stage.now()).await;
            match all.expect("insert_all works") {
                AllInserted::Done(answers) => answers.items,
                refused => panic!("{refused:?}"),
            }
        })
    });
    let (mut created, mut seen) = (0, Vec::new());
    for call in calls.collect::<Vec<_>>() {
        let items = call.await.expect("no panic");
        assert_eq!(items.len(), 200);
        for item in items {
            match item {
                Inserted::Created(task) => {
                    created += 1;
                    seen.push((task.unique_key, task.id));
                }
                Inserted::Existing(task) => seen.push((task.unique_key, task.id)),
                other => panic!("{other:?}"),
            }
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!((created, seen.len()), (10, 10), "each key has one task: {seen:?}");
    assert_eq!(stage.counts().await, [10, 0, 0, 0, 0]);
}

/// Whichever way a task comes by its key.
pub async fn of_all_who_want_a_key_at_once_one_gets_it(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for round in 0..5 {
        let old = stage.create(keyed(&stage, "k", OnConflict::Reject)).await;
        stage.set(old.id, Status::Failed).await;
        let calls = (0..30u8).map(|n| {
            let stage = stage.clone();
            let on_conflict = [OnConflict::Return, OnConflict::Reject][usize::from(n / 3 % 2)];
            let new = keyed(&stage, "k", on_conflict);
            tokio::spawn(async move {
                let inserted = match n % 3 {
                    0 => stage.offer(new).await,
                    1 => {
                        let act = for_key(round * 30 + n, Deed::Insert(vec![new]));
                        match once(&stage, act).await {
                            Onced::Done { done: Done::Inserted(Answers { items, .. }), .. }
                            | Onced::Undone(Done::Inserted(Answers { items, .. })) => {
                                items.into_iter().next().expect("one answer per item")
                            }
                            Onced::InProgress => return None,
                            other => panic!("{other:?}"),
                        }
                    }
                    _ => match stage.change(to(old.id, Status::Pending)).await {
                        Edited::Done(task) => return Some((task.id, false)),
                        Edited::KeyHeld(id) => return Some((id, false)),
                        other => panic!("{other:?}"),
                    },
                };
                match inserted {
                    Inserted::Created(task) => Some((task.id, true)),
                    Inserted::Existing(task) => Some((task.id, false)),
                    Inserted::KeyHeld(id) => Some((id, false)),
                    other => panic!("{other:?}"),
                }
            })
        });
        let mut answers = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            answers.extend(call.await.expect("no panic"));
        }
        let [holder] = live(&stage).await[..] else { panic!("one is live") };
        assert!(answers.iter().all(|(id, _)| *id == holder), "{holder}: {answers:?}");
        let created = answers.iter().filter(|(_, created)| *created).count();
        assert_eq!(created, usize::from(holder != old.id), "round {round}");
        stage.set(holder, Status::Cancelled).await;
    }
}

/// Or used up, while many want its place: at any time one task is live, if any, and all are answered.
pub async fn a_key_has_one_holder_while_its_holder_is_rescued(h: &dyn Harness) {
    for max_attempts in [1, 2] {
        let stage = Stage::open(h).await;
        let terms = Terms { max_attempts, ..Terms::default() };
        let old = NewTask { terms, ..keyed(&stage, "k", OnConflict::Reject) };
        let old = stage.create(old).await;
        stage.take().await;
        stage.pass(30.0);
        let (mut offers, mut sweeps) = (Vec::new(), Vec::new());
        for n in 0..20 {
            if n % 5 == 2 {
                let stage = stage.clone();
                sweeps.push(tokio::spawn(async move { stage.expire().await.len() }));
            }
            let on_conflict = [OnConflict::Return, OnConflict::Replace][n % 2];
            let (stage, new) = (stage.clone(), keyed(&stage, "k", on_conflict));
            offers.push(tokio::spawn(async move { stage.offer(new).await }));
        }
        let (mut born, mut created, mut replaced) = (vec![old.id], 0, Vec::new());
        let mut met = Vec::new();
        for offer in offers {
            match offer.await.expect("no panic") {
                Inserted::Created(task) => {
                    created += 1;
                    born.push(task.id);
                }
                Inserted::Replaced { task, cancelled } => {
                    born.push(task.id);
                    replaced.push(cancelled);
                }
                Inserted::Existing(task) => met.push(task.id),
                Inserted::KeyHeld(id) => met.push(id),
                other => panic!("{other:?}"),
            }
        }
        // A sweep may pass over what another call looks at; then the next one takes it.
        let mut swept = 0;
        for sweep in sweeps {
            swept += sweep.await.expect("no panic");
        }
        swept += stage.expire().await.len();
        assert_eq!(swept, 1, "it is rescued once");
        assert!(met.iter().all(|id| born.contains(id)), "{met:?} of {born:?}");
        let live = live(&stage).await;
        if max_attempts == 1 {
            assert_eq!(stage.read(old.id).await.state.status, Status::Failed);
            assert_eq!((created, live.len()), (live.len(), live.len().min(1)));
        } else {
            assert_eq!((created, live.len()), (0, 1));
        }
        for id in &replaced {
            let state = stage.read(*id).await.state;
            assert_eq!(state.cancel_reason.as_deref(), Some("replaced"));
        }
        let cancelled = stage.counts().await[Status::Cancelled as usize];
        assert_eq!(cancelled, replaced.len() as u64, "each replaced another one");
        match (live.first(), stage.offer(keyed(&stage, "k", OnConflict::Reject)).await) {
            (None, Inserted::Created(_)) => {}
            (Some(holder), Inserted::KeyHeld(id)) => assert_eq!(id, *holder),
            other => panic!("{other:?}"),
        }
    }
}
