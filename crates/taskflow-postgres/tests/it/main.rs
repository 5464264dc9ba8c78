//! The PostgreSQL store against the contract, a database of its own per case.
//!
//! `scripts/test` starts a server for it; elsewhere `TEST_DATABASE_URL` names one whose user may
//! create databases. Nothing here passes without a server.

mod announcing;
mod clocks;
mod crowded;
mod databases;
mod enqueue;
mod keys;
mod limits;
mod opening;
mod outages;
mod search_room;
mod series;
mod tls;
mod watching;

use databases::Databases;
use taskflow_postgres::PoolMode;

taskflow_store::conformance!(Databases(PoolMode::Session));

/// The same as behind a pooler that may give every transaction another connection.
mod transaction {
    use super::{Databases, PoolMode};

    taskflow_store::conformance!(Databases(PoolMode::Transaction));
}

/// Takes minutes: `cargo test -p taskflow-postgres --all-features --test it -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_random_commands_match_the_model() {
    use taskflow_store::conformance::random::{Effort, try_commands};
    let effort = Effort { sequences: 700, commands: 200, seed: 7 };
    try_commands(&Databases(PoolMode::Session), effort);
}
