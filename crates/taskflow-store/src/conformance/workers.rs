//! Cases of workers: who called, who drains, what they hold and what is taken from them.

use taskflow_core::limits::HOLDS_SHOWN;
use taskflow_core::workers::Call;
use taskflow_core::{Instance, Outcome, Status, TaskId, TenantId, Timestamp};

use super::harness::Harness;
use super::stage::{Stage, done, kind, queue, worker};
use crate::{
    Claim, Drain, Extended, Finished, Held, Holding, Kinds, Ready, Sighting, Takes, Which, Worker,
};

/// A name with every character that sorts differently elsewhere.
const ODD: &str = "W-1.b_c:d@e/f";

fn instance(name: &str) -> Instance {
    Instance::parse(name).expect("a case names its instances well")
}

/// A call now that says nothing but a name and perhaps a process.
fn call(stage: &Stage, name: &str, process: Option<&str>) -> Sighting {
    let call = Call { instance: process.map(instance), version: None };
    Sighting {
        worker: worker(name),
        first: stage.now(),
        last: stage.now(),
        call: Some(call),
        takes: None,
        node: None,
    }
}

async fn see(stage: &Stage, batch: Vec<Sighting>) {
    stage.store.see(stage.tenant, batch).await.expect("see works");
}

async fn named(stage: &Stage, name: &str) -> Option<Worker> {
    let found = stage.store.workers(stage.tenant, Which::Named(worker(name))).await;
    let found = found.expect("workers works");
    assert!(found.len() <= 1);
    found.into_iter().next()
}

async fn known(stage: &Stage, name: &str) -> Worker {
    named(stage, name).await.expect("the worker is known")
}

async fn holds(stage: &Stage, name: &str) -> Holding {
    let held = stage.store.holds(stage.tenant, vec![worker(name)]).await.expect("holds works");
    held.into_iter().next().expect("one answer per worker")
}

async fn tell(stage: &Stage, name: &str, drain: Drain) -> Option<Worker> {
    let told = stage.store.drain(stage.tenant, vec![(worker(name), drain)]).await;
    told.expect("drain works").into_iter().next().expect("one answer per worker")
}

async fn drained(stage: &Stage, since: Timestamp) -> Vec<(TenantId, String)> {
    let drained = stage.store.drained(since).await.expect("drained works");
    let mut names: Vec<_> =
        drained.iter().map(|(tenant, w)| (*tenant, w.name.as_str().to_owned())).collect();
    names.sort();
    names
}

async fn release(stage: &Stage, name: &str, limit: u32) -> Vec<TaskId> {
    let released = stage.store.release(stage.tenant, worker(name), limit, stage.now()).await;
    released.expect("release works").items
}

fn claim_by(stage: &Stage, name: &str, limit: usize) -> Claim {
    Claim { worker: worker(name), ..stage.wish(limit) }
}

/// Every field, also after the store was opened again.
pub async fn calls_of_workers_are_noted(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(named(&stage, ODD).await, None);
    let full = Sighting {
        worker: worker(ODD),
        first: stage.now(),
        last: stage.after(1.5),
        call: Some(Call { instance: Some(instance("i-1")), version: Some("p/1 \"x\"".into()) }),
        takes: Some(Takes {
            queues: Some(vec![queue("mail"), queue("a:b")]),
            kinds: Kinds::Named(vec![kind("send"), kind("log")]),
        }),
        node: Some("node-1".into()),
    };
    let every = Some(Takes { queues: None, kinds: Kinds::AllButBuiltIn });
    let plain = Sighting { takes: every.clone(), ..call(&stage, "w2", None) };
    see(&stage, vec![full.clone(), plain]).await;
    let stage = stage.reopen(h).await;
    let worker = known(&stage, ODD).await;
    assert_eq!(worker, Worker::seen(None, &full));
    assert_eq!((worker.first_seen, worker.last_seen), (stage.now(), stage.after(1.5)));
    assert!(!worker.drains() && worker.drained.is_empty());
    let plain = known(&stage, "w2").await;
    assert_eq!((plain.takes, plain.call, plain.node), (every, Call::default(), None));
    see(&stage, Vec::new()).await;
}

