//! The facade.

pub mod commands;
pub mod config;
pub mod logging;
