//! The line of parked claimers by itself: who is woken, and that no wake-up is lost.

use std::sync::{Arc, Barrier};

use futures_util::FutureExt;
use taskflow_core::limits::WAITERS_MAX;
use taskflow_core::{Kind, QueueName};
use taskflow_store::{Kinds, Ready};

use super::{at, kind, queue, wish};
use crate::bus::{Bus, Parked, Wish};

fn bus() -> Arc<Bus> {
    Arc::new(Bus::default())
}

fn park(bus: &Arc<Bus>, kinds: &[&str]) -> Parked {
    bus.park(&wish(kinds)).unwrap()
}

fn task(name: &str) -> Ready {
    Ready { queue: QueueName::default(), kind: kind(name), run_at: at(0.0) }
}

/// Tells the bus of tasks of these kinds that are due.
fn ready(bus: &Bus, kinds: &[&str]) {
    let ready: Vec<Ready> = kinds.iter().map(|name| task(name)).collect();
    bus.ready(&ready, at(0.0));
}

fn woken(parked: &mut Parked) -> bool {
    parked.woken().now_or_never().is_some()
}

#[test]
fn who_waits_longest_is_woken_first() {
    let bus = bus();
    let mut line = [park(&bus, &["a"]), park(&bus, &["a"]), park(&bus, &["a"])];
    for (n, next) in line.iter_mut().enumerate() {
        ready(&bus, &["a"]);
        assert_eq!(bus.waiting(), 2 - n, "a wake-up takes exactly one out of the line");
        assert!(woken(next), "number {n} is next");
    }
}

#[test]
fn a_wake_up_goes_to_one_whom_the_task_suits() {
    let bus = bus();
    let mut other_kind = park(&bus, &["b"]);
    let elsewhere =
        Wish { queues: Some(vec![queue("mail")]), kinds: Kinds::Named(vec![kind("a")]) };
    let mut other_queue = bus.park(&Arc::new(elsewhere)).unwrap();
    let mut nothing = bus.park(&Arc::new(Wish { queues: Some(vec![]), ..wish_of("a") })).unwrap();
    let mut suits = park(&bus, &["c", "a"]);
    ready(&bus, &["a"]);
    assert!(woken(&mut suits));
    assert!(!woken(&mut other_kind) && !woken(&mut other_queue) && !woken(&mut nothing));
    ready(&bus, &["d"]);
    assert_eq!(bus.waiting(), 3, "nobody wants a `d`");
}

fn wish_of(name: &str) -> Wish {
    Wish { queues: None, kinds: Kinds::Named(vec![kind(name)]) }
}

#[test]
fn every_task_that_is_ready_wakes_one() {
    let bus = bus();
    let mut a = [park(&bus, &["a"]), park(&bus, &["a"]), park(&bus, &["a"])];
    let mut b = park(&bus, &["b"]);
    // Those that nobody wants do not hide the others.
    ready(&bus, &["x", "x", "a", "x", "b", "b", "a"]);
    assert!(woken(&mut a[0]) && woken(&mut a[1]) && !woken(&mut a[2]) && woken(&mut b));
}

#[test]
fn a_manual_task_wakes_nobody_and_a_built_in_one_only_who_names_it() {
    let bus = bus();
    let mut any = bus.park(&Arc::new(Wish { queues: None, kinds: Kinds::AllButBuiltIn })).unwrap();
    let mut named = park(&bus, &["log", Kind::MANUAL]);
    ready(&bus, &[Kind::MANUAL]);
    assert!(!woken(&mut any) && !woken(&mut named));
    ready(&bus, &["log"]);
    assert!(!woken(&mut any) && woken(&mut named));
    ready(&bus, &["own"]);
    assert!(woken(&mut any));
}

#[test]
fn a_task_of_later_wakes_the_herald_and_no_claimer() {
    let bus = bus();
    let mut parked = park(&bus, &["a"]);
    bus.ready(&[Ready { run_at: at(5.0), ..task("a") }], at(0.0));
    assert!(!woken(&mut parked));
    assert_eq!(bus.next_due(), Some(at(5.0)));
    assert!(bus.sooner().now_or_never().is_some());
}

#[test]
fn the_herald_is_woken_only_for_what_comes_sooner() {
    let bus = bus();
    bus.expect(at(5.0));
    assert!(bus.sooner().now_or_never().is_some());
    bus.expect(at(6.0));
    bus.expect(at(5.0));
    bus.note_due(at(4.0));
    assert!(bus.sooner().now_or_never().is_none(), "it knows of an earlier one");
    bus.expect(at(3.0));
    assert!(bus.sooner().now_or_never().is_some());
    assert_eq!(bus.take_due(at(2.0)), None, "what has not come stays");
    assert_eq!(bus.take_due(at(3.0)), Some(at(3.0)));
    assert_eq!(bus.next_due(), None);
}

#[test]
fn who_goes_away_leaves_the_line() {
    let bus = bus();
    let mut first = park(&bus, &["a"]);
    let second = park(&bus, &["a"]);
    let mut third = park(&bus, &["a"]);
    drop(second);
    assert_eq!(bus.waiting(), 2);
    ready(&bus, &["a", "a"]);
    assert!(woken(&mut first) && woken(&mut third));
    drop((first, third));
    assert_eq!(bus.waiting(), 0);
}

