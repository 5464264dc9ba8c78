//! The merge of lines against a sort of all their ids.

use super::*;

/// What a merge gives for these lines, and how many reads it took.
fn merged(
    lines: &[Vec<i64>],
    known: Option<Vec<i64>>,
    before: i64,
    take: usize,
) -> (Vec<i64>, usize) {
    let mut merge = Merge::new(lines.len(), before, take);
    if let Some(known) = known {
        merge.add(known);
    }
    let (mut taken, mut reads) = (Vec::new(), 0);
    loop {
        while let Some(id) = merge.next_id() {
            taken.push(id);
            if taken.len() == take {
                return (taken, reads);
            }
        }
        let gaps = merge.gaps();
        if gaps.is_empty() {
            return (taken, reads);
        }
        for gap in gaps {
            reads += 1;
            let below = lines[gap.line].iter().copied().filter(|id| *id < gap.before);
            merge.give(gap, below.take(gap.limit as usize).collect());
        }
    }
}

fn sorted(lines: &[Vec<i64>], before: i64, take: usize) -> Vec<i64> {
    let mut all: Vec<i64> = lines.iter().flatten().copied().filter(|id| *id < before).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.truncate(take);
    all
}

#[test]
fn ids_of_all_lines_come_newest_first() {
    let lines = [vec![9, 5, 1], vec![], vec![8, 7, 6, 4, 3, 2]];
    assert_eq!(merged(&lines, None, 100, 100).0, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(merged(&lines, None, 8, 3).0, [7, 6, 5]);
    assert_eq!(merged(&[], None, 8, 3).0, [0_i64; 0]);
    assert_eq!(merged(&lines, Some(vec![11, 10, 0]), 100, 4).0, [11, 10, 9, 8]);
}

#[test]
fn a_line_that_holds_everything_is_read_in_growing_pieces() {
    let mut lines = vec![Vec::new(); 499];
    lines.push((1..=5_000).rev().collect());
    let (taken, reads) = merged(&lines, None, i64::MAX, 1_000);
    assert_eq!(taken, (4_001..=5_000).rev().collect::<Vec<_>>());
    assert!(reads < 500 + 6, "{reads}");
}

proptest::proptest! {
    #[test]
    fn a_merge_is_a_sort(
        places in proptest::collection::vec(0..40_usize, 0..3_000),
        count in 1..40_usize,
        take in 0..2_000_usize,
        before in 0..3_100_i64,
    ) {
        let mut lines = vec![Vec::new(); count];
        for (id, place) in places.iter().enumerate().rev() {
            lines[place % count].push(i64::try_from(id).unwrap());
        }
        let known = lines.pop();
        let mut all = lines.clone();
        let known = known.map(|ids| ids.into_iter().filter(|id| *id < before).collect::<Vec<_>>());
        all.extend(known.clone());
        let take = take.max(1);
        proptest::prop_assert_eq!(merged(&lines, known, before, take).0, sorted(&all, before, take));
    }
}
