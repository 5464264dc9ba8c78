//! The API's contract, one file per area, without sockets: what the server does with connections
//! is tested beside it.

mod app;
mod attempts;
mod auth;
mod bad_inputs;
mod cors;
mod dashboard;
mod events;
mod health;
mod idempotency;
mod openapi;
mod operations;
mod options;
mod pages;
mod queues;
mod stats;
mod tasks;
mod work;
mod workers;
