//! Cases of sign-in sessions: what is kept comes back, no more than the limit is kept, and what is closed
//! or over goes. Whether a session holds is decided elsewhere.

use taskflow_core::limits::{SESSION_IDLE_SECONDS, SESSION_SECONDS, SESSIONS_MAX};
use taskflow_core::{Session, SessionHash, TenantId, Timestamp};

use super::harness::Harness;
use super::stage::Stage;

fn hash(n: u32) -> SessionHash {
    let mut hash = [0xee; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    SessionHash(hash)
}

/// The `n`-th session of a case, opened now.
fn new(stage: &Stage, n: u32) -> Session {
    Session::opened(hash(n), [7; 32], stage.now())
}

async fn keep(stage: &Stage, session: &Session) {
    stage.store.open_session(stage.tenant, session.clone()).await.expect("open works");
}

async fn open(stage: &Stage, n: u32) -> Session {
    let session = new(stage, n);
    keep(stage, &session).await;
    session
}

async fn find(stage: &Stage, n: u32) -> Option<Session> {
    stage.store.session(stage.tenant, hash(n)).await.expect("session works")
}

async fn see(stage: &Stage, n: u32, at: Timestamp) {
    stage.store.see_session(stage.tenant, hash(n), at).await.expect("see works");
}

async fn close(stage: &Stage, n: u32) {
    stage.store.close_session(stage.tenant, hash(n)).await.expect("close works");
}

async fn forget(stage: &Stage, limit: u32) -> u32 {
    stage.store.forget_sessions(stage.now(), limit).await.expect("forget works")
}

/// To the microsecond, and not by any other hash.
pub async fn a_session_is_read_as_it_was_opened_until_it_is_closed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    assert_eq!(find(&stage, 1).await, None);
    let session = Session { print: [0xff; 32], seen_at: stage.after(1.000_001), ..new(&stage, 1) };
    keep(&stage, &session).await;
    let other = open(&stage, 2).await;
    assert_eq!(find(&stage, 1).await, Some(session));
    assert_eq!(find(&stage, 3).await, None);
    close(&stage, 1).await;
    close(&stage, 1).await;
    close(&stage, 3).await;
    assert_eq!((find(&stage, 1).await, find(&stage, 2).await), (None, Some(other)));
}

/// A call that is repeated after a lost connection does no harm.
pub async fn a_session_that_is_opened_twice_is_one(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let session = open(&stage, 1).await;
    stage.pass(60.0);
    see(&stage, 1, stage.now()).await;
    keep(&stage, &session).await;
    assert_eq!(find(&stage, 1).await, Some(Session { seen_at: stage.now(), ..session }));
}

/// Nodes may tell of visits in another order.
pub async fn a_later_visit_is_kept_and_an_earlier_one_is_not(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let session = open(&stage, 1).await;
    let other = open(&stage, 2).await;
    for (at, kept) in [(90.0, 90.0), (60.0, 90.0), (-5.0, 90.0), (90.000_001, 90.000_001)] {
        see(&stage, 1, stage.after(at)).await;
        let seen = find(&stage, 1).await.expect("it is there");
        assert_eq!(seen, Session { seen_at: stage.after(kept), ..session.clone() });
    }
    assert_eq!(find(&stage, 2).await, Some(other));
}

/// Whoever signs out is out, whatever a page of theirs still asks for.
pub async fn a_session_that_is_gone_does_not_come_back_by_a_visit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    open(&stage, 1).await;
    close(&stage, 1).await;
    see(&stage, 1, stage.after(60.0)).await;
    assert_eq!(find(&stage, 1).await, None);
}

/// Restarts sign nobody out, and nobody in again.
pub async fn sessions_are_there_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let session = open(&stage, 1).await;
    open(&stage, 2).await;
    see(&stage, 1, stage.after(60.0)).await;
    close(&stage, 2).await;
    let stage = stage.reopen(h).await;
    assert_eq!(find(&stage, 1).await, Some(Session { seen_at: stage.after(60.0), ..session }));
    assert_eq!(find(&stage, 2).await, None);
}

