//! TaskFlow's store on an embedded SQLite file.
//!
//! One thread owns the one connection that writes and commits whatever waits in one transaction;
//! reads go to their own connections. WAL with `synchronous=FULL`: `Ok` is on disk. Several processes
//! may share the file on one host. What is not here: rules (`core`), announcements (`service`).

mod act;
mod changes;
mod connect;
mod error;
mod gates;
mod idempotency;
mod keeper;
mod keyed;
mod lists;
mod memory;
mod migrate;
mod moving;
mod queues;
mod readers;
mod retention;
mod rows;
mod search;
mod series;
mod serve;
mod sessions;
mod shrink;
mod stats;
mod store;
mod tasks;
mod work;
mod workers;
mod writer;

pub use error::OpenError;
pub use migrate::SCHEMA;
pub use moving::Source;
pub use store::SqliteStore;
