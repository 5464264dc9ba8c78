//! Workers as operators see them: who is known, who drains on which node, what is taken from whom.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::WORKERS_SEEN_MAX;
use taskflow_core::workers::Call;
use taskflow_core::{Instance, Status, TaskId, TenantId, WorkerName};
use taskflow_store::{Claimed, Drain, Extend, Kinds, Sighting, Takes, Worker};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{LONG, NEVER, OnDuty, Stage, id, kind, one, until, wish};
use crate::clock::SystemIds;
use crate::duties::Duty;
use crate::duties::workers::Roster;
use crate::roll::Roll;
use crate::work::{Beat, Want};
use crate::workers::Present;
use crate::{Actor, Caller, ServiceError, Services};

fn name(name: &str) -> WorkerName {
    WorkerName::parse(name).unwrap()
}

fn process(name: &str, instance: &str) -> Caller {
    let instance = Instance::parse(instance).unwrap();
    let call = Call { instance: Some(instance), version: Some("test/1".into()) };
    Caller { worker: self::name(name), call }
}

fn some(limit: u32) -> Want {
    Want { limit, ..one(&["a"], Duration::ZERO) }
}

async fn claim(services: &Services, caller: &Caller, want: Want) -> Vec<Claimed> {
    services.work.claim(Actor::DEFAULT, caller, want).await.unwrap()
}

async fn get(services: &Services, of: &str) -> Present {
    services.workers.get(Actor::DEFAULT, &name(of)).await.unwrap()
}

async fn drain(services: &Services, of: &str) -> Present {
    services.workers.drain(Actor::DEFAULT, &name(of), None).await.unwrap()
}

/// A second node on the same database, with its duties.
fn other_node(stage: &Stage) -> (Services, OnDuty) {
    let store = Arc::clone(&stage.store) as _;
    let node = Services::new(store, Arc::clone(&stage.clock), Arc::new(SystemIds), NEVER);
    let stop = CancellationToken::new();
    let running = crate::duties::run(node.duties(), &stage.clock, &stop);
    (node, OnDuty { stop, running })
}

/// A claim that waits for long, in a task of its own; when it was answered.
fn parked(services: &Services, caller: &Caller) -> JoinHandle<(usize, Instant)> {
    let (services, caller) = (services.clone(), caller.clone());
    tokio::spawn(async move {
        let claimed = claim(&services, &caller, one(&["a"], LONG)).await;
        (claimed.len(), Instant::now())
    })
}

#[tokio::test(start_paused = true)]
async fn who_claims_is_known_at_once_with_what_it_takes_and_holds() {
    let stage = Stage::simulated(NEVER);
    stage.services.workers.call_node("node-1".into());
    let nobody = stage.services.workers.get(Actor::DEFAULT, &name("w1")).await;
    assert!(matches!(nobody, Err(ServiceError::NoWorker(_))));
    stage.create("a").await;
    let since = stage.clock.now();
    let held = claim(&stage.services, &process("w1", "one"), some(5)).await;
    let Present { worker, holding } = get(&stage.services, "w1").await;
    assert_eq!((worker.first_seen, worker.last_seen), (since, since));
    assert_eq!(worker.call, process("w1", "one").call);
    let kinds = Kinds::Named(vec![kind("a")]);
    assert_eq!(worker.takes, Some(Takes { queues: None, kinds }));
    assert_eq!((worker.node.as_deref(), worker.drains()), (Some("node-1"), false));
    assert_eq!((holding.count, holding.tasks[0].id), (1, held[0].task.id));
    sleep(Duration::from_secs(5)).await;
    claim(&stage.services, &process("w2", "one"), some(5)).await;
    let all = stage.services.workers.list(Actor::DEFAULT, None, 10).await.unwrap();
    assert!(all.iter().map(|p| p.worker.name.as_str()).eq(["w2", "w1"]), "newest first");
    let after = Some((all[0].worker.last_seen, all[0].worker.name.clone()));
    let rest = stage.services.workers.list(Actor::DEFAULT, after, 10).await.unwrap();
    assert_eq!(rest, all[1..]);
}

