//! How requests are read: bodies, ids in paths, queries, preconditions. Each refuses in words.

pub(crate) mod body;
pub(crate) mod call;
mod header;
pub(crate) mod idempotency;
pub(crate) mod if_match;
pub(crate) mod path;
pub(crate) mod query;

pub(crate) use body::{Body, LargeBody, NoBody, OptionalBody, parse};
pub(crate) use call::Called;
pub(crate) use idempotency::Key;
pub(crate) use if_match::IfMatch;
pub(crate) use path::{QueuePath, TaskPath, WorkerPath};
pub(crate) use query::Query;
