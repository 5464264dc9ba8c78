//! `taskflow migrate`: brings the database up to date and says so. `serve` does it by itself.

use crate::config::Config;
use crate::wire;

/// Opens the database, which migrates it.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub async fn run(config: Config) -> anyhow::Result<()> {
    let opened = wire::open(&config).await?;
    println!("the database is at schema {}", opened.schema());
    Ok(())
}
