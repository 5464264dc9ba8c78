//! The PostgreSQL store against the contract, a database of its own per case.
//!
//! `scripts/test` starts a server for it; elsewhere `TEST_DATABASE_URL` names one whose user may
//! create databases. Nothing here passes without a server.

mod databases;
mod enqueue;

use databases::DATABASES;

taskflow_store::conformance!(*DATABASES);
