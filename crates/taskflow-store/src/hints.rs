//! What became ready, told beside the answers, and what other processes may have done.
//! Hints are data: a lost one costs a poll interval, never a task.

use taskflow_core::{Kind, QueueName, Task, Timestamp};
use tokio::sync::watch;

/// A pending task that may be claimed from `run_at` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: Kind,
    /// Not before.
    pub run_at: Timestamp,
}

impl Ready {
    /// What a task that waits for nothing makes ready.
    pub fn of(task: &Task) -> Self {
        Self { queue: task.queue.clone(), kind: task.kind.clone(), run_at: task.state.run_at }
    }
}

/// Answers of one call, one per item, and what became ready by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers<T> {
    /// One per item, in the order of the items.
    pub items: Vec<T>,
    /// Tasks that wait now and did not before, or wait for another instant.
    pub ready: Vec<Ready>,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { items: Vec::new(), ready: Vec::new() }
    }
}

/// Counts foreign commits; a change means "another process wrote something".
pub type Hints = watch::Receiver<u64>;
