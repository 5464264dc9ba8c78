//! `taskflow health`: asks a running server whether it is ready, for health checks where there is no
//! other HTTP client. It starts nothing.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::say;
use crate::config::Config;
use crate::remote;

/// The longest that the server may take: it bounds its own look at the database by two seconds.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// Prints what the server says. An error, and exit code 1, when it is not ready.
pub async fn run(config: Config, server: Option<String>) -> anyhow::Result<()> {
    let own = || format!("http://127.0.0.1:{}", config.http.port);
    let server = server.unwrap_or_else(own);
    let url = format!("{}/api/v1/health/ready", server.trim_end_matches('/'));
    let client = remote::client(|builder| builder.timeout(ANSWER_MAX))?;
    let answer = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    let said: Value = answer.json().await.with_context(|| format!("{url} is no TaskFlow"))?;
    say(&said)?;
    ensure!(status.is_success(), "the server is not ready");
    Ok(())
}
