//! One file per command. Only here the program prints.

use std::io::Write;

pub mod bench;
pub mod completion;
pub mod config;
pub mod health;
pub mod migrate;
pub mod moving;
pub mod openapi;
pub mod queue;
pub mod seed;
pub mod serve;
mod signals;
mod table;
pub mod task;
pub mod worker;
pub mod workers;

/// Tells whoever runs the program why it ends.
#[expect(clippy::print_stderr, reason = "the last word of a command is for whoever runs it")]
pub fn complain(what: &dyn std::fmt::Display) {
    eprintln!("taskflow: {what}");
}

/// Writes an answer to standard output, all of it. Unlike the print macros it does not panic when
/// the reader has gone away.
fn print(text: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text)?;
    output.flush()
}
