//! The in-process worker.

pub mod handler;
