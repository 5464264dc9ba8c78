//! Events: who hears of what, what is kept for whom, and what happens to who falls behind.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::{EVENT_PIECE_MAX, EVENT_SUBSCRIBERS_MAX, EVENTS_KEPT};
use taskflow_core::{Change, Interest, QueueName, Sort, TaskEvent, TenantId};
use taskflow_store::changes::BEHIND_MAX;
use taskflow_store::model::Model;
use tokio::time::{Instant, sleep};

use super::{NEVER, RuntimeClock, Stage};
use crate::events::{EventId, News, Piece, Subscription};
use crate::{Actor, ServiceError};

/// A stage that listens to its store.
fn stage() -> Stage {
    let stage = Stage::simulated(NEVER);
    tokio::spawn(stage.services.listen());
    stage
}

async fn subscribe(stage: &Stage, interest: Interest, last: Option<EventId>) -> Subscription {
    stage.services.events.subscribe(Actor::DEFAULT, interest, last).await.unwrap()
}

/// A subscriber to everything from now on.
async fn subscriber(stage: &Stage) -> Subscription {
    subscribe(stage, Interest::default(), None).await
}

async fn next(subscription: &mut Subscription) -> Piece {
    let piece = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
    piece.expect("something is told")
}

/// Whether nothing comes within some seconds.
async fn is_silent(subscription: &mut Subscription) -> bool {
    tokio::time::timeout(Duration::from_secs(5), subscription.next()).await.is_err()
}

fn ids(piece: &Piece) -> Vec<i64> {
    let id = |news: &News| match news {
        News::Change(Change::Task(change)) => change.id.get(),
        other => panic!("not of a task: {other:?}"),
    };
    piece.events.iter().map(|event| id(&event.news)).collect()
}

fn of_queue(name: &str) -> Interest {
    Interest { queue: QueueName::parse(name).ok(), ..Interest::default() }
}

