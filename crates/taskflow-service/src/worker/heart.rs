//! Heartbeats of all running jobs in one call: extends leases before they end, carries progress, and
//! brings back that a lease is gone.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use taskflow_core::LeaseToken;
use taskflow_store::{Extend, Extended};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::Context;
use super::source::{Key, WorkSource};

/// How often it looks for beats that are due: a third of the shortest lease of one second.
const LOOK: Duration = Duration::from_millis(250);
/// However long its lease, a job beats this often: a cancel is heard of by the next beat.
const AT_LEAST: Duration = Duration::from_secs(5);
/// Most heartbeats in one call.
const BATCH: usize = 100;

struct Beating {
    token: LeaseToken,
    every: Duration,
    next: Instant,
    cx: Context,
    lost: CancellationToken,
}

/// The running jobs.
#[derive(Default)]
pub(crate) struct Heart(Mutex<HashMap<Key, Beating>>);

impl Heart {
    /// Keeps the lease of a job alive from now on; fires `lost` when it is gone.
    pub(crate) fn add(
        &self,
        key: Key,
        token: LeaseToken,
        lease_seconds: u32,
        cx: Context,
        lost: CancellationToken,
    ) {
        let every = (Duration::from_secs(lease_seconds.into()) / 3).min(AT_LEAST);
        let next = Instant::now() + every;
        self.0.lock().insert(key, Beating { token, every, next, cx, lost });
    }

    /// The job ended.
    pub(crate) fn remove(&self, key: Key) {
        self.0.lock().remove(&key);
    }

    /// Beats until nobody has the heart any more.
    pub(crate) async fn beat(heart: Weak<Self>, source: Arc<dyn WorkSource>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(heart) = heart.upgrade() else { return };
            let due = heart.due();
            for part in due.chunks(BATCH) {
                let batch = part.iter().map(|(_, extend)| extend.clone()).collect();
                match source.heartbeat(batch).await {
                    Ok(answers) => heart.take(part, &answers),
                    Err(error) => {
                        tracing::warn!(error = %error, "heartbeats failed; trying again");
                        heart.again(part);
                    }
                }
            }
        }
    }

    /// Beats that are due, or carry something new.
    fn due(&self) -> Vec<(Key, Extend)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (key, job) in self.0.lock().iter_mut() {
            let report = job.cx.take_report();
            let news = report.progress.is_some() || report.checkpoint.is_some();
            if news || job.next <= now {
                job.next = now + job.every;
                due.push((
                    *key,
                    Extend {
                        id: key.0,
                        token: job.token,
                        progress: report.progress,
                        checkpoint: report.checkpoint,
                    },
                ));
            }
        }
        due
    }

    /// The lease has two more thirds to live; the next look tries again.
    fn again(&self, part: &[(Key, Extend)]) {
        let mut jobs = self.0.lock();
        for (key, extend) in part {
            if let Some(job) = jobs.get_mut(key) {
                job.next = Instant::now();
                job.cx.report_again(extend.progress.clone(), extend.checkpoint.clone());
            }
        }
    }

    fn take(&self, part: &[(Key, Extend)], answers: &[Extended]) {
        let jobs = self.0.lock();
        for ((key, _), answer) in part.iter().zip(answers) {
            if !matches!(answer, Extended::Held(_))
                && let Some(job) = jobs.get(key)
            {
                job.lost.cancel();
            }
        }
    }
}
