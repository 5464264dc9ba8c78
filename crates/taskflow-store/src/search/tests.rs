//! The way of a search: it passes over nothing that may hold what is searched, and reads nothing twice.

use proptest::prelude::*;

use super::{Costs, Range, Step, Trail};

const FREE: Costs = Costs { text: 0, looked_up: 0, sketch: 0, range: 0 };

/// Follows a trail over these sketches (newest first; whether each may hold it); the ranges in order.
fn followed(mut trail: Trail, sketches: &[(Range, bool)]) -> Vec<Range> {
    let mut ranges = Vec::new();
    loop {
        match trail.step() {
            Step::End => return ranges,
            Step::Read(range) => ranges.push(range),
            Step::Look(below, limit) => {
                let next = sketches.iter().filter(|((first, _), _)| *first < below);
                let looked: Vec<_> = next.take(limit as usize).collect();
                let may: Vec<Range> =
                    looked.iter().filter(|(_, may)| *may).map(|(range, _)| *range).collect();
                let oldest = looked.last().map(|((first, _), _)| *first);
                trail.looked(u32::try_from(looked.len()).unwrap(), oldest, &may);
            }
        }
    }
}

/// `n` sketches of ten tasks each, newest first.
fn tens(n: i64, may: impl Fn(i64) -> bool) -> Vec<(Range, bool)> {
    (0..n).rev().map(|at| ((at * 10 + 1, at * 10 + 10), may(at))).collect()
}

#[test]
fn what_no_sketch_knows_is_read_first_and_the_rest_by_its_sketches() {
    let trail = Trail::new(FREE, [0, i64::MAX], 100, Vec::new());
    let found = followed(trail, &tens(10, |at| at == 3 || at == 7));
    assert_eq!(found, [(101, i64::MAX - 1), (71, 80), (31, 40)]);
}

#[test]
fn neighbours_are_one_range() {
    let trail = Trail::new(FREE, [0, 96], 100, Vec::new());
    assert_eq!(followed(trail, &tens(10, |_| true)), [(1, 95)]);
    let trail = Trail::new(FREE, [25, 200], 100, Vec::new());
    assert_eq!(followed(trail, &tens(10, |at| at < 5)), [(101, 199), (26, 50)]);
}

#[test]
fn edited_tasks_are_read_whatever_their_sketch_says() {
    let trail = Trail::new(FREE, [0, 95], 100, vec![3, 98, 55, 55, 42, 150]);
    let found = followed(trail, &tens(10, |at| at == 4));
    assert_eq!(found, [(55, 55), (41, 50), (3, 3)]);
    let gone = Trail::new(FREE, [0, 95], 100, vec![3, 55]);
    assert_eq!(followed(gone, &[]), [(55, 55), (3, 3)]);
}

#[test]
fn a_page_that_ends_early_says_where_the_next_one_begins() {
    let costs = Costs { text: 3, looked_up: 30, ..FREE };
    let mut trail = Trail::new(costs, [0, i64::MAX], 1_000, Vec::new());
    assert_eq!(trail.step(), Step::Read((1_001, i64::MAX - 1)));
    let reads = |trail: &mut Trail, n: u32| {
        for _ in 0..n {
            trail.read(10, false);
            (0..2).for_each(|_| trail.read(10, true));
        }
    };
    reads(&mut trail, 950);
    assert!(!trail.is_spent());
    reads(&mut trail, 50);
    assert!(trail.is_spent());
    assert_eq!(trail.rest().map(taskflow_core::TaskId::get), Some(1_001));
    assert_eq!(trail.step(), Step::Look(1_001, 32));
    trail.looked(2, Some(801), &[(901, 1_000), (801, 850)]);
    assert_eq!(trail.step(), Step::Read((901, 1_000)));
    assert_eq!(trail.rest().map(taskflow_core::TaskId::get), Some(851));
    let mut whole = Trail::whole(FREE, [0, 10]);
    assert_eq!(whole.step(), Step::Read((1, 9)));
    assert_eq!((whole.rest(), whole.step()), (None, Step::End));
}

proptest! {
    #[test]
    fn every_task_that_may_fit_is_read_once_and_in_order(
        lengths in proptest::collection::vec((1..20_i64, 0..5_i64, any::<bool>()), 0..80),
        edited in proptest::collection::vec(1..900_i64, 0..10),
        floor in 0..300_i64,
        before in 1..1_500_i64,
    ) {
        let (mut sketches, mut at) = (Vec::new(), 0);
        for (length, gap, may) in lengths {
            sketches.push(((at + 1, at + length), may));
            at += length + gap;
        }
        let known = sketches.last().map_or(0, |((_, last), _)| *last);
        sketches.reverse();
        let ranges = followed(Trail::new(FREE, [floor, before], known, edited.clone()), &sketches);
        prop_assert!(ranges.windows(2).all(|pair| pair[1].1 < pair[0].0), "{ranges:?}");
        let read = |id: i64| ranges.iter().any(|(low, high)| (*low..=*high).contains(&id));
        for id in 1..1_600 {
            let may = sketches.iter().any(|((low, high), may)| *may && (*low..=*high).contains(&id));
            let wanted = id > floor && id < before
                && (may || id > known || edited.contains(&id));
            prop_assert_eq!(read(id), wanted, "{} in {:?}", id, &ranges);
        }
    }
}
