//! The store on PostgreSQL: any number of nodes share one database.
//!
//! Reading order: `store.rs` (the contract), `writer.rs` (one flusher a room), `orders.rs` (what a
//! transaction does), `desk.rs` (what it works on), `tasks.rs` and `work.rs` (the rooms), `lanes.rs`
//! (where claims look), `keeper.rs` and `listen.rs` (what a node does beside). It knows no HTTP and no
//! rule of a task: those are `core::step`'s.

mod announce;
mod changes;
mod clock;
mod columns;
mod connect;
mod desk;
mod error;
mod gates;
mod guard;
mod idempotency;
mod keeper;
mod keyed;
mod lanes;
mod listen;
mod lists;
mod migrate;
mod moving;
mod options;
mod orders;
mod queues;
mod retention;
mod rows;
mod search;
mod series;
mod serve;
mod session;
mod sessions;
mod states;
mod stats;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;
mod work;
mod workers;
mod writer;

pub use error::OpenError;
pub use migrate::SCHEMA;
pub use moving::Target;
pub use options::{Options, PoolMode};
pub use store::PostgresStore;

/// Starts a task of the store's own; it ends with its connection, its queue or its store.
fn spawn<F: Future<Output = ()> + Send + 'static>(task: F) -> tokio::task::AbortHandle {
    tokio::spawn(task).abort_handle()
}