/// Two nodes write down what they saw in any order.
pub async fn a_later_call_wins_and_an_earlier_one_adds_what_was_missing(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let takes = |name| Some(Takes { queues: Some(vec![queue(name)]), kinds: Kinds::AllButBuiltIn });
    let at = |from: f64, to: f64, node: &str| Sighting {
        first: stage.after(from),
        last: stage.after(to),
        node: Some(node.into()),
        ..call(&stage, "w1", Some("i"))
    };
    see(&stage, vec![at(5.0, 9.0, "b")]).await;
    see(&stage, vec![Sighting { takes: takes("early"), ..at(1.0, 2.0, "a") }]).await;
    let seen = known(&stage, "w1").await;
    assert_eq!((seen.first_seen, seen.last_seen), (stage.after(1.0), stage.after(9.0)));
    assert_eq!((seen.takes, seen.node.as_deref()), (takes("early"), Some("b")));
    see(&stage, vec![Sighting { takes: takes("late"), ..at(11.0, 12.0, "c") }]).await;
    let beat = Sighting { call: None, ..at(13.0, 13.0, "d") };
    see(&stage, vec![beat.clone()]).await;
    see(&stage, vec![beat]).await;
    let seen = known(&stage, "w1").await;
    assert_eq!((seen.first_seen, seen.last_seen), (stage.after(1.0), stage.after(13.0)));
    assert_eq!((seen.takes, seen.node.as_deref()), (takes("late"), Some("d")));
    assert_eq!(seen.call.instance, Some(instance("i")), "a heartbeat does not say which process");
}

/// "Since when" is about the process.
pub async fn another_process_of_the_same_name_begins_anew(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    see(&stage, vec![call(&stage, "w1", Some("one"))]).await;
    stage.pass(60.0);
    see(&stage, vec![call(&stage, "w1", Some("two"))]).await;
    let seen = known(&stage, "w1").await;
    assert_eq!((seen.first_seen, seen.last_seen), (stage.now(), stage.now()));
    assert_eq!(seen.call.instance, Some(instance("two")));
}

/// Those with the same instant by name, byte by byte.
pub async fn workers_are_listed_by_their_last_call_in_pages(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    see(&stage, vec![call(&stage, "old", None)]).await;
    stage.pass(1.0);
    let names = ["b", "B", "a/1", "a-1", "a.1"];
    see(&stage, names.iter().map(|name| call(&stage, name, None)).collect()).await;
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let which = Which::Newest(after, 2);
        let page = stage.store.workers(stage.tenant, which).await.expect("workers works");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some((last.last_seen, last.name.clone()));
        listed.extend(page.into_iter().map(|worker| worker.name.as_str().to_owned()));
    }
    assert_eq!(listed, ["B", "a-1", "a.1", "a/1", "b", "old"]);
}

