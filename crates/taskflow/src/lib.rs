//! TaskFlow in one program, and the façade for programs that embed it.
//!
//! An embedder opens a store, builds [`Services`], registers handlers and runs a [`Worker`]; see
//! `examples/embedded.rs`.

pub mod cli;
pub mod commands;
pub mod config;
pub mod logging;
pub mod remote;
pub mod wire;

pub use taskflow_core as core;
pub use taskflow_service::worker::Worker;
pub use taskflow_service::worker::handler::{Answer, Context, Handler, Job};
pub use taskflow_service::worker::registry::Registry;
pub use taskflow_service::worker::source::{Local, WorkSource};
pub use taskflow_service::{Actor, ServiceError, Services};
