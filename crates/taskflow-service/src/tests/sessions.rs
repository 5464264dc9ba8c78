//! Sessions as whoever signs in knows them: how long they hold, on which node, and how they end.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::{
    SESSION_IDLE_SECONDS, SESSION_SECONDS, SESSION_SEEN_SECONDS, SESSIONS_MAX, SESSIONS_SWEEP_MAX,
};
use taskflow_core::{ManualClock, Session, SessionHash, SessionToken, TenantId, Timestamp};
use taskflow_store::SessionStore;
use taskflow_store::model::Model;

use super::{NEVER, Stage, at};
use crate::clock::SystemIds;
use crate::duties::Duty;
use crate::duties::idempotency::Forgetter;
use crate::{Actor, Services};

const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn stage() -> (Stage, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(at(0.0)));
    (Stage::new(Arc::new(Model::new()), Arc::clone(&clock) as _, NEVER), clock)
}

/// Services of another node on the same database.
fn other_node(stage: &Stage) -> Services {
    let (store, clock) = (Arc::clone(&stage.store) as _, Arc::clone(&stage.clock));
    Services::new(store, clock, Arc::new(SystemIds), NEVER)
}

async fn open(services: &Services) -> String {
    services.sessions.open(Actor::DEFAULT, KEY).await.unwrap()
}

async fn holds(services: &Services, token: &str) -> bool {
    services.sessions.check(Actor::DEFAULT, token, KEY).await.unwrap()
}

async fn close(services: &Services, token: &str) {
    services.sessions.close(Actor::DEFAULT, token).await.unwrap();
}

async fn seen_at(stage: &Stage, token: &str) -> Timestamp {
    let hash = SessionToken::from_wire(token).unwrap().hash();
    let session = stage.store.session(TenantId::DEFAULT, hash).await.unwrap();
    session.unwrap().seen_at
}

#[tokio::test]
async fn a_session_holds_on_every_node_until_it_is_closed_on_one() {
    let (stage, _) = stage();
    let node = other_node(&stage);
    let (first, second) = (open(&stage.services).await, open(&stage.services).await);
    assert!(first != second && first.len() == 64, "{}", first.len());
    assert!(holds(&stage.services, &first).await && holds(&node, &first).await);
    close(&node, &first).await;
    close(&node, &first).await;
    assert!(!holds(&stage.services, &first).await && !holds(&node, &first).await);
    assert!(holds(&stage.services, &second).await);
}

#[tokio::test]
async fn a_session_holds_for_its_key_and_its_tenant_only() {
    let (stage, _) = stage();
    let (sessions, token) = (&stage.services.sessions, open(&stage.services).await);
    assert!(!sessions.check(Actor::DEFAULT, &token, OTHER).await.unwrap());
    let theirs = Actor { tenant: TenantId(2) };
    assert!(!sessions.check(theirs, &token, KEY).await.unwrap());
    sessions.close(theirs, &token).await.unwrap();
    assert!(holds(&stage.services, &token).await);
}

#[tokio::test]
async fn what_is_no_token_holds_no_session_and_closes_none() {
    let (stage, _) = stage();
    let token = open(&stage.services).await;
    let (hash, unknown) = (SessionToken::from_wire(&token).unwrap().hash(), "0".repeat(64));
    let hash: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let long = format!("{token}0");
    for wrong in ["", "é", &token[..32], &long, &unknown, &hash] {
        assert!(!holds(&stage.services, wrong).await, "{wrong:?}");
        close(&stage.services, wrong).await;
    }
    assert!(holds(&stage.services, &token).await);
}

#[tokio::test]
async fn a_session_that_is_visited_lasts_a_week_and_one_that_is_not_twelve_hours() {
    let (stage, clock) = stage();
    let (visited, left) = (open(&stage.services).await, open(&stage.services).await);
    clock.advance(SESSION_IDLE_SECONDS - 1.0);
    assert!(holds(&stage.services, &visited).await);
    clock.advance(1.0);
    assert!(holds(&stage.services, &visited).await && !holds(&stage.services, &left).await);
    for _ in 1..14 {
        // The visit a second ago was not worth a write.
        clock.advance(SESSION_IDLE_SECONDS - SESSION_SEEN_SECONDS);
        assert!(holds(&stage.services, &visited).await);
    }
    let passed = stage.clock.now().seconds_since(at(0.0));
    clock.advance(SESSION_SECONDS - passed - 1.0);
    assert!(holds(&stage.services, &visited).await);
    clock.advance(1.0);
    assert!(!holds(&stage.services, &visited).await);
}

#[tokio::test]
async fn a_visit_is_written_down_once_a_minute_and_only_where_it_holds() {
    let (stage, clock) = stage();
    let token = open(&stage.services).await;
    for (passes, seen) in [(59.0, 0.0), (1.0, 60.0), (30.0, 60.0), (30.0, 120.0)] {
        clock.advance(passes);
        let wrong = stage.services.sessions.check(Actor::DEFAULT, &token, OTHER).await;
        assert!(!wrong.unwrap() && seen_at(&stage, &token).await < stage.clock.now());
        assert!(holds(&stage.services, &token).await);
        assert_eq!(seen_at(&stage, &token).await, at(seen));
    }
}

#[tokio::test]
async fn nobody_is_locked_out_where_a_visit_cannot_be_written_down() {
    let (stage, clock) = stage();
    let token = open(&stage.services).await;
    clock.advance(60.0);
    stage.store.fail_sights(1);
    assert!(holds(&stage.services, &token).await);
    assert_eq!(seen_at(&stage, &token).await, at(0.0));
    assert!(holds(&stage.services, &token).await);
    assert_eq!(seen_at(&stage, &token).await, at(60.0));
}

#[tokio::test]
async fn sessions_that_are_over_go_within_a_minute_and_in_steps() {
    let (stage, clock) = stage();
    let mut forgetter = Forgetter::new(Arc::clone(&stage.store) as _);
    let hash = |n: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        SessionHash(hash)
    };
    for n in 0..SESSIONS_MAX {
        let session = Session::opened(hash(n), KEY, at(0.0));
        stage.store.open_session(TenantId::DEFAULT, session).await.unwrap();
    }
    let left = async || {
        let mut left = 0;
        for n in 0..SESSIONS_MAX {
            let found = stage.store.session(TenantId::DEFAULT, hash(n)).await.unwrap();
            left += u32::from(found.is_some());
        }
        left
    };
    let mut tick = async || forgetter.tick(stage.clock.now()).await.unwrap();
    let (rest, breath) = (Duration::from_secs(2), Duration::from_millis(50));
    assert_eq!(tick().await, rest);
    clock.advance(SESSION_IDLE_SECONDS);
    // It looks at every thirtieth tick.
    for _ in 1..30 {
        assert_eq!(tick().await, rest);
    }
    assert_eq!(left().await, SESSIONS_MAX);
    assert_eq!((tick().await, left().await), (breath, SESSIONS_MAX - SESSIONS_SWEEP_MAX));
    assert_eq!((tick().await, left().await), (breath, 0));
    assert_eq!(tick().await, rest);
}
