//! `taskflow completion`: a script that lets a shell complete the command line. It installs nothing.

use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

use super::print;

/// Which shells there are.
pub fn arguments(command: Command) -> Command {
    command.arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .value_parser(clap::value_parser!(Shell))
            .help("The shell that is to read the script"),
    )
}

/// Prints the script of the shell in `matches` for the whole `program`. Fails when standard output
/// takes nothing.
pub fn run(matches: &ArgMatches, mut program: Command) -> anyhow::Result<()> {
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    // Written to memory first: the generator panics when its output breaks.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "taskflow", &mut script);
    Ok(print(&script)?)
}
