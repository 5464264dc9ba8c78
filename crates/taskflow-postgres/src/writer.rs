//! Writes: whatever waits is one transaction, tried again when that can help, answered when its commit
//! is on disk. One flusher a room; what a transaction does is in the rooms.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_store::StoreError;
use taskflow_store::batcher::{Batches, Waiting};
use tokio::sync::Mutex;

use crate::connect::Pool;
use crate::error::{Failure, chain};
use crate::session::Session;

/// How often a transaction is tried that failed without having done anything.
const TRIES: u32 = 4;

/// The longest a transaction may take: the server's own limit of a statement and then some. After it
/// the outcome is unknown.
const LONGEST: Duration = Duration::from_secs(20);

/// What one flusher writes.
#[async_trait]
pub(crate) trait Room: Send + Sync + 'static {
    /// A command.
    type Order: Send + Sync;
    /// Its answer.
    type Answer: Send;

    /// Does all of `orders` in one commit; one answer each, in order. Called again after a failure.
    async fn attempt(
        &self,
        session: &Session,
        orders: &[Self::Order],
    ) -> Result<Vec<Self::Answer>, Failure>;
}

/// Runs until every caller's end is gone.
pub(crate) async fn run<R: Room>(room: R, pool: Pool, batches: Batches<R::Order, R::Answer>) {
    run_beside(room, pool, Arc::new(Mutex::new(batches))).await;
}

/// The same beside others of the same room: whoever is free takes all that waits.
pub(crate) async fn run_beside<R: Room>(
    room: R,
    pool: Pool,
    batches: Arc<Mutex<Batches<R::Order, R::Answer>>>,
) {
    let mut batch: Vec<Waiting<R::Order, R::Answer>> = Vec::new();
    loop {
        let more = batches.lock().await.next(&mut batch).await;
        if !more {
            break;
        }
        let (orders, replies): (Vec<_>, Vec<_>) = batch.drain(..).map(Waiting::split).unzip();
        for (reply, answer) in replies.into_iter().zip(flush(&room, &pool, &orders).await) {
            reply.send(answer);
        }
    }
}

async fn flush<R: Room>(
    room: &R,
    pool: &Pool,
    orders: &[R::Order],
) -> Vec<Result<R::Answer, StoreError>> {
    let failure = match persist(room, pool, orders, false).await {
        Ok(answers) if answers.len() == orders.len() => {
            return answers.into_iter().map(Ok).collect();
        }
        Ok(_) => Failure::Refused(StoreError::Corrupt("answers are missing".into())),
        Err(failure) => failure,
    };
    // One of them may be what the database refuses, or what somebody holds a lock on: then the others go
    // on without it.
    let apart = matches!(
        failure,
        Failure::Refused(StoreError::Failed(_)) | Failure::Locked | Failure::Apart
    );
    if apart && orders.len() > 1 {
        let mut answers = Vec::with_capacity(orders.len());
        let hurried = matches!(failure, Failure::Locked);
        for order in orders {
            let answer = persist(room, pool, std::slice::from_ref(order), hurried).await;
            answers.push(match answer.map(|mut answers| answers.pop()) {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(StoreError::Corrupt("an answer is missing".into())),
                Err(failure) => Err(logged(failure, 1)),
            });
        }
        return answers;
    }
    let error = logged(failure, orders.len());
    orders.iter().map(|_| Err(copy(&error))).collect()
}

/// Tries until it is done, or known not to be; `hurried` does not wait for locks.
async fn persist<R: Room>(
    room: &R,
    pool: &Pool,
    orders: &[R::Order],
    hurried: bool,
) -> Result<Vec<R::Answer>, Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        let session = pool.session().await?.hurried(hurried);
        let failure = match tokio::time::timeout(LONGEST, room.attempt(&session, orders)).await {
            Ok(Ok(answers)) => return Ok(answers),
            Ok(Err(failure)) => failure,
            Err(elapsed) => Failure::Unknown(StoreError::Unknown(Box::new(elapsed))),
        };
        match &failure {
            Failure::Gone(_) | Failure::Unknown(_) | Failure::Again(StoreError::Unavailable) => {
                session.discard();
            }
            // The next try would meet the locks of this one.
            _ => session.roll_back().await,
        }
        match failure {
            Failure::Again(error) | Failure::Gone(error) if tries < TRIES => {
                tracing::debug!(error = %chain(&error), tries, "a transaction is tried again");
            }
            Failure::Gone(error) => {
                tracing::error!(error = %chain(&error), "the database goes away again and again");
                return Err(Failure::Refused(StoreError::Unavailable));
            }
            failure => return Err(failure),
        }
    }
}

fn logged(failure: Failure, commands: usize) -> StoreError {
    let error = failure.into_error();
    if !matches!(error, StoreError::Unavailable) {
        tracing::error!(error = %chain(&error), commands, "a transaction failed");
    }
    error
}

/// The same error for another caller.
pub(crate) fn copy(error: &StoreError) -> StoreError {
    match error {
        StoreError::Busy => StoreError::Busy,
        StoreError::Unavailable => StoreError::Unavailable,
        StoreError::Full => StoreError::Full,
        StoreError::PageTooLarge => StoreError::PageTooLarge,
        StoreError::Unknown(_) => StoreError::Unknown(chain(error).into()),
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        StoreError::Failed(_) => StoreError::Failed(chain(error).into()),
    }
}
