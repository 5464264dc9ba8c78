//! Cases of new tasks that are stored together or not at all.

use taskflow_core::task::OnConflict;
use taskflow_core::{NewTask, Status};

use super::harness::Harness;
use super::stage::{Stage, id, unique};
use crate::{AllInserted, Inserted};

async fn offer(stage: &Stage, batch: Vec<NewTask>) -> AllInserted {
    stage.store.insert_all(stage.tenant, batch, stage.now()).await.expect("answers")
}

fn keyed(stage: &Stage, key: &str, on_conflict: OnConflict) -> NewTask {
    NewTask { unique: unique(key, on_conflict), ..stage.plan(key) }
}

/// Also when they need keys and parents.
pub async fn all_of_a_batch_are_stored_in_order(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let plain = (0..3).map(|n| stage.plan(&n.to_string())).collect::<Vec<_>>();
    let child = NewTask { depends_on: vec![parent.id], ..stage.plan("child") };
    let bound = vec![keyed(&stage, "a", OnConflict::Reject), child, stage.plan("last")];
    let mut last = parent.id;
    for batch in [plain, bound] {
        let titles: Vec<String> = batch.iter().map(|new| new.title.clone()).collect();
        let AllInserted::Done(answers) = offer(&stage, batch).await else { panic!("all are fine") };
        for (title, item) in titles.iter().zip(&answers.items) {
            let Inserted::Created(task) = item else { panic!("{item:?}") };
            assert_eq!((&task.title, task.id > last), (title, true));
            assert_eq!(stage.read(task.id).await, **task);
            last = task.id;
        }
        let ready = answers.items.len() - usize::from(titles.contains(&"child".into()));
        assert_eq!(answers.ready.len(), ready);
    }
    assert_eq!(stage.counts().await, [7, 0, 0, 0, 0]);
}

/// Nothing is stored, nothing replaced, nothing counted; whoever is refused first is named.
pub async fn one_that_is_refused_takes_the_others_with_it(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let held = stage.create(keyed(&stage, "held", OnConflict::Reject)).await;
    let replaced = stage.create(keyed(&stage, "replaced", OnConflict::Return)).await;
    let lost = stage.task("lost").await;
    stage.set(lost.id, Status::Failed).await;
    let before = stage.counts().await;
    let child = |parent| NewTask { depends_on: vec![parent], ..stage.plan("child") };
    for (refused, why) in [
        (keyed(&stage, "held", OnConflict::Reject), Inserted::KeyHeld(held.id)),
        (child(id(9999)), Inserted::NoParent(id(9999))),
        (child(lost.id), Inserted::LostParent(lost.id)),
    ] {
        let batch = vec![
            stage.plan("a"),
            keyed(&stage, "replaced", OnConflict::Replace),
            keyed(&stage, "free", OnConflict::Return),
            refused,
            child(id(8888)),
        ];
        assert_eq!(offer(&stage, batch).await, AllInserted::Refused { at: 3, why });
        assert_eq!(stage.counts().await, before);
        assert_eq!(stage.read(replaced.id).await, replaced);
    }
    // The key that a refused batch wanted is free, and what comes next is counted as ever.
    stage.create(keyed(&stage, "free", OnConflict::Reject)).await;
    assert_eq!(stage.counts().await, [before[0] + 1, before[1], before[2], before[3], before[4]]);
}

/// What undoes its own does not undo what came beside it.
pub async fn a_refused_batch_leaves_its_neighbours_alone(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "held", OnConflict::Reject)).await;
    let refused = || vec![stage.plan("a"), keyed(&stage, "held", OnConflict::Reject)];
    let (one, alone, two, kept, three) = tokio::join!(
        offer(&stage, refused()),
        stage.offer(keyed(&stage, "mine", OnConflict::Reject)),
        offer(&stage, refused()),
        offer(&stage, vec![keyed(&stage, "ours", OnConflict::Reject), stage.plan("b")]),
        offer(&stage, refused()),
    );
    for answer in [one, two, three] {
        assert!(matches!(answer, AllInserted::Refused { at: 1, .. }), "{answer:?}");
    }
    assert!(matches!(alone, Inserted::Created(_)), "{alone:?}");
    assert!(matches!(kept, AllInserted::Done(_)), "{kept:?}");
    assert_eq!(stage.counts().await, [4, 0, 0, 0, 0]);
}

/// Whether they may be refused one by one or come together.
pub async fn of_a_thousand_equal_keys_one_is_taken(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let equal = |key: &str, on_conflict| vec![keyed(&stage, key, on_conflict); 1000];
    let one = |mut items: Vec<Inserted>| {
        let Inserted::Created(first) = items.remove(0) else { panic!("the first is taken") };
        (first, items)
    };
    let (first, others) = one(stage.insert(equal("a", OnConflict::Return)).await.items);
    assert_eq!(others, vec![Inserted::Existing(first); 999]);
    let (first, others) = one(stage.insert(equal("b", OnConflict::Reject)).await.items);
    assert_eq!(others, vec![Inserted::KeyHeld(first.id); 999]);
    let all = offer(&stage, equal("c", OnConflict::Return)).await;
    let AllInserted::Done(answers) = all else { panic!("{all:?}") };
    let (first, others) = one(answers.items);
    assert_eq!(others, vec![Inserted::Existing(first); 999]);
    assert_eq!(stage.counts().await, [3, 0, 0, 0, 0]);
}
