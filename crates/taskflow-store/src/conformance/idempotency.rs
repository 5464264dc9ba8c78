//! Cases of acts that are done once for their key: one effect, one answer, whatever happens meanwhile.

use std::sync::Arc;

use taskflow_core::limits::IDEMPOTENCY_SECONDS;
use taskflow_core::task::OnConflict;
use taskflow_core::{Fingerprint, KeyHash, NewTask, Status, TenantId};

use super::harness::Harness;
use super::stage::{Stage, done, to, unique};
use crate::{
    AllInserted, Answers, Claimed, Deed, Delete, Deleted, Done, Edited, FinishTask, Finished,
    Inserted, Once, Onced, Render, Sync,
};

/// Keeps what an act said, as text; nothing when the first answer is a refusal.
struct Said;

impl Render for Said {
    fn render(&self, done: &Done) -> Option<Vec<u8>> {
        let kept = match done {
            Done::Inserted(answers) => !answers.items.iter().all(Inserted::is_refused),
            Done::AllInserted(answers) => matches!(answers, AllInserted::Done(_)),
            Done::Edited(answers) => matches!(answers.items[0], Edited::Done(_)),
            Done::Deleted(answers) => answers.items[0] == Deleted::Done,
            Done::Synced(synced) => !(synced.finished.is_empty() && synced.claimed.is_empty()),
            Done::Noted => true,
        };
        kept.then(|| without_hints(done.clone()).into_bytes())
    }
}

/// The answers alone: what became ready is not told to who renders.
fn without_hints(mut done: Done) -> String {
    match &mut done {
        Done::Inserted(Answers { ready, .. })
        | Done::AllInserted(AllInserted::Done(Answers { ready, .. }))
        | Done::Edited(Answers { ready, .. })
        | Done::Deleted(Answers { ready, .. }) => ready.clear(),
        Done::Synced(synced) => synced.ready.clear(),
        Done::AllInserted(AllInserted::Refused { .. }) | Done::Noted => {}
    }
    format!("{done:?}")
}

pub(super) fn keyed(key: u8, deed: Deed) -> Once {
    let render = Arc::new(Said);
    Once { key: KeyHash([key; 32]), request: Fingerprint([0; 32]), deed, render }
}

pub(super) async fn once(stage: &Stage, once: Once) -> Onced {
    stage.store.once(stage.tenant, once, stage.now()).await.expect("once works")
}

async fn recall(stage: &Stage, key: u8, request: u8) -> Option<Onced> {
    let (key, request) = (KeyHash([key; 32]), Fingerprint([request; 32]));
    let recalled = stage.store.recall(stage.tenant, key, request, stage.now()).await;
    recalled.expect("recall works")
}

fn create(stage: &Stage, title: &str) -> Deed {
    Deed::Insert(vec![stage.plan(title)])
}

/// What was done now, and what is kept of it.
fn fresh(onced: Onced) -> (Vec<u8>, Done) {
    match onced {
        Onced::Done { answer, done } => (answer, done),
        other => panic!("not done: {other:?}"),
    }
}

async fn total(stage: &Stage) -> u64 {
    stage.counts().await.iter().sum()
}

/// Whatever becomes of the task.
pub async fn the_same_key_gets_the_first_answer_again(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (answer, made) = fresh(once(&stage, keyed(1, create(&stage, "a"))).await);
    let Done::Inserted(Answers { items, ready }) = made else { panic!("{made:?}") };
    let [Inserted::Created(task)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(stage.read(task.id).await, **task);
    assert_eq!(ready.len(), 1);
    let repeated = || async {
        let again = once(&stage, keyed(1, create(&stage, "a"))).await;
        assert_eq!(recall(&stage, 1, 0).await.as_ref(), Some(&again));
        again
    };
    assert_eq!(repeated().await, Onced::Before(answer.clone()));
    stage.set(task.id, Status::Completed).await;
    assert_eq!(repeated().await, Onced::Before(answer.clone()));
    assert_eq!(stage.delete(task.id).await, Deleted::Done);
    assert_eq!(repeated().await, Onced::Before(answer));
    assert_eq!(total(&stage).await, 0);
}

/// As one created by a plain insert would be: it is counted, handed out, and ids go on rising.
pub async fn what_is_done_for_a_key_is_like_everything_else(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = stage.task("first").await;
    let batch = (0..3).map(|n| stage.plan(&n.to_string())).collect();
    let (_, made) = fresh(once(&stage, keyed(1, Deed::Insert(batch))).await);
    let Done::Inserted(Answers { items, .. }) = made else { panic!("{made:?}") };
    let mut last = first.id;
    for item in &items {
        let Inserted::Created(task) = item else { panic!("{item:?}") };
        assert!(task.id > last);
        last = task.id;
    }
    let child = NewTask { depends_on: vec![first.id, last], ..stage.plan("child") };
    fresh(once(&stage, keyed(2, Deed::InsertAll(vec![child]))).await);
    assert_eq!(stage.counts().await, [5, 0, 0, 0, 0]);
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 4, "the child waits");
}

