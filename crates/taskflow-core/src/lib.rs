//! The law of TaskFlow: its words, their limits and the pure state machine.
//!
//! Read in this order: [`status`] (the five words and their table), [`mod@step`] (one command on one
//! task), [`lease`], [`retry`], [`task`], [`limits`].
//!
//! What is deliberately not here: no async, no I/O, no clock reads, no randomness, no wire format.
//! `now` and tokens are arguments, so that two databases agree by construction.

pub mod attempt;
pub mod change;
pub mod diagram;
pub mod explain;
pub mod failures;
pub mod fault;
pub mod gate;
pub mod histogram;
pub mod idempotency;
pub mod json;
pub mod lease;
pub mod limits;
pub mod many;
pub mod name;
pub mod patch;
pub mod queue;
pub mod retention;
pub mod retry;
pub mod search;
pub mod series;
pub mod session;
pub mod status;
pub mod step;
pub mod task;
pub mod tenant;
pub mod text;
pub mod time;
pub mod workers;

pub use attempt::{Attempt, Outcome};
pub use change::{Change, Interest, Sort, TaskChange, TaskEvent};
pub use fault::Fault;
pub use gate::{Barred, Gate, RateWindow};
pub use idempotency::{Fingerprint, IdempotencyKey, KeyHash, Ticket};
pub use json::Json;
pub use lease::{Finish, LeaseToken, TokenHash};
pub use name::{Instance, Kind, QueueName, WorkerName};
pub use patch::{Pinned, Plan, Refusal, TaskPatch};
pub use queue::{Queue, QueuePatch};
pub use retention::Retention;
pub use retry::{RetryPolicy, Strategy};
pub use session::{Session, SessionHash, SessionToken};
pub use status::{PendingReason, Priority, Status};
pub use step::{Command, Illegal, Step, step};
pub use task::{NewTask, State, Task, TaskId, Terms};
pub use tenant::TenantId;
pub use time::{Clock, ManualClock, Timestamp};

#[cfg(test)]
mod tests;
