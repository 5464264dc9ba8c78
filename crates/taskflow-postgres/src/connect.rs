//! Connections: the pool, its settings and time limits. It does not know the schema.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType};
use taskflow_store::StoreError;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Failure, OpenError, chain};
use crate::options::{Options, PoolMode};
use crate::session::{LIMITS, PLANNER, Session};
use crate::tls;

/// How long a caller waits for a connection, and a connection for the server: what then is not there
/// is answered with 503.
const CONNECT: Duration = Duration::from_secs(5);

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: Config,
    tls: MakeRustlsConnect,
}

impl Server {
    /// The same without this program's time limits: a migration takes as long as it takes.
    pub(crate) fn patient(&self) -> Self {
        let mut patient = self.clone();
        let settings = patient.config.get_options().unwrap_or_default().to_owned();
        let unlimited = LIMITS.iter().filter(|(name, _)| name.ends_with("timeout"));
        let unlimited: Vec<String> = unlimited.map(|(name, _)| format!("-c {name}=0")).collect();
        if !settings.is_empty() {
            patient.config.options(format!("{settings} {}", unlimited.join(" ")));
        }
        patient
    }

    /// A connection beside the pool; whoever drives it may ask with the client.
    pub(crate) async fn connect(
        &self,
    ) -> Result<
        (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>),
        Error,
    > {
        self.config.connect(self.tls.clone()).await
    }
}

/// The connections of one process.
#[derive(Clone)]
pub(crate) struct Pool {
    inner: deadpool_postgres::Pool,
    mode: PoolMode,
    tls: MakeRustlsConnect,
}

impl Pool {
    /// A pool of at most `size` connections.
    pub(crate) fn new(server: Server, options: &Options, size: u32) -> Result<Self, OpenError> {
        let tls = server.tls.clone();
        let manager = Manager::from_config(
            server.config,
            server.tls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(size as usize)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| OpenError::Unreachable(Box::new(error)))?;
        Ok(Self { inner, mode: options.pool_mode, tls })
    }

    /// A connection, within a bounded time.
    pub(crate) async fn take(&self) -> Result<Session, PoolError> {
        Ok(Session::new(self.inner.get().await?, self.mode, self.tls.clone()))
    }

    /// The same; a failure is logged here and told as the contract tells it.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        self.take().await.map_err(|error| match error {
            // The database may be fine: all connections are at work for others.
            PoolError::Timeout(TimeoutType::Wait) => {
                tracing::warn!("all connections to the database are at work for too long");
                Failure::Refused(StoreError::Busy)
            }
            error => {
                tracing::error!(error = %chain(&error), "no connection to the database");
                Failure::Refused(StoreError::Unavailable)
            }
        })
    }
}

/// The settings of every connection of this process.
pub(crate) fn server(options: &Options, name: &str) -> Result<Server, OpenError> {
    let wanted = tls::wanted(&options.url)?;
    let mut config: Config = wanted.url.parse().map_err(OpenError::Url)?;
    config
        .ssl_mode(wanted.mode)
        .application_name(name)
        .connect_timeout(CONNECT)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15));
    if options.pool_mode == PoolMode::Session {
        let mut settings = config.get_options().unwrap_or_default().to_owned();
        for (name, value) in LIMITS.iter().chain(&PLANNER) {
            settings.push_str(&format!(" -c {name}={value}"));
        }
        // Plans are made once: making one for a claim takes longer than the claim.
        settings.push_str(" -c plan_cache_mode=force_generic_plan");
        config.options(settings.trim_start());
    }
    Ok(Server { config, tls: tls::connector(&wanted)? })
}