#[tokio::test(start_paused = true)]
async fn however_often_a_worker_calls_it_is_written_down_once_in_two_seconds() {
    let stage = Stage::simulated(NEVER);
    let on_duty = stage.on_duty();
    for _ in 0..1000 {
        claim(&stage.services, &process("w1", "one"), some(1)).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert!((4..=6).contains(&stage.store.sights()), "{}", stage.store.sights());
    sleep(Duration::from_secs(60)).await;
    assert!(stage.store.sights() <= 6, "an idle system writes nothing");
    on_duty.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_a_call_of_the_task_s_holder() {
    let stage = Stage::simulated(NEVER);
    stage.create("a").await;
    let held = claim(&stage.services, &process("w1", "one"), some(1)).await;
    let extend =
        || Extend { id: held[0].task.id, token: held[0].token, progress: None, checkpoint: None };
    sleep(Duration::from_secs(20)).await;
    let beat = stage
        .services
        .onces
        .plain(Actor::DEFAULT, stage.services.work.heartbeat(Actor::DEFAULT, extend()))
        .await
        .unwrap();
    let at = stage.clock.now();
    assert_eq!(beat, Some(Beat { until: at.plus_seconds(30.0), drain: false }));
    let worker = get(&stage.services, "w1").await.worker;
    assert_eq!((worker.last_seen, worker.call), (at, process("w1", "one").call));
    drain(&stage.services, "w1").await;
    let beat = stage
        .services
        .onces
        .plain(Actor::DEFAULT, stage.services.work.heartbeat(Actor::DEFAULT, extend()))
        .await
        .unwrap();
    assert!(beat.unwrap().drain, "and it is told to drain");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_is_kept_for_the_next_time() {
    let stage = Stage::simulated(NEVER);
    claim(&stage.services, &process("w1", "one"), some(1)).await;
    let since = stage.clock.now();
    stage.store.fail_sights(2);
    let on_duty = stage.on_duty();
    sleep(Duration::from_secs(1)).await;
    claim(&stage.services, &process("w1", "one"), some(1)).await;
    sleep(Duration::from_secs(10)).await;
    let worker = get(&stage.services, "w1").await.worker;
    assert_eq!((worker.first_seen, worker.last_seen), (since, since.plus_seconds(1.0)));
    on_duty.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_worker_gets_nothing_and_its_parked_claim_is_answered_at_once() {
    let stage = Stage::simulated(NEVER);
    let waits = parked(&stage.services, &process("w1", "one"));
    let other = parked(&stage.services, &process("w2", "one"));
    stage.waiting(2).await;
    let asked = Instant::now();
    assert!(drain(&stage.services, "w1").await.worker.drains());
    assert!(drain(&stage.services, "w1").await.worker.drains(), "a second time says nothing new");
    let (claimed, answered) = waits.await.unwrap();
    assert_eq!((claimed, answered), (0, asked));
    stage.create("a").await;
    assert_eq!(other.await.unwrap().0, 1, "the others go on");
    stage.create("a").await;
    let started = Instant::now();
    assert!(claim(&stage.services, &process("w1", "one"), one(&["a"], LONG)).await.is_empty());
    assert_eq!(started.elapsed(), Duration::ZERO, "it does not wait either");
    stage.services.workers.resume(Actor::DEFAULT, &name("w1")).await.unwrap();
    assert_eq!(claim(&stage.services, &process("w1", "one"), some(1)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_node_obeys_a_drain_and_a_resume_within_a_second() {
    let stage = Stage::simulated(NEVER);
    let (node, _duty) = other_node(&stage);
    let waits = parked(&node, &process("w1", "one"));
    until(|| node.bus.waiting() == 1).await;
    sleep(Duration::from_millis(2345)).await;
    let asked = Instant::now();
    drain(&stage.services, "w1").await;
    let (claimed, answered) = waits.await.unwrap();
    assert_eq!(claimed, 0);
    assert!(answered - asked <= Duration::from_secs(1), "{:?}", answered - asked);
    stage.create("a").await;
    assert!(claim(&node, &process("w1", "one"), some(1)).await.is_empty());
    stage.services.workers.resume(Actor::DEFAULT, &name("w1")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(claim(&node, &process("w1", "one"), some(1)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_process_of_a_drained_name_works() {
    let stage = Stage::simulated(NEVER);
    let _duty = stage.on_duty();
    claim(&stage.services, &process("w1", "one"), some(1)).await;
    drain(&stage.services, "w1").await;
    stage.create("a").await;
    assert!(claim(&stage.services, &process("w1", "one"), some(1)).await.is_empty());
    assert_eq!(claim(&stage.services, &process("w1", "two"), some(1)).await.len(), 1);
    sleep(Duration::from_secs(5)).await;
    assert!(!get(&stage.services, "w1").await.worker.drains(), "it is the new one that is shown");
    assert!(stage.services.work.drains(Actor::DEFAULT, &process("w1", "one")));
    // One that says nothing of itself is drained by its name, until the resume.
    let nameless = Caller::from(&name("w2"));
    claim(&stage.services, &nameless, some(1)).await;
    drain(&stage.services, "w2").await;
    assert!(stage.services.work.drains(Actor::DEFAULT, &nameless));
    assert!(!stage.services.work.drains(Actor::DEFAULT, &process("w2", "one")));
}

#[tokio::test(start_paused = true)]
async fn a_release_frees_all_in_steps_and_wakes_who_waits() {
    let stage = Stage::simulated(NEVER);
    stage.slip_in("a", 1100).await;
    let mut held = claim(&stage.services, &process("w1", "one"), some(1000)).await;
    held.extend(claim(&stage.services, &process("w1", "one"), some(100)).await);
    let waits = parked(&stage.services, &process("w2", "one"));
    stage.waiting(1).await;
    sleep(Duration::from_secs(1)).await;
    let release = stage.services.workers.release(Actor::DEFAULT, &name("w1")).await;
    assert_eq!(release.unwrap(), 1100);
    assert_eq!(waits.await.unwrap().0, 1);
    let again = stage.services.workers.release(Actor::DEFAULT, &name("w1")).await;
    assert_eq!(again.unwrap(), 0);
    let (last, token) = (held[1099].task.id, held[1099].token);
    assert_eq!(stage.task(last).await.state.status, Status::Pending);
    let done = taskflow_core::Finish::Completed { result: None };
    let late = stage.services.work.finish(Actor::DEFAULT, last, token, done).await;
    assert!(matches!(late, Err(ServiceError::LeaseLost(_))));
    let nobody = stage.services.workers.release(Actor::DEFAULT, &name("w3")).await;
    assert!(matches!(nobody, Err(ServiceError::NoWorker(_))));
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_for_a_day_is_forgotten() {
    let stage = Stage::simulated(NEVER);
    let bus = || Arc::clone(&stage.services.bus);
    claim(&stage.services, &process("w1", "one"), some(1)).await;
    drain(&stage.services, "w1").await;
    let now = stage.clock.now();
    for (seconds, known) in [(24.0 * 3600.0, true), (24.0 * 3600.0 + 1.0, false)] {
        let mut duty = Roster::new(Arc::clone(&stage.store) as _, bus());
        duty.tick(now.plus_seconds(seconds)).await.unwrap();
        let found = stage.services.workers.get(Actor::DEFAULT, &name("w1")).await;
        assert_eq!(found.is_ok(), known, "after {seconds} s: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_who_called_is_bounded() {
    let stage = Stage::simulated(NEVER);
    for n in 0..=WORKERS_SEEN_MAX {
        claim(&stage.services, &Caller::from(&name(&format!("w{n}"))), some(1)).await;
    }
    let last = name(&format!("w{WORKERS_SEEN_MAX}"));
    assert!(stage.services.workers.get(Actor::DEFAULT, &last).await.is_err(), "one too many");
    claim(&stage.services, &Caller::from(&last), some(1)).await;
    assert!(
        stage.services.workers.get(Actor::DEFAULT, &last).await.is_ok(),
        "its next call counts"
    );
}

async fn why(services: &Services, task: TaskId) -> (&'static str, String) {
    let (_, reasons) = services.tasks.explain(Actor::DEFAULT, task).await.unwrap();
    (reasons[0].code, reasons[0].detail.clone())
}

#[tokio::test(start_paused = true)]
async fn why_nobody_takes_a_task_is_judged_over_all_nodes() {
    let stage = Stage::simulated(NEVER);
    let (node, _duty) = other_node(&stage);
    let _own = stage.on_duty();
    let wants = |kind: &str| Want { wish: wish(&[kind]), ..some(1) };
    claim(&stage.services, &process("elsewhere", "one"), wants("b")).await;
    stage.create("a").await;
    assert_eq!(why(&stage.services, id(1)).await.0, "no-worker", "none for this kind");
    // One on the other node took the first task and is busy.
    assert_eq!(claim(&node, &process("busy", "one"), wants("a")).await.len(), 1);
    stage.create("a").await;
    sleep(Duration::from_secs(3)).await;
    let (code, detail) = why(&stage.services, id(2)).await;
    assert!(code == "workers-busy" && detail.ends_with("called: busy"), "{code}: {detail}");
    claim(&stage.services, &process("here", "one"), Want { limit: 1, ..wants("a") }).await;
    stage.create("a").await;
    let (_, detail) = why(&stage.services, id(3)).await;
    assert!(detail.ends_with("called: busy, here"), "who called here just now counts: {detail}");
    drain(&stage.services, "here").await;
    let (_, detail) = why(&stage.services, id(3)).await;
    assert!(detail.ends_with("called: busy"), "who drains does not: {detail}");
    sleep(Duration::from_secs(20)).await;
    let waits = parked(&node, &process("waits", "one"));
    assert_eq!(waits.await.unwrap().0, 1, "the last one is taken too");
    stage.create("a").await;
    sleep(Duration::from_secs(95)).await;
    assert_eq!(why(&stage.services, id(4)).await.0, "no-worker", "nobody called lately");
}

#[test]
fn a_look_that_began_before_a_drain_was_said_does_not_undo_it() {
    let (roll, caller) = (Roll::default(), process("w1", "one"));
    let sighting = Sighting {
        worker: caller.worker.clone(),
        first: super::at(0.0),
        last: super::at(0.0),
        call: Some(caller.call.clone()),
        takes: None,
        node: None,
    };
    let mut worker = Worker::seen(None, &sighting);
    worker.told(&Drain::Last);
    let began = roll.said();
    roll.say(TenantId::DEFAULT, worker);
    roll.learn(Vec::new(), began);
    assert!(roll.drains(TenantId::DEFAULT, &caller));
    roll.learn(Vec::new(), roll.said());
    assert!(!roll.drains(TenantId::DEFAULT, &caller), "the database is the truth");
}
