//! `taskflow migrate`: brings the database up to date and says so. `serve` does it by itself.

use super::say;
use crate::config::Config;
use crate::wire;

/// Opens the database, which migrates it.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let opened = wire::open(&config).await?;
    Ok(say(format_args!("the database is at schema {}", opened.schema()))?)
}
