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

/// Writes a line to standard output.
fn say(what: impl std::fmt::Display) -> std::io::Result<()> {
    print(format!("{what}\n").as_bytes())
}

/// Writes an answer to standard output, all of it. A reader that went away early (`… | head`) is no
/// error, and unlike the print macros nothing panics.
fn print(text: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
