//! The composition root: configuration in, running parts out. The only file that names concrete
//! stores; everything else holds ports.

use std::sync::Arc;

use taskflow_api::{ApiKey, ApiOptions, ApiState, Cors};
use taskflow_core::{Kind, WorkerName};
use taskflow_notify::{HttpHandler, Outbound};
use taskflow_service::clock::{IdSource, SystemClock, SystemIds};
use taskflow_service::worker::builtin::{LogHandler, SleepHandler};
use taskflow_service::worker::command::{CommandHandler, CommandSpec};
use taskflow_service::worker::registry::Registry;
use taskflow_service::worker::source::{Local, WorkSource};
use taskflow_service::{Actor, Services};
pub use taskflow_sqlite::SCHEMA;
use taskflow_sqlite::SqliteStore;
use taskflow_store::Store;

use crate::config::sources::environment;
use crate::config::{Config, CorsOrigins, Database};

/// Said to whoever names PostgreSQL.
pub const NO_POSTGRES: &str = "DATABASE_URL names PostgreSQL, which this version does not know yet; \
                               use sqlite:///./taskflow.db";

/// Opens the database that the configuration names and brings its schema up to date.
pub fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match &config.database {
        Database::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path)?)),
        Database::Postgres(_) => anyhow::bail!(NO_POSTGRES),
    }
}

/// The use cases on a store, with the system's clock and dice.
pub fn services(config: &Config, store: Arc<dyn Store>) -> Services {
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    Services::new(store, clock, ids, config.worker.poll_interval)
}

/// What the API needs to know.
pub fn api(config: &Config, services: Services) -> ApiState {
    let seed = SystemIds.tokens(1);
    let options = ApiOptions {
        title: config.api.title.clone(),
        version: config.api.version.clone(),
        key: config.auth.api_key.as_ref().map(|key| ApiKey::new(key.expose())),
        cors: match &config.http.cors_origins {
            CorsOrigins::Any => Cors::Any,
            CorsOrigins::Only(origins) => Cors::Only(origins.clone()),
        },
        request_seed: seed
            .first()
            .and_then(|token| u32::from_str_radix(token.to_wire().get(..8)?, 16).ok())
            .unwrap_or(0),
    };
    ApiState::new(services, options)
}

/// The handlers of the built-in kinds.
pub fn registry(config: &Config) -> anyhow::Result<Registry> {
    let kind = |name: &str| Kind::parse(name).map_err(anyhow::Error::from);
    let commands = config.worker.commands.iter().map(|command| {
        let spec = CommandSpec {
            argv: command.argv.clone(),
            env: command.env.clone(),
            cwd: command.cwd.clone(),
            retry_exit_codes: command.retry_exit_codes.clone(),
        };
        (command.name.clone(), spec)
    });
    let outbound = Outbound::new(config.worker.http_allow_private.clone())?;
    let registry = Registry::default()
        .with(kind("log")?, LogHandler)
        .with(kind("sleep")?, SleepHandler)
        .with(kind("http")?, HttpHandler::new(outbound))
        .with(kind("command")?, CommandHandler::new(commands.collect()).inheriting(environment()));
    Ok(registry)
}

/// Work from this process's own services.
pub fn local_source(
    config: &Config,
    services: &Services,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn WorkSource>> {
    let queues = (!config.worker.queues.is_empty()).then(|| config.worker.queues.clone());
    let (work, worker) = (services.work.clone(), worker_name(config)?);
    Ok(Arc::new(Local::new(work, Actor::DEFAULT, worker, queues, registry.kinds())))
}

/// The configured name, or `host:pid`.
pub fn worker_name(config: &Config) -> anyhow::Result<WorkerName> {
    if let Some(name) = &config.worker.name {
        return Ok(name.clone());
    }
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .take(100)
        .collect();
    let host = host.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let host = if host.is_empty() { "host" } else { host };
    Ok(WorkerName::parse(&format!("{host}:{}", std::process::id()))?)
}
