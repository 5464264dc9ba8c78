//! The program from outside: real processes, real ports, real files. One test binary, so that it is
//! linked once. What a part does by itself is tested beside it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; its tools do too")]

mod browser;
mod cli;
mod crash;
mod documents;
mod draining;
mod embedded;
mod end_to_end;
mod files;
mod idempotency;
mod inherited;
mod kills;
mod kinds;
mod pauses;
mod postgres;
mod queue_command;
mod raw;
mod readme;
mod retention;
mod server;
mod task_command;
mod tidy;
mod workers;
