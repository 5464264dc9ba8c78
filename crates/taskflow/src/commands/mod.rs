//! One file per command. Only here the program prints.

pub mod bench;
pub mod config;
pub mod health;
pub mod migrate;
pub mod moving;
pub mod openapi;
pub mod seed;
pub mod serve;
mod signals;
pub mod worker;

/// Tells whoever runs the program why it ends.
#[expect(clippy::print_stderr, reason = "the last word of a command is for whoever runs it")]
pub fn complain(what: &dyn std::fmt::Display) {
    eprintln!("taskflow: {what}");
}
