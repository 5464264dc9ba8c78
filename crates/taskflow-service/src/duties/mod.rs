//! Background duties: each is one `tick(now)`; this file runs them and brings them back.
//! It knows nothing of what a duty does.

pub mod events;
pub mod herald;
pub mod idempotency;
pub mod janitor;
pub mod reaper;
pub mod search;
pub mod workers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use taskflow_core::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::ServiceError;

/// A duty that failed is tried again after this, doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// At the latest after this: when the database is back, ended leases are rescued within a second.
const BACKOFF_MAX: Duration = Duration::from_millis(800);

/// Something that has to be done again and again.
#[async_trait]
pub trait Duty: Send {
    /// Its name in the log.
    fn name(&self) -> &'static str;
    /// Does what is due by `now`; answers how long it may sleep.
    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError>;
    /// Resolves when it should be woken before that.
    async fn woken(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// Runs duties until `stop`; an error or a panic in one is logged and it is run again.
pub fn run(
    duties: Vec<Box<dyn Duty>>,
    clock: &Arc<dyn Clock>,
    stop: &CancellationToken,
) -> TaskTracker {
    let tracker = TaskTracker::new();
    for duty in duties {
        tracker.spawn(keep_running(duty, Arc::clone(clock), stop.clone()));
    }
    tracker.close();
    tracker
}

async fn keep_running(mut duty: Box<dyn Duty>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut backoff = BACKOFF_FIRST;
    while !stop.is_cancelled() {
        let ticked = AssertUnwindSafe(duty.tick(clock.now())).catch_unwind().await;
        let pause = match ticked {
            Ok(Ok(pause)) => {
                backoff = BACKOFF_FIRST;
                pause
            }
            failed => {
                match failed {
                    Ok(Err(error)) => {
                        tracing::error!(duty.name = duty.name(), error = %error, "a duty failed");
                    }
                    _ => tracing::error!(duty.name = duty.name(), "a duty panicked"),
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
                backoff / 2
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = duty.woken() => {}
        }
    }
}
