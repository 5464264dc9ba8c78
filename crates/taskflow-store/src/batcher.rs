//! Natural batching: many callers, one flush, one answer each.
//!
//! The flusher takes whatever has come in while its last flush ran. There is no timer: an idle system
//! pays one flush per call and a busy one shares it. What a flush does is the store's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskflow_core::limits::{WRITER_BATCH_MAX, WRITER_QUEUE_BYTES_MAX, WRITER_QUEUE_MAX};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// A command with the way back to its caller.
#[derive(Debug)]
pub struct Waiting<C, A> {
    /// What to do.
    pub command: C,
    reply: Reply<A>,
}

impl<C, A> Waiting<C, A> {
    /// Parts the command from its way back.
    pub fn split(self) -> (C, Reply<A>) {
        (self.command, self.reply)
    }
}

/// The way back to a caller. A caller that went away does not undo its command.
#[derive(Debug)]
pub struct Reply<A> {
    reply: oneshot::Sender<Result<A, StoreError>>,
    held: Held,
}

/// Bytes that a command holds in the queue, given back when it is answered or lost.
#[derive(Debug)]
struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<A> Reply<A> {
    /// Answers.
    pub fn send(self, answer: Result<A, StoreError>) {
        drop(self.held);
        // The caller may be gone; its command stands all the same.
        drop(self.reply.send(answer));
    }
}

/// The callers' end.
#[derive(Debug)]
pub struct Batcher<C, A> {
    queue: mpsc::Sender<Waiting<C, A>>,
    held: Arc<AtomicUsize>,
}

/// The flusher's end.
#[derive(Debug)]
pub struct Batches<C, A> {
    queue: mpsc::Receiver<Waiting<C, A>>,
}

/// A batcher with room for `limits::WRITER_QUEUE_MAX` commands.
pub fn channel<C, A>() -> (Batcher<C, A>, Batches<C, A>) {
    let (sender, queue) = mpsc::channel(WRITER_QUEUE_MAX);
    (Batcher { queue: sender, held: Arc::default() }, Batches { queue })
}

impl<C, A> Batcher<C, A> {
    /// Hands `command` (about `bytes` large) to the flusher and waits for its answer. `Busy` when too
    /// many commands or bytes wait already, `Unavailable` when the flusher is gone. Once handed over,
    /// the command is carried out even if this future is dropped.
    pub async fn submit(&self, command: C, bytes: usize) -> Result<A, StoreError> {
        let answer = self.hand_over(command, bytes)?;
        // A flusher that goes away without an answer may have committed first.
        answer.await.unwrap_or_else(|lost| Err(StoreError::Unknown(Box::new(lost))))
    }

    /// Hands `command` over without waiting for an answer; the same errors as `submit`.
    pub fn post(&self, command: C) -> Result<(), StoreError> {
        self.hand_over(command, 0).map(drop)
    }

    fn hand_over(
        &self,
        command: C,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<A, StoreError>>, StoreError> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { bytes, all: Arc::clone(&self.held) };
        // A single command may be larger than what is left, so that nothing is refused for ever.
        if before > 0 && before + bytes > WRITER_QUEUE_BYTES_MAX {
            return Err(StoreError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { command, reply: Reply { reply, held } };
        self.queue.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Unavailable,
        })?;
        Ok(answer)
    }
}

impl<C, A> Batches<C, A> {
    /// Blocks until a command waits, then moves all that wait into `batch`, up to
    /// `limits::WRITER_BATCH_MAX`. False when every caller's end is gone.
    ///
    /// Measured with 64 callers in a closed loop: neither giving the processor away first nor waiting
    /// 150 µs for more callers made the rate higher.
    pub fn next_blocking(&mut self, batch: &mut Vec<Waiting<C, A>>) -> bool {
        self.queue.blocking_recv_many(batch, WRITER_BATCH_MAX) > 0
    }

    /// The same for an asynchronous flusher.
    pub async fn next(&mut self, batch: &mut Vec<Waiting<C, A>>) -> bool {
        self.queue.recv_many(batch, WRITER_BATCH_MAX).await > 0
    }
}
