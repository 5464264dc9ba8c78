//! Brings reports home: whatever ended while the last report was under way goes with the next one.
//! A report is tried again while its lease may still stand; after that the reaper decides.

use std::sync::Arc;
use std::time::Duration;

use taskflow_store::{FinishTask, Finished};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::source::WorkSource;

/// Most reports in one call.
const BATCH: usize = 100;
/// First pause after a failed call, doubled each time up to a second.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Calls tried per batch: about half a minute, the default lease.
const TRIES: u32 = 35;

/// The worker's end of the queue of reports. Bounded by the number of jobs that run.
pub(crate) struct Finisher(mpsc::UnboundedSender<FinishTask>);

impl Finisher {
    /// Starts delivering to `source`; the task ends when every sender is gone and all is delivered.
    pub(crate) fn start(source: Arc<dyn WorkSource>) -> (Self, JoinHandle<()>) {
        let (sender, mut reports) = mpsc::unbounded_channel();
        let delivering = tokio::spawn(async move {
            let mut batch = Vec::new();
            while reports.recv_many(&mut batch, BATCH).await > 0 {
                deliver(&*source, std::mem::take(&mut batch)).await;
            }
        });
        (Self(sender), delivering)
    }

    /// Queues a report.
    pub(crate) fn report(&self, finish: FinishTask) {
        if let Err(refused) = self.0.send(finish) {
            tracing::error!(task.id = refused.0.id.get(), "a report came after the worker's end");
        }
    }
}

async fn deliver(source: &dyn WorkSource, batch: Vec<FinishTask>) {
    let mut pause = RETRY_FIRST;
    for _ in 0..TRIES {
        match source.finish(batch.clone()).await {
            Ok(answers) => return note(&batch, &answers),
            Err(error) => tracing::warn!(error = %error, "a report failed; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    tracing::error!(reports = batch.len(), "reports were given up; their leases end by themselves");
}

fn note(batch: &[FinishTask], answers: &[Finished]) {
    for (finish, answer) in batch.iter().zip(answers) {
        if !matches!(answer, Finished::Done(_)) {
            tracing::info!(task.id = finish.id.get(), "a report came too late: the lease is gone");
        }
    }
}
