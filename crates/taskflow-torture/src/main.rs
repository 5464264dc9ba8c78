//! The command line of the torture test. It only reads arguments and prints the verdict.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use taskflow_torture::{Fault, Options, run};

/// Puts a TaskFlow server through faults under load and checks that it kept its promises.
#[derive(Debug, Parser)]
#[command(name = "taskflow-torture", version)]
struct Arguments {
    /// The server program to be tested
    #[arg(long, value_name = "PATH")]
    server_bin: PathBuf,
    /// Decides workload and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many faults there are
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Folder for database, history and verdict [default: a new one among the temporary files]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// What is done to the server
    #[arg(long, value_enum, default_value_t = Profile::SqliteKill)]
    profile: Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// kill -9 of one server on SQLite, again and again
    SqliteKill,
    /// kill -9 of three servers on PostgreSQL
    PostgresKill,
    /// Servers on PostgreSQL stopped for longer than a lease and woken
    PostgresStop,
    /// PostgreSQL ended at once and started again
    PostgresCrash,
    /// Every connection to PostgreSQL ended five times a second
    PostgresSever,
    /// All of these in turn
    PostgresAll,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the verdict is what this program is for")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let dir = arguments.dir.unwrap_or_else(|| {
        let name = format!("taskflow-torture-{}-{}", arguments.seed, std::process::id());
        std::env::temp_dir().join(name)
    });
    let (bin, seed) = (arguments.server_bin, arguments.seed);
    let faults = match arguments.profile {
        Profile::SqliteKill | Profile::PostgresAll => None,
        Profile::PostgresKill => Some(Fault::Kill),
        Profile::PostgresStop => Some(Fault::Stop),
        Profile::PostgresCrash => Some(Fault::Crash),
        Profile::PostgresSever => Some(Fault::Sever),
    };
    let mut options = match arguments.profile {
        Profile::SqliteKill => Options::new(bin, dir.clone(), seed),
        _ => Options::postgres(bin, dir.clone(), seed),
    };
    options.faults = faults.map_or(options.faults, |fault| vec![fault]);
    options.kills = arguments.kills;
    let verdict = run(options).await?;
    println!("{verdict}");
    println!("written to  {}", dir.display());
    Ok(if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
