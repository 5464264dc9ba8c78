//! Working off what a scenario left, so that the next one starts from an empty queue. It deletes nothing:
//! the tasks end like any other.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::http::Site;
use super::load::{Shared, Tally, Window, open_all};
use super::offer::{Offer, sync_offered};
use super::options::Plan;
use super::report::Measured;
use super::work::{BENCH, Line, Shift, patient, work};

/// Claims and completes what is left of a line, for `plan.aside` at most. The tally counts the tasks;
/// none when the server has no `sync` to do it with.
pub(super) async fn drain(site: &Site, plan: &Plan, line: Line) -> anyhow::Result<Option<Tally>> {
    if let Offer::Missing(_) = sync_offered(site, plan).await? {
        return Ok(None);
    }
    let open = open_all(site, plan.workers).await?;
    let window = Window::now_for(plan.aside);
    let shift = Shift {
        line,
        batch: plan.batch,
        claim_until: window.until,
        producing: Arc::new(AtomicBool::new(false)),
        room: None,
        shared: Shared::new(window),
    };
    work(site, patient(open, window.until + plan.patience), &shift).await?;
    Ok(Some(shift.shared.take()))
}

/// Works off what a throughput scenario left, unless it is to be kept, and says what stays.
pub(super) async fn clean(site: &Site, plan: &Plan, measured: &mut Measured) -> anyhow::Result<()> {
    if plan.keep {
        return Ok(());
    }
    match drain(site, plan, BENCH).await? {
        None => {
            let note = "the server has no sync: what was created stays pending in the queue bench";
            measured.notes.push(note.to_owned());
        }
        Some(tally) => {
            if Instant::now() >= tally.window.until {
                measured.notes.push(format!(
                    "the clean-up ran out of time after {} tasks: the rest stays pending in the \
                     queue bench",
                    tally.units
                ));
            }
            measured.blame(tally);
        }
    }
    Ok(())
}
