//! The scenarios that send one and the same request: the bare yardstick, tasks created one by one and
//! tasks created in bulk. Whether the server has the route is asked first; what is left is worked off
//! afterwards, outside the measured time.

use super::clean::clean;
use super::http::Site;
use super::load::{Load, Tally, Window, closed_loop, open_all};
use super::offer::{Offer, offered};
use super::options::{Plan, Scenario};
use super::report::Measured;

/// The task that all throughput scenarios create.
pub(super) const TASK: &str = r#"{"title":"Send welcome email","description":"To a new user","priority":"medium","queue":"bench","kind":"bench.noop","payload":{"user_id":12345,"template":"welcome"}}"#;

/// A request that creates `units` tasks, or none for the yardstick.
pub(super) struct Fixed {
    /// The request as bytes.
    pub(super) request: Vec<u8>,
    /// What one answer counts for.
    pub(super) units: u32,
}

/// The bare route: the same body as a creation, parsed, answered and not stored.
pub(super) fn bare(site: &Site) -> Fixed {
    Fixed { request: site.post("/api/v1/bench/bare", TASK.as_bytes()), units: 1 }
}

/// One task.
pub(super) fn one(site: &Site) -> Fixed {
    Fixed { request: site.post("/api/v1/tasks", TASK.as_bytes()), units: 1 }
}

/// A batch of tasks.
pub(super) fn bulk(site: &Site, batch: u32) -> Fixed {
    let tasks = vec![TASK; usize::try_from(batch).unwrap_or(1)].join(",");
    let body = format!(r#"{{"tasks":[{tasks}]}}"#);
    Fixed { request: site.post("/api/v1/tasks/bulk", body.as_bytes()), units: batch }
}

/// Runs `bare`, `create` or `bulk`.
pub(super) async fn run(site: &Site, plan: &Plan, scenario: Scenario) -> anyhow::Result<Measured> {
    let Fixed { request, units } = match scenario {
        Scenario::Bulk => bulk(site, plan.batch),
        Scenario::Create => one(site),
        _ => bare(site),
    };
    if let Some(instead) = offered(site, plan, &request).await?.or_instead() {
        return Ok(instead);
    }
    // Bulk work is the server's, not the network's: a few connections keep it busy.
    let bulky = scenario == Scenario::Bulk;
    let connections = if bulky { plan.workers } else { plan.connections };
    let open = open_all(site, connections).await?;
    let load = Load { request, units: units.into(), times_max: u64::MAX };
    let tally = closed_loop(open, load, Window::of(plan), plan.patience).await?;
    let rate = tally.units as f64 / tally.window.seconds();
    let mut measured = Measured::of(rate, tally);
    if scenario != Scenario::Bare {
        clean(site, plan, &mut measured).await?;
    }
    Ok(measured)
}

/// Lays `stock` tasks in, in bulk when the server can. The tally counts the tasks.
pub(super) async fn lay_in(site: &Site, plan: &Plan) -> anyhow::Result<Tally> {
    let (mut fixed, mut connections) = (bulk(site, plan.batch), plan.workers);
    let mut wanted = u64::from(plan.stock);
    match offered(site, plan, &fixed.request).await? {
        Offer::Here => wanted = wanted.saturating_sub(fixed.units.into()),
        _ => (fixed, connections) = (one(site), plan.connections),
    }
    let times_max = wanted.div_ceil(fixed.units.into());
    let load = Load { request: fixed.request, units: fixed.units.into(), times_max };
    let open = open_all(site, connections).await?;
    closed_loop(open, load, Window::now_for(plan.aside), plan.patience).await
}