/// Neither what ended nor what a person works on; the first hundred by id.
pub async fn what_a_worker_holds_is_read_from_its_leases(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let many = HOLDS_SHOWN + 3;
    stage.insert((0..many + 3).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let first = stage.claim(claim_by(&stage, "w1", many)).await;
    let other = stage.claim(claim_by(&stage, "w2", 1)).await;
    stage.set(TaskId::new(many as i64 + 2).expect("an id"), Status::InProgress).await;
    stage.end(&first[0], done()).await;
    let held = holds(&stage, "w1").await;
    assert_eq!((held.count, held.tasks.len()), (many as u64 - 1, HOLDS_SHOWN));
    let shown = first[1..=HOLDS_SHOWN].iter().map(|claimed| claimed.task.id);
    assert!(held.tasks.iter().map(|held| held.id).eq(shown));
    let id = other[0].task.id;
    let tasks = vec![Held { id, attempt: 1, until: stage.after(30.0) }];
    let both = vec![worker("nobody"), worker("w2")];
    let both = stage.store.holds(stage.tenant, both).await.expect("holds works");
    assert_eq!(both, [Holding::default(), Holding { count: 1, tasks }]);
}

/// And with nobody where the lease is not held.
pub async fn a_heartbeat_is_answered_with_its_holder(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert(vec![stage.plan("a"), stage.plan("b")]).await;
    let held = stage.claim(claim_by(&stage, "w1", 1)).await;
    let extend =
        |token| crate::Extend { id: held[0].task.id, token, progress: None, checkpoint: None };
    let extend = vec![extend(stage.token()), extend(held[0].token)];
    let synced = stage.sync(crate::Sync { extend, ..crate::Sync::default() }).await;
    assert_eq!(synced.extended[0], Extended::LeaseLost);
    assert_eq!(synced.holders, [None, Some("w1".to_owned())]);
}

/// The next process of the name works; a resume ends it for all.
pub async fn a_drain_is_bound_to_the_process_that_called_last(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(tell(&stage, "w1", Drain::Last).await, None, "nobody knows it");
    see(&stage, vec![call(&stage, "w1", Some("one")), call(&stage, "w2", None)]).await;
    for _ in 0..2 {
        assert!(tell(&stage, "w1", Drain::Last).await.expect("it is known").drains());
        assert!(tell(&stage, "w2", Drain::Last).await.expect("it is known").drains());
    }
    let stage = stage.reopen(h).await;
    let ours = |name: &str| (stage.tenant, name.to_owned());
    assert_eq!(drained(&stage, stage.now()).await, [ours("w1"), ours("w2")]);
    stage.pass(1.0);
    see(&stage, vec![call(&stage, "w1", Some("two")), call(&stage, "w2", None)]).await;
    let one = known(&stage, "w1").await;
    assert!(!one.drains() && one.drained.covers(Some(&instance("one"))));
    assert!(known(&stage, "w2").await.drains(), "without an instance the name is meant");
    for name in ["w1", "w2"] {
        let resumed = tell(&stage, name, Drain::Resume).await.expect("it is known");
        assert!(resumed.drained.is_empty());
    }
    assert_eq!(drained(&stage, stage.now()).await, []);
}

/// As one that stops does for itself.
pub async fn a_drain_may_name_the_process(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    see(&stage, vec![call(&stage, "w1", Some("two"))]).await;
    let told = tell(&stage, "w1", Drain::Only(instance("one"))).await.expect("it is known");
    assert!(!told.drains() && told.drained.covers(Some(&instance("one"))));
    let told = tell(&stage, "w1", Drain::Last).await.expect("it is known");
    assert!(told.drains() && told.drained.covers(Some(&instance("one"))));
    assert_eq!(known(&stage, "w1").await, told);
}

/// They are many where machines come and go; a name that stays drained is another matter.
pub async fn drained_workers_that_are_long_gone_are_not_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    see(&stage, vec![call(&stage, "w1", Some("one")), call(&stage, "w2", None)]).await;
    tell(&stage, "w1", Drain::Last).await;
    tell(&stage, "w2", Drain::Last).await;
    assert_eq!(drained(&stage, stage.now()).await.len(), 2);
    assert_eq!(drained(&stage, stage.after(1.0)).await, [(stage.tenant, "w2".to_owned())]);
}

