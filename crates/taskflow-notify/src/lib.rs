//! Everything that TaskFlow sends to addresses which somebody else chose: the guarded client and the
//! handler of kind `http`.
//!
//! Read in this order: [`guard`] (which URLs and addresses are allowed: pure rules), [`client`] (the
//! one outbound client, which dials only what the guard checked), [`http`] (the handler), with
//! `request.rs` (payload to request) and `answer.rs` (response to outcome) beside it.
//!
//! What is deliberately not here: no other way to reach the network, no storage, no retries (the
//! queue retries), no reading of the environment.

pub mod client;
pub mod guard;
pub mod http;

mod answer;
mod request;

pub use client::Outbound;
pub use guard::{BadAllowList, Refused};
pub use http::HttpHandler;

#[cfg(test)]
mod tests;