/// Not the one opened first; and what is full for one tenant is not for another.
pub async fn the_session_seen_longest_ago_makes_room_for_another(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let theirs = stage.seen_by(TenantId(2));
    open(&theirs, 0).await;
    stage.pass(1.0);
    for n in 0..SESSIONS_MAX {
        open(&stage, n).await;
        stage.pass(0.001);
    }
    see(&stage, 0, stage.now()).await;
    // Seen before all others, and still not the one that goes.
    let old = Session { seen_at: stage.after(-3600.0), ..new(&stage, SESSIONS_MAX) };
    keep(&stage, &old).await;
    let there = async |n| find(&stage, n).await.is_some();
    assert!(there(0).await && !there(1).await && there(2).await && there(SESSIONS_MAX).await);
    open(&stage, SESSIONS_MAX + 1).await;
    assert!(there(2).await && !there(SESSIONS_MAX).await && there(SESSIONS_MAX + 1).await);
    assert!(find(&theirs, 0).await.is_some());
    // One that is there makes no room for itself.
    keep(&stage, &new(&stage, SESSIONS_MAX + 1)).await;
    assert!(there(2).await);
}

/// Whoever guesses the key right many times at once fills nothing.
pub async fn of_many_that_are_opened_at_once_no_more_than_the_limit_stay(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for n in 0..SESSIONS_MAX - 2 {
        open(&stage, n).await;
    }
    stage.pass(1.0);
    let calls = (0..8).map(|n| {
        let stage = stage.clone();
        tokio::spawn(async move { open(&stage, SESSIONS_MAX + n).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic");
    }
    for n in 0..8 {
        assert!(find(&stage, SESSIONS_MAX + n).await.is_some(), "the new ones stay");
    }
    stage.pass(SESSION_SECONDS);
    assert_eq!(forget(&stage, 2 * SESSIONS_MAX).await, SESSIONS_MAX);
}

/// The idle and the old ones, of all tenants.
pub async fn sessions_that_are_over_are_forgotten_in_steps(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let theirs = stage.seen_by(TenantId(2));
    open(&stage, 1).await;
    open(&stage, 2).await;
    open(&theirs, 1).await;
    let lively = open(&stage, 3).await;
    stage.pass(SESSION_IDLE_SECONDS - 1.0);
    assert_eq!(forget(&stage, 10).await, 0);
    see(&stage, 3, stage.now()).await;
    stage.pass(1.0);
    assert_eq!((forget(&stage, 0).await, forget(&stage, 2).await), (0, 2));
    assert_eq!((forget(&stage, 2).await, forget(&stage, 2).await), (1, 0));
    assert!(find(&stage, 1).await.is_none() && find(&stage, 2).await.is_none());
    assert!(find(&theirs, 1).await.is_none() && find(&stage, 3).await.is_some());
    // However often it is seen.
    stage.pass(SESSION_SECONDS - SESSION_IDLE_SECONDS - 0.000_001);
    see(&stage, 3, stage.now()).await;
    assert_eq!(forget(&stage, 2).await, 0);
    stage.pass(0.000_001);
    assert!(find(&stage, 3).await.is_some_and(|s| s.opened_at == lively.opened_at));
    assert_eq!(forget(&stage, 2).await, 1);
    assert_eq!(find(&stage, 3).await, None);
}

/// By no word.
pub async fn another_tenant_s_sessions_are_out_of_reach(h: &dyn Harness) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    let session = open(&ours, 1).await;
    assert_eq!(find(&theirs, 1).await, None);
    see(&theirs, 1, ours.after(60.0)).await;
    close(&theirs, 1).await;
    assert_eq!(find(&ours, 1).await, Some(session.clone()));
    let same = Session { print: [8; 32], ..session.clone() };
    keep(&theirs, &same).await;
    assert_eq!((find(&ours, 1).await, find(&theirs, 1).await), (Some(session), Some(same)));
    close(&ours, 1).await;
    assert!(find(&theirs, 1).await.is_some());
}
