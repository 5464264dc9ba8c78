//! TaskFlow in one program, and the façade for programs that embed it.
//!
//! An embedder opens a [`TaskFlow`], registers a [`Handler`] for each kind, creates tasks and runs
//! them; see `examples/embedded.rs`. What that is made of ([`Services`], [`Worker`], [`wire`]) is
//! public too.

pub mod cli;
pub mod commands;
pub mod config;
pub mod embed;
pub mod logging;
pub mod remote;
pub mod wire;

pub use async_trait::async_trait;
pub use embed::TaskFlow;
pub use taskflow_core as core;
pub use taskflow_service::worker::Worker;
pub use taskflow_service::worker::handler::{Answer, Context, Handler, Job};
pub use taskflow_service::worker::registry::Registry;
pub use taskflow_service::worker::source::{Local, WorkSource};
pub use taskflow_service::{Actor, ServiceError, Services};
pub use tokio_util::sync::CancellationToken;