/// On SQLite they follow each other; on PostgreSQL another connection may say that it is at work.
pub async fn of_many_at_once_with_one_key_one_is_done(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let calls = (0..16).map(|_| {
        let stage = stage.clone();
        tokio::spawn(async move { once(&stage, keyed(1, create(&stage, "a"))).await })
    });
    let calls: Vec<_> = calls.collect();
    let (mut answers, mut fresh_ones) = (Vec::new(), 0);
    for call in calls {
        match call.await.expect("no panic") {
            Onced::Done { answer, .. } => {
                fresh_ones += 1;
                answers.push(answer);
            }
            Onced::Before(answer) => answers.push(answer),
            Onced::InProgress => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fresh_ones, 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(total(&stage).await, 1);
}

/// Many keys in one commit: each gets its own answer.
pub async fn keys_do_not_hinder_each_other(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(NewTask { unique: unique("k", OnConflict::Reject), ..stage.plan("held") }).await;
    let calls = (0..20_u8).map(|n| {
        let stage = stage.clone();
        tokio::spawn(async move {
            let refused = n % 5 == 0;
            let unique = refused.then(|| unique("k", OnConflict::Reject)).flatten();
            let new = NewTask { unique, ..stage.plan(&format!("t{n}")) };
            (n, refused, once(&stage, keyed(n, Deed::Insert(vec![new]))).await)
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (n, refused, onced) = call.await.expect("no panic");
        match onced {
            Onced::Done { answer, .. } => {
                let text = String::from_utf8(answer).expect("text");
                assert!(!refused && text.contains(&format!("\"t{n}\"")), "{text}");
            }
            Onced::Undone(Done::Inserted(answers)) => {
                assert!(refused && matches!(answers.items[0], Inserted::KeyHeld(_)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(total(&stage).await, 17);
}

/// Nothing is done, and the first answer stays.
pub async fn a_key_is_for_one_request(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (answer, _) = fresh(once(&stage, keyed(1, create(&stage, "a"))).await);
    let other = Once { request: Fingerprint([9; 32]), ..keyed(1, create(&stage, "b")) };
    assert_eq!(once(&stage, other).await, Onced::Other);
    assert_eq!(recall(&stage, 1, 9).await, Some(Onced::Other));
    assert_eq!(once(&stage, keyed(1, create(&stage, "a"))).await, Onced::Before(answer));
    assert_eq!(total(&stage).await, 1);
}

/// The same key is another one for another tenant.
pub async fn keys_are_a_tenant_s_own(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let other = stage.seen_by(TenantId(7));
    fresh(once(&stage, keyed(1, create(&stage, "a"))).await);
    assert_eq!(recall(&other, 1, 0).await, None);
    fresh(once(&other, keyed(1, create(&other, "a"))).await);
    assert_eq!((total(&stage).await, total(&other).await), (1, 1));
}

/// After a day it is as new, whether it was forgotten already or not.
pub async fn a_key_lasts_a_day(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (first, _) = fresh(once(&stage, keyed(1, create(&stage, "a"))).await);
    stage.pass(IDEMPOTENCY_SECONDS - 1.0);
    let again = Onced::Before(first.clone());
    assert_eq!(once(&stage, keyed(1, create(&stage, "a"))).await, again);
    stage.pass(1.0);
    assert_eq!(recall(&stage, 1, 0).await, None);
    let (second, _) = fresh(once(&stage, keyed(1, create(&stage, "a"))).await);
    assert_ne!(first, second);
    assert_eq!(once(&stage, keyed(1, create(&stage, "a"))).await, Onced::Before(second));
    assert_eq!(total(&stage).await, 2);
}

/// The oldest first, in steps, and only what does not last any more.
pub async fn old_keys_are_forgotten_in_steps(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for key in 0..5 {
        fresh(once(&stage, keyed(key, create(&stage, "a"))).await);
        stage.pass(1.0);
    }
    let forget = async |limit| stage.store.forget(stage.now(), limit).await.expect("forget works");
    assert_eq!(forget(10).await, 0);
    // Three have lasted their day by now.
    stage.pass(IDEMPOTENCY_SECONDS - 3.0);
    assert_eq!((forget(2).await, forget(2).await, forget(2).await), (2, 1, 0));
    assert!(matches!(once(&stage, keyed(4, create(&stage, "a"))).await, Onced::Before(_)));
}

/// What was undone leaves no key: the request may be repeated when its reason is gone.
pub async fn a_refused_act_leaves_no_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let unique = unique("k", OnConflict::Reject);
    let held = stage.create(NewTask { unique: unique.clone(), ..stage.plan("held") }).await;
    let new = NewTask { unique, ..stage.plan("new") };
    let one = || keyed(1, Deed::Insert(vec![new.clone()]));
    let all = || keyed(2, Deed::InsertAll(vec![stage.plan("a"), new.clone()]));
    let answers = Answers { items: vec![Inserted::KeyHeld(held.id)], ready: Vec::new() };
    assert_eq!(once(&stage, one()).await, Onced::Undone(Done::Inserted(answers)));
    let refused = AllInserted::Refused { at: 1, why: Inserted::KeyHeld(held.id) };
    assert_eq!(once(&stage, all()).await, Onced::Undone(Done::AllInserted(refused)));
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
    stage.set(held.id, Status::Cancelled).await;
    let (answer, _) = fresh(once(&stage, all()).await);
    assert_eq!(once(&stage, all()).await, Onced::Before(answer));
    assert_eq!(stage.counts().await, [2, 0, 0, 0, 1]);
}

/// Keeps nothing of anything.
struct Nothing;

impl Render for Nothing {
    fn render(&self, _: &Done) -> Option<Vec<u8>> {
        None
    }
}

/// An answer that is not kept takes its act back, whatever it was, and leaves its neighbours alone.
pub async fn an_act_without_a_kept_answer_is_undone(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("task").await;
    let held = stage.create(NewTask { unique: unique("k", OnConflict::Return), ..stage.plan("k") });
    let held = held.await;
    let replacing = NewTask { unique: unique("k", OnConflict::Replace), ..stage.plan("new") };
    let deeds = [
        create(&stage, "a"),
        Deed::InsertAll(vec![stage.plan("b"), replacing]),
        Deed::Edit(vec![to(task.id, Status::Completed)]),
        Deed::Delete(vec![Delete { id: task.id, if_version: None }]),
        Deed::Sync(Box::new(Sync { claim: Some(stage.wish(2)), ..Sync::default() })),
    ];
    for deed in deeds {
        let undone = Once { render: Arc::new(Nothing), ..keyed(1, deed) };
        let beside = stage.plan("beside");
        let (undone, beside) = tokio::join!(once(&stage, undone), stage.offer(beside));
        assert!(matches!(undone, Onced::Undone(_)), "{undone:?}");
        let Inserted::Created(beside) = beside else { panic!("{beside:?}") };
        assert_eq!(stage.delete(beside.id).await, Deleted::Done);
        assert_eq!(
            (stage.read(task.id).await, stage.read(held.id).await),
            (task.clone(), held.clone())
        );
        assert_eq!(stage.counts().await, [2, 0, 0, 0, 0]);
    }
    assert_eq!(stage.claim(stage.wish(9)).await.len(), 2);
}

/// An edit and a deletion too.
pub async fn changes_are_done_once_for_their_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("task").await;
    let cancel = || keyed(1, Deed::Edit(vec![to(task.id, Status::Cancelled)]));
    let (cancelled, made) = fresh(once(&stage, cancel()).await);
    assert!(matches!(made, Done::Edited(_)), "{made:?}");
    stage.set(task.id, Status::Pending).await;
    assert_eq!(once(&stage, cancel()).await, Onced::Before(cancelled));
    assert_eq!(stage.read(task.id).await.state.status, Status::Pending);
    let delete = || keyed(2, Deed::Delete(vec![Delete { id: task.id, if_version: None }]));
    let (deleted, _) = fresh(once(&stage, delete()).await);
    assert_eq!(once(&stage, delete()).await, Onced::Before(deleted));
    assert_eq!(stage.find(task.id).await, None);
}

/// A claim that is repeated hands out nothing more.
pub async fn work_is_handed_out_once_for_its_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let claim = |limit| Sync { claim: Some(stage.wish(limit)), ..Sync::default() };
    let empty = once(&stage, keyed(1, Deed::Sync(Box::new(claim(2))))).await;
    assert_eq!(empty, Onced::Undone(Done::Synced(Box::default())));
    for title in ["a", "b", "c"] {
        stage.task(title).await;
    }
    let (answer, made) = fresh(once(&stage, keyed(1, Deed::Sync(Box::new(claim(2))))).await);
    let Done::Synced(synced) = made else { panic!("{made:?}") };
    let [first, _] = synced.claimed.as_slice() else { panic!("{synced:?}") };
    let Claimed { task, token } = first;
    let again = once(&stage, keyed(1, Deed::Sync(Box::new(claim(2))))).await;
    assert_eq!(again, Onced::Before(answer));
    assert_eq!(stage.counts().await, [1, 2, 0, 0, 0]);
    let finish = vec![FinishTask { id: task.id, token: *token, finish: done() }];
    let report = || Sync { finish: finish.clone(), ..claim(1) };
    let (answer, made) = fresh(once(&stage, keyed(2, Deed::Sync(Box::new(report())))).await);
    let Done::Synced(synced) = made else { panic!("{made:?}") };
    assert!(matches!(synced.finished[..], [Finished::Done(_)]), "{synced:?}");
    assert_eq!(synced.claimed.len(), 1);
    let again = once(&stage, keyed(2, Deed::Sync(Box::new(report())))).await;
    assert_eq!(again, Onced::Before(answer));
    assert_eq!(stage.counts().await, [0, 2, 1, 0, 0]);
}

/// Who completes a parent for a key frees its children, and says so.
pub async fn what_becomes_ready_is_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let child = NewTask { depends_on: vec![parent.id], ..stage.plan("child") };
    stage.create(child).await;
    let (_, made) =
        fresh(once(&stage, keyed(1, Deed::Edit(vec![to(parent.id, Status::Completed)]))).await);
    let Done::Edited(Answers { ready, .. }) = made else { panic!("{made:?}") };
    assert_eq!(ready.len(), 1);
    assert_eq!(stage.take().await.task.title, "child");
}

/// A key outlives the program.
pub async fn keys_last_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let batch = |stage: &Stage| keyed(1, Deed::InsertAll(vec![stage.plan("a"), stage.plan("b")]));
    let (answer, _) = fresh(once(&stage, batch(&stage)).await);
    let stage = stage.reopen(h).await;
    assert_eq!(once(&stage, batch(&stage)).await, Onced::Before(answer));
    assert_eq!(total(&stage).await, 2);
}

/// What took commits of its own leaves its answer for its key all the same.
pub async fn an_answer_alone_may_be_kept(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let once = || stage.store.once(stage.tenant, keyed(1, Deed::Note), stage.now());
    let first = once().await.expect("once works");
    assert_eq!(first, Onced::Done { answer: b"Noted".to_vec(), done: Done::Noted });
    assert_eq!(once().await.expect("once works"), Onced::Before(b"Noted".to_vec()));
}

/// A refused one gives no neighbour the answer that its own key is at work: nobody else uses it.
pub async fn a_refused_act_hinders_no_other_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(NewTask { unique: unique("k", OnConflict::Reject), ..stage.plan("held") }).await;
    for round in 0..6_u8 {
        let calls = (0..40_u8).map(|n| {
            let stage = stage.clone();
            let unique = (n % 2 == 0).then(|| unique("k", OnConflict::Reject)).flatten();
            let new = NewTask { unique, ..stage.plan("t") };
            let act = keyed(round * 40 + n, Deed::Insert(vec![new]));
            tokio::spawn(async move {
                stage.counts().await;
                (n, once(&stage, act).await)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            match call.await.expect("no panic") {
                (n, Onced::Done { .. }) => assert_eq!(n % 2, 1),
                (n, Onced::Undone(_)) => assert_eq!(n % 2, 0),
                (n, other) => panic!("round {round}, call {n}: {other:?}"),
            }
        }
    }
    assert_eq!(total(&stage).await, 121);
}