/// Pending again at once, uncounted, in the history; who held them is fenced.
pub async fn a_release_takes_all_that_a_worker_holds_step_by_step(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..5).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    let held = stage.claim(claim_by(&stage, "w1", 4)).await;
    stage.claim(claim_by(&stage, "w2", 1)).await;
    stage.pass(1.0);
    let released = stage.store.release(stage.tenant, worker("w1"), 3, stage.now()).await;
    let released = released.expect("release works");
    assert!(released.items.iter().eq(held[..3].iter().map(|claimed| &claimed.task.id)));
    let (queue, kind) = (queue("default"), kind(super::stage::KIND));
    assert_eq!(released.ready, vec![Ready { queue, kind, run_at: stage.now() }; 3]);
    assert_eq!(release(&stage, "w1", 3).await, [held[3].task.id]);
    assert_eq!(release(&stage, "w1", 3).await, []);
    assert_eq!(holds(&stage, "w2").await.count, 1, "the others keep theirs");
    assert_eq!(stage.counts().await, [4, 1, 0, 0, 0]);
    let task = stage.read(held[0].task.id).await;
    assert_eq!((task.state.status, task.state.attempts_used()), (Status::Pending, 0));
    let history = stage.attempts(task.id).await;
    assert_eq!((history[0].outcome, history[0].worker.as_deref()), (Outcome::Released, Some("w1")));
    assert_eq!(stage.beat(task.id, held[0].token).await, Extended::LeaseLost);
    assert_eq!(stage.finish(task.id, held[0].token, done()).await, Finished::LeaseLost);
    assert_eq!(stage.claim(claim_by(&stage, "w3", 9)).await.len(), 4);
}

/// A worker that goes on would be robbed for ever.
pub async fn a_release_leaves_what_was_claimed_since(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert(vec![stage.plan("a"), stage.plan("b")]).await;
    stage.claim(claim_by(&stage, "w1", 1)).await;
    let asked = stage.now();
    stage.pass(1.0);
    let later = stage.claim(claim_by(&stage, "w1", 1)).await;
    let released = stage.store.release(stage.tenant, worker("w1"), 10, asked).await;
    assert_eq!(released.expect("release works").items, [TaskId::new(1).expect("an id")]);
    assert_eq!(stage.read(later[0].task.id).await, later[0].task);
}

/// Bounded, of all tenants, with what was said to them.
pub async fn workers_that_are_gone_are_forgotten_unless_they_hold_something(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let theirs = stage.seen_by(TenantId(2));
    stage.task("held").await;
    let names = ["a", "b", "holds"];
    see(&stage, names.iter().map(|name| call(&stage, name, None)).collect()).await;
    see(&theirs, vec![call(&stage, "c", None)]).await;
    let held = stage.claim(claim_by(&stage, "holds", 1)).await;
    stage.pass(10.0);
    see(&stage, vec![call(&stage, "here", None)]).await;
    let forget =
        async |limit| stage.store.forget_workers(stage.now(), limit).await.expect("forget works");
    assert_eq!((forget(2).await, forget(2).await, forget(2).await), (2, 1, 0));
    assert_eq!(named(&theirs, "c").await, None);
    assert!(named(&stage, "holds").await.is_some() && named(&stage, "here").await.is_some());
    assert!(named(&stage, "a").await.is_none() && named(&stage, "b").await.is_none());
    stage.end(&held[0], done()).await;
    assert_eq!(forget(2).await, 1);
}

/// By no word.
pub async fn another_tenant_s_workers_are_out_of_reach(h: &dyn Harness) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    ours.task("ours").await;
    see(&ours, vec![call(&ours, "w1", Some("one"))]).await;
    let held = ours.claim(claim_by(&ours, "w1", 1)).await;
    assert_eq!(named(&theirs, "w1").await, None);
    let listed = theirs.store.workers(theirs.tenant, Which::Newest(None, 10)).await;
    assert_eq!(listed.expect("workers works"), []);
    assert_eq!(tell(&theirs, "w1", Drain::Last).await, None);
    assert_eq!(holds(&theirs, "w1").await, Holding::default());
    assert_eq!(release(&theirs, "w1", 10).await, []);
    see(&theirs, vec![call(&ours, "w1", Some("two"))]).await;
    tell(&theirs, "w1", Drain::Last).await;
    assert!(!known(&ours, "w1").await.drains());
    assert_eq!(ours.read(held[0].task.id).await, held[0].task);
}
