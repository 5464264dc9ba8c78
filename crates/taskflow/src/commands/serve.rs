//! `taskflow serve`: the API, the duties and, unless it is switched off, a worker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use taskflow_api::server::{ServerLimits, serve};
use taskflow_service::worker::Worker;
use taskflow_service::{Services, duties};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{say, signals};
use crate::config::Config;
use crate::wire;

/// What answering the last requests may take, within the jobs' own grace.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> anyhow::Result<()> {
    raise_file_limit();
    let address = (config.http.host.as_str(), config.http.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("HOST and PORT: cannot listen on {}:{}", address.0, address.1))?;
    // Only a server that can listen makes a database file.
    let services = wire::services(&config, wire::open(&config).await?);
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    signals::listen(&stop, &now)?;
    announce(&config, &listener)?;
    let router = taskflow_api::router(wire::api(&config, services.clone()));
    tokio::select! {
        done = run_parts(&config, &services, listener, router, &stop) => done,
        () = now.cancelled() => Ok(()),
    }
}

async fn run_parts(
    config: &Config,
    services: &Services,
    listener: TcpListener,
    router: axum::Router,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let duties_stop = CancellationToken::new();
    let duties = duties::run(services.duties(), &services.clock, &duties_stop);
    let listening = tokio::spawn(services.listen());
    let grace = config.worker.shutdown_grace;
    let worker = if config.worker.enabled {
        let registry = wire::registry(config)?;
        let source = wire::local_source(config, services, &registry)?;
        let worker = Worker::new(source, registry, config.worker.concurrency);
        Some(tokio::spawn(worker.run(stop.clone(), grace)))
    } else {
        None
    };
    let bus = Arc::clone(&services.bus);
    let closing = stop.clone();
    tokio::spawn(async move {
        closing.cancelled().await;
        // Parked claims answer at once; the rest of the requests gets its time.
        bus.close();
    });
    serve(listener, router, ServerLimits::default(), stop.clone(), grace.min(LAST_ANSWERS)).await?;
    if let Some(worker) = worker {
        worker.await.context("the worker panicked")?;
    }
    duties_stop.cancel();
    duties.wait().await;
    listening.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Ten thousand connections need as many files; the usual soft limit is 1,024.
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = %error, "the limit of open files could not be raised");
    }
}

fn announce(config: &Config, listener: &TcpListener) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(
        address = %address,
        version = env!("CARGO_PKG_VERSION"),
        worker.enabled = config.worker.enabled,
        worker.concurrency = config.worker.concurrency,
        "listening"
    );
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        let key = if config.auth.api_key.is_some() {
            " \\\n       -H \"X-API-Key: $API_KEY\""
        } else {
            ""
        };
        let hello = format_args!(
            "\n  TaskFlow {}\n\n  dashboard   http://{address}/\n  API         http://{address}/api/v1\n  \
             docs        http://{address}/docs  (to read: /redoc)\n\n  Try it:\n\n  \
             curl -X POST http://{address}/api/v1/tasks{key} \\\n       \
             -H 'Content-Type: application/json' -d '{{\"title\": \"My first task\"}}'\n",
            env!("CARGO_PKG_VERSION"),
        );
        // A terminal that is gone is no reason to serve nobody.
        if let Err(error) = say(hello) {
            tracing::debug!(%error, "nobody reads the first lines");
        }
    }
    Ok(())
}
