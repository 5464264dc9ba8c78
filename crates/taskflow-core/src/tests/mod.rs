//! Tests of the law, one file per word, and what they share: fixed instants, tokens and tasks.
//! Nothing here is random or timed but through proptest.

mod attempt;
mod blocked;
mod change;
mod explain;
mod failures;
mod gate;
mod histogram;
mod idempotency;
mod json;
mod lease;
mod many;
mod name;
mod retention;
mod retry;
mod search;
mod sequence;
mod series;
mod session;
mod status;
mod step;
mod task;
mod time;
mod workers;

use crate::lease::{Finish, TokenHash};
use crate::name::WorkerName;
use crate::status::Status;
use crate::step::{Command, Illegal, Step, step};
use crate::task::{State, TaskId, Terms};
use crate::time::Timestamp;

/// 2026-01-31T09:30:00Z and `seconds` later.
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(1_769_851_800_000_000).plus_seconds(seconds)
}

fn id() -> TaskId {
    TaskId::new(7).unwrap()
}

/// The stored form of the `n`-th token.
fn token(n: u8) -> TokenHash {
    TokenHash([n; 16])
}

fn claim(n: u8) -> Command {
    Command::Claim {
        worker: WorkerName::parse("w1").unwrap(),
        token: token(n),
        lease_seconds: None,
    }
}

fn extend(n: u8) -> Command {
    Command::Extend { token: token(n), progress: None, checkpoint: None }
}

fn finish(n: u8, finish: Finish) -> Command {
    Command::Finish { token: token(n), finish }
}

fn failed(error: &str) -> Finish {
    Finish::Failed { error: error.to_owned(), retryable: true, retry_after: None }
}

/// One task under test: every command moves it on, or leaves it as it was.
#[derive(Clone)]
struct Case {
    terms: Terms,
    state: State,
}

impl Case {
    /// A task born and due at `at(0.0)`.
    fn new(terms: Terms) -> Self {
        Self { terms, state: State::born(at(0.0), 0, at(0.0)) }
    }

    /// A task brought to `status` within the first second; a worker held it where one can.
    fn that_is(status: Status) -> Self {
        let mut case = Self::new(Terms::default());
        if status != Status::Pending {
            case.run(claim(1), at(0.0));
        }
        if status.is_ended() {
            case.run(Command::Move(status), at(1.0));
        }
        assert_eq!(case.state.status, status);
        case
    }

    fn attempt(&mut self, command: Command, now: Timestamp) -> Result<Step, Illegal> {
        let made = step(id(), &self.terms, &self.state, command, now)?;
        self.state = made.state.clone();
        Ok(made)
    }

    /// Like `attempt`, for commands that must apply.
    fn run(&mut self, command: Command, now: Timestamp) -> Step {
        let label = format!("{command:?}");
        self.attempt(command, now).unwrap_or_else(|why| panic!("{label} was refused: {why}"))
    }
}
