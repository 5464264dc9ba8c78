//! The program: parses arguments, reads the configuration, calls a command.

use std::process::ExitCode;

use taskflow::cli;

/// Smaller and faster than the system's under many short-lived buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
