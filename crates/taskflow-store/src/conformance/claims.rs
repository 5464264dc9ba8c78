//! Cases of claims: what is handed out, in which order, to whom and how long.

use taskflow_core::limits::{LEASE_SECONDS_DEFAULT, LEASE_SECONDS_MAX};
use taskflow_core::{NewTask, Priority, Status, Terms};

use super::harness::Harness;
use super::stage::{KIND, Stage, id, kind, queue, titles};
use crate::{Claim, Extended, Kinds};

/// By priority, then `run_at`, then id, like the claims; what cannot be claimed stands nowhere.
pub async fn a_place_in_line_counts_those_that_are_claimed_before(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut ids = Vec::new();
    for (priority, delay) in [
        (Priority::Low, 0.0),
        (Priority::Medium, 0.0),
        (Priority::Medium, 0.0),
        (Priority::Medium, 0.0),
        (Priority::High, 0.0),
        (Priority::Urgent, 60.0),
    ] {
        let run_at = stage.after(delay);
        ids.push(stage.create(NewTask { priority, run_at, ..stage.plan("t") }).await.id);
    }
    let parent = ids[0];
    let blocked = NewTask { depends_on: vec![parent], priority: Priority::High, ..stage.plan("b") };
    let blocked = stage.create(blocked).await.id;
    stage.create(NewTask { queue: queue("other"), ..stage.plan("other queue") }).await;
    stage.create(NewTask { kind: kind("other"), ..stage.plan("other kind") }).await;
    let ahead = async |id, max| {
        stage.store.ahead(stage.tenant, id, stage.now(), max).await.expect("counts")
    };
    for (at, expected) in [(0, 4), (1, 1), (2, 2), (3, 3), (4, 0), (5, 0)] {
        assert_eq!(ahead(ids[at], 100).await, Some(expected), "{at}");
    }
    assert_eq!(ahead(ids[0], 2).await, Some(2));
    assert_eq!(ahead(blocked, 100).await, Some(1));
    assert_eq!(ahead(id(9999), 100).await, None);
    // What is claimed stands in line no more.
    stage.take().await;
    assert_eq!(ahead(ids[1], 100).await, Some(0));
    let other = stage.seen_by(taskflow_core::TenantId(2));
    assert_eq!(
        other.store.ahead(other.tenant, ids[0], stage.now(), 9).await.expect("counts"),
        None
    );
}

/// The task is in progress, the attempt is counted, the holder and the end of the lease are known.
pub async fn a_claim_hands_out_a_lease(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("one").await;
    stage.pass(2.5);
    let wish = stage.wish(1);
    let claimed = stage.claim(wish.clone()).await;
    let [held] = &claimed[..] else { panic!("not one task: {claimed:?}") };
    assert_eq!((held.task.id, held.token), (task.id, wish.tokens[0]));
    let state = &held.task.state;
    assert_eq!((state.status, state.attempt, state.version), (Status::InProgress, 1, 2));
    assert_eq!((state.started_at, state.updated_at), (Some(stage.now()), stage.now()));
    assert_eq!(state.worker.as_deref(), Some("w1"));
    let lease = state.lease.as_ref().expect("a lease");
    assert_eq!(lease.token, held.token.hash());
    assert_eq!(lease.until, stage.after(f64::from(LEASE_SECONDS_DEFAULT)));
    assert_eq!(stage.read(task.id).await, held.task);
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
}

/// Over all queues that match; the order of births decides only at the end.
pub async fn a_claim_takes_priority_then_run_at_then_id(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let plan = |title: &str, queue_name: &str, priority, delay| NewTask {
        queue: queue(queue_name),
        priority,
        run_at: stage.after(delay),
        ..stage.plan(title)
    };
    let batch = vec![
        plan("low", "a", Priority::Low, 0.0),
        plan("medium 3", "b", Priority::Medium, 2.0),
        plan("medium 1", "b", Priority::Medium, 1.0),
        plan("medium 2", "a", Priority::Medium, 1.0),
        plan("urgent", "c", Priority::Urgent, 3.0),
        plan("high 2", "a", Priority::High, 2.000_001),
        plan("high 1", "c", Priority::High, 2.0),
        plan("too early", "a", Priority::Urgent, 60.0),
    ];
    stage.insert(batch).await;
    stage.pass(5.0);
    let first = stage.claim(stage.wish(3)).await;
    assert_eq!(titles(&first), ["urgent", "high 1", "high 2"]);
    let rest = stage.claim(stage.wish(10)).await;
    assert_eq!(titles(&rest), ["medium 1", "medium 2", "medium 3", "low"]);
}