/// Creates `n` tasks in one commit.
async fn create_many(stage: &Stage, n: usize) {
    let batch = (0..n).map(|_| stage.new_task("a")).collect();
    stage.services.tasks.create_many(Actor::DEFAULT, batch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_hears_what_is_committed_after_the_answer() {
    let stage = stage();
    stage.create("a").await;
    let mut one = subscriber(&stage).await;
    let second = stage.create("a").await.get();
    let piece = next(&mut one).await;
    assert_eq!((piece.resync, ids(&piece)), (false, vec![second]));
    assert_eq!(piece.events[0].id, one.position());
    let third = stage.create("a").await.get();
    let piece = next(&mut one).await;
    assert_eq!(ids(&piece), [third]);
    assert_eq!(piece.events[0].id.number, one.position().number);
    assert!(is_silent(&mut one).await);
}

#[tokio::test(start_paused = true)]
async fn each_subscriber_hears_what_it_asked_for() {
    let stage = stage();
    let mut all = subscriber(&stage).await;
    let mut other = subscribe(&stage, of_queue("other"), None).await;
    let sorts = Some(vec![Sort::Task(TaskEvent::Failed)]);
    let mut failures = subscribe(&stage, Interest { sorts, ..Interest::default() }, None).await;
    let id = stage.create("a").await.get();
    assert_eq!(ids(&next(&mut all).await), [id]);
    assert!(is_silent(&mut other).await && is_silent(&mut failures).await);
    // It is past what was not for it: whoever comes back there need not look at it again.
    assert_eq!(other.position(), all.position());
}

#[tokio::test(start_paused = true)]
async fn another_tenant_s_events_are_not_heard() {
    let stage = stage();
    let theirs = Actor { tenant: TenantId(2) };
    let events = &stage.services.events;
    let mut other = events.subscribe(theirs, Interest::default(), None).await.unwrap();
    stage.create("a").await;
    assert!(is_silent(&mut other).await);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_hears_what_followed() {
    let stage = stage();
    let mut one = subscriber(&stage).await;
    stage.create("a").await;
    next(&mut one).await;
    let last = one.position();
    let missed = [stage.create("a").await.get(), stage.create("a").await.get()];
    let mut again = subscribe(&stage, Interest::default(), Some(last)).await;
    let piece = next(&mut again).await;
    assert_eq!((piece.resync, ids(&piece)), (false, missed.to_vec()));
    // Nobody there for a while, which is kept all the same.
    drop((one, again));
    for _ in 0..5 {
        sleep(Duration::from_secs(10)).await;
        stage.services.events.keep().await.unwrap();
    }
    let id = stage.create("a").await.get();
    let mut late = subscribe(&stage, Interest::default(), Some(last)).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(ids(&next(&mut late).await));
    }
    assert_eq!(heard, [missed[0], missed[1], id]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_too_late_is_told_to_read_anew() {
    let stage = stage();
    let mut one = subscriber(&stage).await;
    stage.create("a").await;
    next(&mut one).await;
    let last = one.position();
    drop(one);
    // Long enough for the store to be left alone, whoever asks in between whether it should be.
    for _ in 0..20 {
        sleep(Duration::from_secs(10)).await;
        stage.services.events.keep().await.unwrap();
    }
    stage.create("unheard").await;
    let mut late = subscribe(&stage, Interest::default(), Some(last)).await;
    let piece = next(&mut late).await;
    assert!(piece.resync && piece.events.is_empty());
    let id = stage.create("a").await.get();
    assert_eq!(ids(&next(&mut late).await), [id], "and hears on");
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_process_or_of_the_future_means_read_anew() {
    let stage = stage();
    let here = subscriber(&stage).await.position();
    for last in [
        EventId { epoch: here.epoch ^ 1, ..here },
        EventId { number: here.number + 1, ..here },
        EventId { number: u64::MAX, ..here },
        EventId { number: 0, ..here },
    ] {
        let mut one = subscribe(&stage, Interest::default(), Some(last)).await;
        assert!(next(&mut one).await.resync, "{last}");
    }
    let mut one = subscribe(&stage, Interest::default(), Some(here)).await;
    assert!(is_silent(&mut one).await);
}

#[test]
fn an_event_id_is_read_as_it_is_written_and_nothing_else_is_one() {
    let id = EventId { epoch: 0xab, number: 12 };
    assert_eq!(id.to_string(), "00000000000000ab-12");
    assert_eq!(EventId::parse("00000000000000ab-12"), Some(id));
    for text in
        ["", "12", "ab-12", "00000000000000ab-", "00000000000000ab-+1", "+0000000000000ab-1"]
    {
        assert_eq!(EventId::parse(text), None, "{text}");
    }
    assert_eq!(EventId::parse("00000000000000ab-99999999999999999999"), None);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_too_slow_reads_anew_and_delays_nobody() {
    let stage = stage();
    let mut slow = subscriber(&stage).await;
    let mut quick = subscriber(&stage).await;
    for _ in 0..2 {
        create_many(&stage, EVENTS_KEPT).await;
        let mut heard = 0;
        while heard < EVENTS_KEPT {
            let piece = next(&mut quick).await;
            assert!(!piece.resync && piece.events.len() <= EVENT_PIECE_MAX);
            heard += piece.events.len();
        }
    }
    let piece = next(&mut slow).await;
    assert!(piece.resync && piece.events.is_empty(), "what it missed it need not hear");
    let id = stage.create("a").await.get();
    assert_eq!(ids(&next(&mut slow).await), [id]);
}

#[tokio::test(start_paused = true)]
async fn pieces_come_one_by_one_with_a_pause_between() {
    let stage = stage();
    let mut one = subscriber(&stage).await;
    let begun = Instant::now();
    stage.create("a").await;
    next(&mut one).await;
    create_many(&stage, 2 * EVENT_PIECE_MAX).await;
    let first = next(&mut one).await.events.len();
    let second = next(&mut one).await.events.len();
    assert_eq!((first, second), (EVENT_PIECE_MAX, EVENT_PIECE_MAX));
    assert!(begun.elapsed() >= Duration::from_millis(40));
}

#[tokio::test(start_paused = true)]
async fn when_the_store_told_more_than_was_heard_everybody_reads_anew_once() {
    let stage = Stage::simulated(NEVER);
    let listening = stage.services.listen();
    let mut one = subscriber(&stage).await;
    for _ in 0..BEHIND_MAX + 10 {
        stage.create("a").await;
    }
    tokio::spawn(listening);
    let (mut heard, mut resyncs) = (0, 0);
    while heard < BEHIND_MAX {
        let piece = next(&mut one).await;
        resyncs += usize::from(piece.resync);
        heard += piece.events.len();
    }
    assert_eq!((heard, resyncs), (BEHIND_MAX, 1));
}

#[tokio::test(start_paused = true)]
async fn every_miss_is_told_even_when_nothing_else_happened_in_between() {
    let model = Arc::new(Model::new());
    let stage = Stage::new(Arc::clone(&model) as _, RuntimeClock::started(), NEVER);
    tokio::spawn(stage.services.listen());
    let mut one = subscriber(&stage).await;
    for _ in 0..3 {
        model.miss();
        let piece = next(&mut one).await;
        assert!(piece.resync && piece.events.is_empty());
        assert!(is_silent(&mut one).await, "each is told once");
    }
}

#[tokio::test(start_paused = true)]
async fn who_watched_while_the_store_was_not_asked_reads_anew() {
    let stage = stage();
    let mut one = subscriber(&stage).await;
    // As after a pause of the whole process: nobody asked in time.
    sleep(Duration::from_secs(40)).await;
    stage.create("unheard").await;
    stage.services.events.keep().await.unwrap();
    assert!(next(&mut one).await.resync);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_limit_of_subscribers_and_who_goes_makes_room() {
    let stage = stage();
    let mut all = Vec::new();
    for _ in 0..EVENT_SUBSCRIBERS_MAX {
        all.push(subscriber(&stage).await);
    }
    let events = &stage.services.events;
    let refused = events.subscribe(Actor::DEFAULT, Interest::default(), None).await;
    assert!(matches!(refused, Err(ServiceError::TooManyWaiters)), "{refused:?}");
    assert_eq!(events.subscribers(), EVENT_SUBSCRIBERS_MAX);
    all.pop();
    let mut last = subscriber(&stage).await;
    stage.create("a").await;
    next(&mut last).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_keeps_a_store_that_nobody_uses() {
    let stage = Stage::simulated(NEVER);
    let listening = tokio::spawn(stage.services.listen());
    drop(subscriber(&stage).await);
    drop(stage);
    tokio::time::timeout(Duration::from_secs(30), listening).await.expect("it ended").unwrap();
}
