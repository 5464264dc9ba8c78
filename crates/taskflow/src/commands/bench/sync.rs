//! Claiming and completing from a stock through `sync`: what workers cost when nobody creates.
//! Laying the stock in is not measured.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::clean::clean;
use super::fixed::lay_in;
use super::http::Site;
use super::load::{Shared, Window, open_all};
use super::offer::sync_offered;
use super::options::Plan;
use super::report::Measured;
use super::work::{BENCH, Shift, patient, work};

/// Runs `sync`.
pub(super) async fn run(site: &Site, plan: &Plan) -> anyhow::Result<Measured> {
    if let Some(instead) = sync_offered(site, plan).await?.or_instead() {
        return Ok(instead);
    }
    let stock = lay_in(site, plan).await?;
    let open = open_all(site, plan.workers).await?;
    let window = Window::now_for(plan.measured);
    let shift = Shift {
        line: BENCH,
        batch: plan.batch,
        claim_until: window.until,
        producing: Arc::new(AtomicBool::new(false)),
        room: None,
        shared: Shared::new(window),
    };
    work(site, patient(open, window.until + plan.patience), &shift).await?;
    // Workers that stop early have found nothing more: the clock stopped with the last task.
    let early = Instant::now() < window.until;
    let mut tally = shift.shared.take();
    let seconds = if early { (tally.last - window.from).as_secs_f64() } else { window.seconds() };
    let rate = tally.units as f64 / seconds.max(1e-6);
    let done = tally.units;
    tally.blame(stock);
    let mut measured = Measured::of(rate, tally);
    if early && measured.errors == 0 {
        measured.notes.push(format!("the stock was used up: {done} tasks in {seconds:.2} s"));
    }
    clean(site, plan, &mut measured).await?;
    Ok(measured)
}