/// One token per task, in the order of the claim.
pub async fn a_claim_gives_at_most_as_many_as_it_has_tokens(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..5).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let wish = stage.wish(3);
    let claimed = stage.claim(wish.clone()).await;
    assert_eq!(titles(&claimed), ["t0", "t1", "t2"]);
    assert!(claimed.iter().map(|c| c.token).eq(wish.tokens));
    let claimed = stage.claim(stage.wish(3)).await;
    assert_eq!(titles(&claimed), ["t3", "t4"]);
    assert_eq!(stage.claim(stage.wish(3)).await, []);
}

/// It is no error either.
pub async fn a_claim_without_tokens_takes_nothing(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("stays").await;
    assert_eq!(stage.claim(stage.wish(0)).await, []);
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
}

/// Names are compared as they are, letter case included.
pub async fn a_claim_looks_at_its_queues_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for name in ["a", "b", "B", "c"] {
        stage.create(NewTask { queue: queue(name), ..stage.plan(name) }).await;
    }
    let from = async |names: &[&str]| {
        let queues = Some(names.iter().map(|name| queue(name)).collect());
        let claimed = stage.claim(Claim { queues, ..stage.wish(10) }).await;
        claimed.into_iter().map(|c| c.task.title).collect::<Vec<_>>()
    };
    assert_eq!(from(&[]).await, [""; 0]);
    assert_eq!(from(&["x"]).await, [""; 0]);
    assert_eq!(from(&["x", "B", "B"]).await, ["B"]);
    assert_eq!(from(&["c", "a"]).await, ["a", "c"]);
    assert_eq!(titles(&stage.claim(stage.wish(10)).await), ["b"]);
}

/// Without names every kind but the built-in ones; with names these and no others.
pub async fn a_claim_takes_its_kinds_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for name in ["log", "sleep", "http", "command", "mail", "Mail", "thumb"] {
        stage.create(NewTask { kind: kind(name), ..stage.plan(name) }).await;
    }
    let of = async |kinds| {
        let claimed = stage.claim(Claim { kinds, ..stage.wish(10) }).await;
        claimed.into_iter().map(|c| c.task.title).collect::<Vec<_>>()
    };
    let named = |names: &[&str]| Kinds::Named(names.iter().map(|name| kind(name)).collect());
    assert_eq!(of(named(&[])).await, [""; 0]);
    assert_eq!(of(named(&["mail", "http", "mail"])).await, ["http", "mail"]);
    assert_eq!(of(Kinds::AllButBuiltIn).await, ["Mail", "thumb"]);
    assert_eq!(of(named(&["log", "sleep", "command"])).await, ["log", "sleep", "command"]);
}

/// Not even to a worker that asks for it by name.
pub async fn a_manual_task_is_never_handed_out(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(NewTask { kind: kind("manual"), ..stage.plan("by hand") }).await;
    let kinds = Kinds::Named(vec![kind("manual"), kind(KIND)]);
    assert_eq!(stage.claim(Claim { kinds, ..stage.wish(1) }).await, []);
    assert_eq!(stage.claim(stage.wish(1)).await, []);
}

/// To the microsecond.
pub async fn a_task_is_handed_out_from_its_run_at_on(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let run_at = stage.after(10.0);
    stage.create(NewTask { run_at, ..stage.plan("later") }).await;
    stage.pass(9.999_999);
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    stage.pass(0.000_001);
    assert_eq!(titles(&stage.claim(stage.wish(1)).await), ["later"]);
}

/// However many ask at the same time.
pub async fn a_task_is_never_handed_out_twice(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..50).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let claims = (0..20).map(|_| {
        let stage = stage.clone();
        tokio::spawn(async move { stage.claim(stage.wish(4)).await })
    });
    let mut ids = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        let claimed = claim.await.expect("a claim does not panic");
        assert!(claimed.len() <= 4);
        ids.extend(claimed.into_iter().map(|c| c.task.id.get()));
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=50), "handed out: {ids:?}");
}

/// The worker's wish comes before the task's own; the lease keeps it for its heartbeats.
pub async fn a_claim_may_set_the_length_of_its_leases(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let terms = Terms { lease_seconds: 7, ..Terms::default() };
    for title in ["own", "wished", "longest"] {
        stage.create(NewTask { terms: terms.clone(), ..stage.plan(title) }).await;
    }
    for (lease_seconds, seconds) in [(None, 7), (Some(3), 3), (Some(LEASE_SECONDS_MAX), 86_400)] {
        let claimed = stage.claim(Claim { lease_seconds, ..stage.wish(1) }).await;
        let lease = claimed[0].task.state.lease.as_ref().expect("a lease");
        assert_eq!((lease.seconds, lease.until), (seconds, stage.after(f64::from(seconds))));
        let beat = stage.beat(claimed[0].task.id, claimed[0].token).await;
        assert_eq!(beat, Extended::Held(stage.after(f64::from(seconds))));
    }
}
