//! Version 1 of the API: one file per group of routes, each with its router, wire types and handlers.

pub(crate) mod bench;
pub(crate) mod bulk;
pub(crate) mod claim;
pub(crate) mod create;
pub(crate) mod explain;
pub(crate) mod faults;
pub(crate) mod few;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod idempotency;
pub(crate) mod many;
pub(crate) mod queues;
pub(crate) mod reply;
pub(crate) mod stats;
pub(crate) mod sync;
pub(crate) mod tasks;
pub(crate) mod timeseries;
pub(crate) mod turn;
pub(crate) mod update;
pub(crate) mod view;
pub(crate) mod words;
pub(crate) mod work;
pub(crate) mod workers;
