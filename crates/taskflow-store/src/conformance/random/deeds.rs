//! What a random sequence is made of, and the strategies that make it. Ids, versions and tokens are
//! picks that `pair.rs` resolves when their turn comes, so that a sequence keeps its sense when
//! proptest takes commands out of it.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use taskflow_core::Finish;

use super::fields::{
    Birth, Change, Setting, Sieve, birth, change, finish, often, rarely, seconds, setting, sieve,
};

/// Picks a task by its number, counted round those that were born.
pub(super) type Pick = u8;

/// One command.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Insert { tenant: u8, births: Vec<Birth> },
    InsertAll { tenant: u8, births: Vec<Birth> },
    Queue { tenant: u8, queue: u8, guard: Guard, setting: Setting },
    Sync { tenant: u8, ends: Vec<End>, beats: Vec<Beat>, wish: Option<Wish> },
    Edit { tenant: u8, changes: Vec<(Pick, Guard, Change)> },
    Delete { tenant: u8, picks: Vec<(Pick, Guard)> },
    Expire { limit: u32 },
    Due { from: f64, span: f64 },
    List { tenant: u8, sieve: Sieve, before: Option<u8>, skip: u32, limit: u32 },
    Sketch { least: u32 },
    Pass { seconds: f64 },
    Reopen,
}

/// Whether a change names a version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guard {
    None,
    Right,
    Wrong,
}

/// Which lease a worker speaks of: one of those handed out, those that still run first, maybe with the token
/// of another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) lease: u8,
    pub(super) token_of: Option<u8>,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) holder: Holder,
    pub(super) finish: Finish,
}

/// A heartbeat.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    pub(super) holder: Holder,
    pub(super) percent: Option<f64>,
    pub(super) checkpoint: bool,
}

/// A claim.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) limit: usize,
    pub(super) worker: u8,
    pub(super) queues: Option<Vec<u8>>,
    pub(super) kinds: Option<Vec<u8>>,
    pub(super) lease_seconds: Option<u32>,
}

/// From half of `commands` up to `commands` commands.
pub(super) fn sequence(commands: usize) -> impl Strategy<Value = Vec<Deed>> {
    vec(deed(), commands.div_ceil(2)..=commands)
}

/// Mostly one tenant, so that tasks meet.
fn tenant() -> impl Strategy<Value = u8> {
    prop_oneof![9 => Just(1), 1 => Just(2)]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (tenant(), vec(birth(), 1..5)).prop_map(|(tenant, births)| Deed::Insert { tenant, births }),
        1 => (tenant(), vec(birth(), 0..4)).prop_map(|(tenant, births)| Deed::InsertAll { tenant, births }),
        2 => (tenant(), 0..3_u8, guard(), setting())
            .prop_map(|(tenant, queue, guard, setting)| Deed::Queue { tenant, queue, guard, setting }),
        12 => (tenant(), vec(end(), 0..4), vec(beat(), 0..3), often(wish()))
            .prop_map(|(tenant, ends, beats, wish)| Deed::Sync { tenant, ends, beats, wish }),
        5 => (tenant(), vec((any::<Pick>(), guard(), change()), 1..5))
            .prop_map(|(tenant, changes)| Deed::Edit { tenant, changes }),
        1 => (tenant(), vec((any::<Pick>(), guard()), 0..3))
            .prop_map(|(tenant, picks)| Deed::Delete { tenant, picks }),
        3 => prop_oneof![0..4_u32, Just(500)].prop_map(|limit| Deed::Expire { limit }),
        1 => (-10.0..10.0, 0.0..10.0).prop_map(|(from, span)| Deed::Due { from, span }),
        6 => (tenant(), sieve(), of(1..40_u8), 0..4_u32, 0..6_u32).prop_map(
            |(tenant, sieve, before, skip, limit)| Deed::List { tenant, sieve, before, skip, limit }
        ),
        1 => (1..6_u32).prop_map(|least| Deed::Sketch { least }),
        5 => seconds().prop_map(|seconds| Deed::Pass { seconds }),
        1 => Just(Deed::Reopen),
    ]
}

fn guard() -> impl Strategy<Value = Guard> {
    prop_oneof![5 => Just(Guard::None), 2 => Just(Guard::Right), 1 => Just(Guard::Wrong)]
}

/// Mostly the newest leases with their own tokens.
fn holder() -> impl Strategy<Value = Holder> {
    let lease = prop_oneof![5 => 0..4_u8, 1 => any::<u8>()];
    let token_of = prop_oneof![8 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (lease, token_of).prop_map(|(lease, token_of)| Holder { lease, token_of })
}

fn end() -> impl Strategy<Value = End> {
    (holder(), finish()).prop_map(|(holder, finish)| End { holder, finish })
}

fn beat() -> impl Strategy<Value = Beat> {
    (holder(), of(0.0..=100.0), any::<bool>()).prop_map(|(holder, percent, checkpoint)| Beat {
        holder,
        percent,
        checkpoint,
    })
}

/// Mostly from every queue and of every kind, so that there is work.
fn wish() -> impl Strategy<Value = Wish> {
    (0..5_usize, 0..2_u8, rarely(vec(0..3_u8, 0..3)), rarely(vec(0..4_u8, 0..4)), rarely(1..4_u32))
        .prop_map(|(limit, worker, queues, kinds, lease_seconds)| Wish {
            limit,
            worker,
            queues,
            kinds,
            lease_seconds,
        })
}