#[test]
fn a_wake_up_that_was_not_heard_is_passed_on() {
    let bus = bus();
    let first = park(&bus, &["a"]);
    let mut other_kind = park(&bus, &["b"]);
    // Another wish, but the task suits it.
    let mut next = park(&bus, &["b", "a"]);
    let mut last = park(&bus, &["a"]);
    ready(&bus, &["a"]);
    drop(first);
    assert!(woken(&mut next));
    assert!(!woken(&mut other_kind) && !woken(&mut last));
}

#[test]
fn a_wake_up_goes_down_the_line_until_somebody_hears_it() {
    let bus = bus();
    let gone: Vec<Parked> = (0..10).map(|_| park(&bus, &["a"])).collect();
    let mut last = park(&bus, &["a"]);
    ready(&bus, &["a"]);
    drop(gone);
    assert!(woken(&mut last));
}

#[test]
fn a_wake_up_that_was_heard_is_not_passed_on_by_leaving() {
    let bus = bus();
    let mut first = park(&bus, &["a"]);
    let mut second = park(&bus, &["a"]);
    ready(&bus, &["a"]);
    assert!(woken(&mut first));
    drop(first);
    assert!(!woken(&mut second));
}

#[test]
fn passing_on_wakes_the_next_whom_the_task_suits_once() {
    let bus = bus();
    let mut first = park(&bus, &["a", "b"]);
    let mut other_kind = park(&bus, &["b"]);
    let mut next = park(&bus, &["a"]);
    let mut last = park(&bus, &["a"]);
    ready(&bus, &["a"]);
    assert!(woken(&mut first));
    first.pass_on();
    first.pass_on();
    assert!(woken(&mut next) && !woken(&mut other_kind) && !woken(&mut last));
}

#[test]
fn who_was_not_woken_has_nothing_to_pass_on() {
    let bus = bus();
    let mut first = park(&bus, &["a"]);
    let mut second = park(&bus, &["a"]);
    first.pass_on();
    assert!(!woken(&mut first) && !woken(&mut second));
    assert_eq!(bus.waiting(), 2);
}

#[test]
fn news_of_nobody_knows_what_wakes_one_of_every_wish() {
    let bus = bus();
    let mut a = [park(&bus, &["a"]), park(&bus, &["a"]), park(&bus, &["a"])];
    let mut b = [park(&bus, &["b"]), park(&bus, &["b"])];
    bus.wake_each_wish();
    assert!(woken(&mut a[0]) && woken(&mut b[0]));
    assert!(!woken(&mut a[1]) && !woken(&mut a[2]) && !woken(&mut b[1]));
    a[0].pass_on();
    assert!(woken(&mut a[1]) && !woken(&mut a[2]) && !woken(&mut b[1]), "to the same wish");
    bus.wake_each_wish();
    assert!(woken(&mut a[2]) && woken(&mut b[1]));
}

#[test]
fn news_that_was_not_heard_is_passed_on_to_the_same_wish() {
    let bus = bus();
    let first = park(&bus, &["a"]);
    let mut other = park(&bus, &["b"]);
    let mut next = park(&bus, &["a"]);
    bus.wake_each_wish();
    drop(first);
    assert!(woken(&mut next) && woken(&mut other));
}

#[test]
fn the_line_is_bounded() {
    let bus = bus();
    let wish = wish(&["a"]);
    let mut line: Vec<Parked> = (0..WAITERS_MAX).map(|_| bus.park(&wish).unwrap()).collect();
    assert!(bus.park(&wish).is_none());
    line.pop();
    let last = bus.park(&wish);
    assert!(last.is_some() && bus.park(&wish).is_none());
    // From the front, as a line that is served does.
    drop(line);
    assert_eq!(bus.waiting(), 1);
}

#[test]
fn a_closed_bus_stays_closed() {
    let bus = bus();
    assert!(bus.closed().now_or_never().is_none());
    bus.close();
    assert!(bus.closed().now_or_never().is_some());
    assert!(bus.closed().now_or_never().is_some());
}

/// The wake-up comes in the very instant in which the one whom it is for goes away.
#[test]
fn a_wake_up_is_never_lost_to_one_who_is_leaving() {
    const ROUNDS: usize = 2_000;
    let bus = bus();
    // Those whom it does not suit stand in front, so that looking for the right one takes a while.
    let _others: Vec<Parked> = (0..2_000).map(|_| park(&bus, &["b"])).collect();
    let (start, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let teller = {
        let (bus, start, end) = (Arc::clone(&bus), Arc::clone(&start), Arc::clone(&end));
        std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                start.wait();
                ready(&bus, &["a"]);
                end.wait();
            }
        })
    };
    let mut lost = 0;
    for round in 0..ROUNDS {
        let first = park(&bus, &["a"]);
        let mut second = park(&bus, &["a"]);
        start.wait();
        // A little later each time, to meet the teller on its way.
        for _ in 0..(round % 100) * 20 {
            std::hint::spin_loop();
        }
        drop(first);
        end.wait();
        lost += usize::from(!woken(&mut second));
    }
    teller.join().unwrap();
    assert_eq!(lost, 0, "wake-ups lost in {ROUNDS} rounds");
}

#[tokio::test]
async fn hints_wake_every_wish_and_the_herald_until_the_store_is_gone() {
    let bus = bus();
    let (other_process, hints) = tokio::sync::watch::channel(0);
    let listening = tokio::spawn(Arc::clone(&bus).listen(hints));
    let (mut a, mut b) = (park(&bus, &["a"]), park(&bus, &["b"]));
    other_process.send_replace(1);
    a.woken().await;
    b.woken().await;
    bus.sooner().await;
    drop(other_process);
    listening.await.unwrap();
}
