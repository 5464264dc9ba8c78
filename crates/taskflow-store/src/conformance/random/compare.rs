//! Comparing a store with the model, and what must hold in either whatever happens.

use std::fmt::Debug;

use taskflow_core::limits::PAGE_MAX;
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{Attempt, Status, Task, TenantId, Timestamp};

use crate::conformance::stage::{START, queue};
use crate::{Filter, Narrow, Overview, Page, Ready, Store, StoreError};

/// An answer; a store that fails is a difference too.
pub(super) fn said<T>(answer: Result<T, StoreError>) -> Result<T, String> {
    answer.map_err(|error| format!("failed: {error:?}"))
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, model: &T, store: &T) -> Result<(), String> {
    if model == store {
        return Ok(());
    }
    Err(format!("{what} differ\nmodel: {model:?}\nstore: {store:?}"))
}

/// The order in which they became ready is no part of the contract.
pub(super) fn same_ready(model: &mut [Ready], store: &mut [Ready]) -> Result<(), String> {
    let order =
        |a: &Ready, b: &Ready| (&a.queue, &a.kind, a.run_at).cmp(&(&b.queue, &b.kind, b.run_at));
    model.sort_unstable_by(order);
    store.sort_unstable_by(order);
    same("ready", &model, &store)
}

/// A store must tell what the model tells. It may also tell of a task that one edit took out of the
/// queue and the next one put back: nobody needs that hint and it costs nothing.
pub(super) fn told(
    model: &[Ready],
    mut store: Vec<Ready>,
    waiting: &[Ready],
) -> Result<(), String> {
    for ready in model {
        let place = store.iter().position(|told| told == ready);
        store.swap_remove(place.ok_or_else(|| format!("not told: {ready:?}"))?);
    }
    let wrong = store.iter().find(|told| !waiting.contains(told));
    wrong.map_or(Ok(()), |ready| Err(format!("told of a task that does not wait: {ready:?}")))
}

/// The rule that a task breaks, if any.
pub(super) fn sound(task: &Task) -> Result<(), &'static str> {
    let state = &task.state;
    let rules = [
        (state.lease.is_none() || state.status == Status::InProgress, "only work has a lease"),
        (
            state.status != Status::InProgress || state.lease.is_some() == state.worker.is_some(),
            "a worker in progress has a lease, a person has none",
        ),
        (state.ended_at.is_some() == state.status.is_ended(), "ended_at tells the end"),
        (
            state.completed_at.is_some() == (state.status == Status::Completed),
            "completed_at tells completion",
        ),
        (state.uncounted <= state.attempt, "no more attempts uncounted than made"),
        (
            usize::try_from(state.blocked_by).is_ok_and(|n| n <= task.depends_on.len()),
            "nothing waits for more tasks than it named",
        ),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
}

/// All tasks of a tenant with their histories, newest first.
pub(super) async fn dump(
    store: &dyn Store,
    scope: TenantId,
) -> Result<Vec<(Task, Option<Vec<Attempt>>)>, String> {
    let mut all = Vec::new();
    loop {
        let skip = u32::try_from(all.len()).expect("a sequence makes few tasks");
        let page =
            Page { filter: Filter::default(), before: None, skip, limit: PAGE_MAX, now: START };
        let tasks = said(store.list(scope, page).await)?.items;
        if tasks.is_empty() {
            return Ok(all);
        }
        for task in tasks {
            let attempts = said(store.attempts(scope, task.id).await)?;
            all.push((task, attempts));
        }
    }
}

/// All that the statistics tell: by queue and kind, and of the last hours in all and in one queue.
pub(super) async fn statistics(
    store: &dyn Store,
    scope: TenantId,
    now: Timestamp,
) -> Result<(Overview, [Vec<(Minute, Tally)>; 2]), String> {
    let overview = said(store.overview(scope, Narrow::default(), PAGE_MAX).await)?;
    let (first, last) = (Minute::of(now).plus(-1_000), Minute::of(now));
    let all = said(store.series(scope, None, first, last).await)?;
    let one = said(store.series(scope, Some(queue("a")), first, last).await)?;
    Ok((overview, [all, one]))
}
