//! The composition root: configuration in, running parts out. The only file that names concrete
//! stores; everything else holds ports.

use std::sync::Arc;

use anyhow::Context;
use taskflow_api::{ApiKey, ApiOptions, ApiState, Cors};
use taskflow_core::workers::Call;
use taskflow_core::{Clock, Instance, Kind, WorkerName};
use taskflow_notify::{HttpHandler, Outbound};
use taskflow_postgres::PostgresStore;
use taskflow_service::clock::{IdSource, SystemClock, SystemIds};
use taskflow_service::worker::builtin::{LogHandler, SleepHandler};
use taskflow_service::worker::command::{CommandHandler, CommandSpec};
use taskflow_service::worker::registry::Registry;
use taskflow_service::worker::source::{Local, WorkSource};
use taskflow_service::{Actor, Services};
use taskflow_sqlite::SqliteStore;
use taskflow_store::Store;
use taskflow_store::moving::{MoveFrom, MoveTo};

use crate::config::sources::environment;
use crate::config::{Config, CorsOrigins, Place, PoolMode, Sources};

/// A database in use, and the clock that judges its leases and due times.
pub struct Opened {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    schema: i64,
}

impl Opened {
    /// The schema that it has now.
    pub fn schema(&self) -> i64 {
        self.schema
    }
}

/// Opens the database that the configuration names and brings its schema up to date. On one file the
/// machine's clock counts, on a server that many nodes share the server's.
///
/// # Errors
///
/// Whatever keeps the database from being used; no text holds a password.
pub async fn open(config: &Config) -> anyhow::Result<Opened> {
    match &config.database.place {
        Place::Sqlite(path) => Ok(Opened {
            store: Arc::new(SqliteStore::open(path)?),
            clock: Arc::new(SystemClock::default()),
            schema: taskflow_sqlite::SCHEMA,
        }),
        Place::Postgres(url) => {
            let options = taskflow_postgres::Options {
                url: url.expose().to_owned(),
                pool_mode: match config.database.pool_mode {
                    PoolMode::Session => taskflow_postgres::PoolMode::Session,
                    PoolMode::Transaction => taskflow_postgres::PoolMode::Transaction,
                },
                pool_size: config.database.pool_size,
            };
            let store = PostgresStore::open(options).await?;
            let clock = store.clock();
            let schema = i64::from(taskflow_postgres::SCHEMA);
            Ok(Opened { store: Arc::new(store), clock, schema })
        }
    }
}

/// The two ends of a move, by their URLs.
///
/// # Errors
///
/// URLs of other sorts, and whatever keeps a database from being used.
pub async fn movers(from: &str, to: &str) -> anyhow::Result<(Box<dyn MoveFrom>, Box<dyn MoveTo>)> {
    let place = |name, url| -> anyhow::Result<_> {
        let sources = Sources::default().flag("DATABASE_URL", url);
        let config = Config::load(sources);
        config.map(|config| config.database.place).with_context(|| format!("--{name}"))
    };
    let (Place::Sqlite(path), Place::Postgres(url)) = (place("from", from)?, place("to", to)?)
    else {
        anyhow::bail!("a move goes --from sqlite:///… --to postgresql://…");
    };
    let options = taskflow_postgres::Options {
        url: url.expose().to_owned(),
        pool_mode: taskflow_postgres::PoolMode::Session,
        pool_size: 1,
    };
    let to = taskflow_postgres::Target::open(options).await?;
    Ok((Box::new(taskflow_sqlite::Source::open(&path)?), Box::new(to)))
}

/// The use cases on a database, with the system's dice.
pub fn services(config: &Config, opened: Opened) -> Services {
    let ids = Arc::new(SystemIds);
    let services = Services::new(opened.store, opened.clock, ids, config.worker.poll_interval)
        .retaining(config.retention.retention());
    services.workers.call_node(node_name());
    services
}

/// This process among the nodes of a database: `host:pid`.
fn node_name() -> String {
    format!("{}:{}", host_name(), std::process::id())
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
        public: config.http.is_public(),
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
    let local = Local::new(work, Actor::DEFAULT, worker, queues, registry.kinds());
    Ok(Arc::new(local.called(call()?)))
}

/// What this process says of itself as a worker: the program, and a name that no other process has.
pub fn call() -> anyhow::Result<Call> {
    let dice = SystemIds.tokens(1);
    let token = dice.first().context("no dice")?.to_wire();
    let instance = Some(Instance::parse(token.get(..16).unwrap_or(&token))?);
    Ok(Call { instance, version: Some(concat!("taskflow/", env!("CARGO_PKG_VERSION")).into()) })
}

/// The configured name, or `host:pid`.
pub fn worker_name(config: &Config) -> anyhow::Result<WorkerName> {
    if let Some(name) = &config.worker.name {
        return Ok(name.clone());
    }
    Ok(WorkerName::parse(&node_name())?)
}

/// The machine's name, as far as it fits into a worker's.
fn host_name() -> String {
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .take(100)
        .collect();
    let host = host.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if host.is_empty() { "host".to_owned() } else { host.to_owned() }
}
