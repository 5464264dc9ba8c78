//! Brings reports home: whatever ended while the last report was under way goes with the next one.
//! A report is tried again and its lease kept alive until it is answered or given up.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Finish, Json};
use taskflow_store::{FinishTask, Finished};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::heart::Heart;
use super::source::{Key, WorkSource};

/// Most reports in one call, as many as one claim may hand out.
const BATCH: usize = 500;
/// First pause after a failed call, doubled each time up to a second.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Results and errors of one call, in bytes; a call with one report may be larger. Half of what a
/// server takes in one request.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Calls tried per batch before its reports go one by one: one of them may be what is refused.
const TRIES_TOGETHER: u32 = 5;
/// Calls tried per report alone: about ten minutes. A source that is away for longer has ended the
/// leases by then.
const TRIES_ALONE: u32 = 600;

/// The worker's end of the queue of reports. Bounded by the number of jobs that run.
pub(crate) struct Finisher(mpsc::UnboundedSender<Report>);

/// A report with the attempt whose lease it needs.
type Report = (Key, FinishTask);

impl Finisher {
    /// Starts delivering to `source`; the task ends when every sender is gone and all is delivered.
    pub(crate) fn start(source: Arc<dyn WorkSource>, heart: Arc<Heart>) -> (Self, JoinHandle<()>) {
        let (sender, mut reports) = mpsc::unbounded_channel();
        let delivering = tokio::spawn(async move {
            let mut batch = Vec::new();
            while reports.recv_many(&mut batch, BATCH).await > 0 {
                for part in parts(std::mem::take(&mut batch)) {
                    deliver(&*source, &part).await;
                    part.iter().for_each(|(key, _)| heart.remove(*key));
                }
            }
        });
        (Self(sender), delivering)
    }

    /// Queues a report; the heart beats for it until it is answered.
    pub(crate) fn report(&self, key: Key, finish: FinishTask) {
        if let Err(refused) = self.0.send((key, finish)) {
            tracing::error!(task.id = refused.0.0.0.get(), "a report came after the worker's end");
        }
    }
}

/// Cuts a batch so that no call is too large.
fn parts(batch: Vec<Report>) -> Vec<Vec<Report>> {
    let mut parts: Vec<Vec<Report>> = Vec::new();
    let mut bytes = 0;
    for report in batch {
        let size = size(&report.1.finish);
        match parts.last_mut() {
            Some(part) if bytes + size <= BATCH_BYTES => {
                bytes += size;
                part.push(report);
            }
            _ => {
                bytes = size;
                parts.push(vec![report]);
            }
        }
    }
    parts
}

fn size(finish: &Finish) -> usize {
    match finish {
        Finish::Completed { result } => result.as_ref().map_or(0, Json::len),
        Finish::Failed { error, .. } => error.len(),
        _ => 0,
    }
}

async fn deliver(source: &dyn WorkSource, part: &[Report]) {
    let together = if part.len() == 1 { TRIES_ALONE } else { TRIES_TOGETHER };
    if try_to_deliver(source, part, together).await {
        return;
    }
    for report in part.chunks(1).filter(|_| part.len() > 1) {
        if !try_to_deliver(source, report, TRIES_ALONE).await {
            give_up(report);
        }
    }
    if part.len() == 1 {
        give_up(part);
    }
}

fn give_up(report: &[Report]) {
    for ((id, attempt), _) in report.iter().map(|(key, finish)| (*key, finish)) {
        tracing::error!(
            task.id = id.get(),
            attempt,
            "a report was given up; its lease ends by itself"
        );
    }
}

async fn try_to_deliver(source: &dyn WorkSource, part: &[Report], tries: u32) -> bool {
    let batch: Vec<FinishTask> = part.iter().map(|(_, finish)| finish.clone()).collect();
    let mut pause = RETRY_FIRST;
    for _ in 0..tries {
        match source.finish(batch.clone()).await {
            Ok(answers) => {
                note(&batch, &answers);
                return true;
            }
            Err(error) => tracing::warn!(error = %error, "a report failed; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    false
}

fn note(batch: &[FinishTask], answers: &[Finished]) {
    for (finish, answer) in batch.iter().zip(answers) {
        if !matches!(answer, Finished::Done(_)) {
            tracing::info!(task.id = finish.id.get(), "a report came too late: the lease is gone");
        }
    }
}
