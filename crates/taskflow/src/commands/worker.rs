//! `taskflow worker`: a worker without the API, on the database or over HTTP.

use std::sync::Arc;

use taskflow_service::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::signals;
use crate::config::Config;
use crate::embed::TaskFlow;
use crate::remote::Remote;
use crate::wire;

/// Runs until SIGTERM or SIGINT, or until it was told to drain and is done; with `server` it takes work over
/// HTTP.
pub async fn run(config: Config, server: Option<String>) -> anyhow::Result<()> {
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    signals::listen(&stop, &now)?;
    let work = async {
        match server {
            Some(url) => over_http(&config, &url, &stop).await,
            None => on_database(config, stop.clone()).await,
        }
    };
    tokio::select! {
        done = work => {
            tracing::info!("stopped");
            done
        }
        () = now.cancelled() => Ok(()),
    }
}

async fn over_http(config: &Config, url: &str, stop: &CancellationToken) -> anyhow::Result<()> {
    let registry = wire::registry(config)?;
    let name = wire::worker_name(config)?;
    let key = config.auth.api_key.as_ref().map(|key| key.expose().to_owned());
    let queues = config.worker.queues.clone();
    let source = Remote::new(url, key, &name, &wire::call()?, queues, registry.kinds())?;
    tracing::info!(worker.name = name.as_str(), server.url = source.shown(), "working over HTTP");
    Worker::new(Arc::new(source), registry, config.worker.concurrency)
        .leaving_when_drained()
        .run(stop.clone(), config.worker.shutdown_grace)
        .await;
    Ok(())
}

async fn on_database(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let registry = wire::registry(&config)?;
    let name = wire::worker_name(&config)?;
    let flow = TaskFlow::configured(config).await?.handlers(registry).leaving_when_drained();
    tracing::info!(worker.name = name.as_str(), "working on the database");
    flow.run(stop).await
}
