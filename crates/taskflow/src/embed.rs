//! TaskFlow inside another program: open a database, name handlers, create tasks, run them.
//!
//! It serves no HTTP and reads neither environment nor `.env` by itself; whoever wants those reads a
//! [`Config`] and passes it to [`TaskFlow::configured`]. Other processes may work on the same file.

use taskflow_core::{Json, Kind, NewTask, Task, TaskId};
use taskflow_service::worker::Worker;
use taskflow_service::worker::handler::Handler;
use taskflow_service::worker::registry::Registry;
use taskflow_service::{Actor, ServiceError, Services, duties};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Sources};
use crate::wire;

/// A database, the handlers of this program and what runs them. `examples/embedded.rs` shows it.
pub struct TaskFlow {
    config: Config,
    services: Services,
    registry: Registry,
    leaves: bool,
}

impl TaskFlow {
    /// Opens a database by URL, in the forms of `DATABASE_URL` (`sqlite:///./tasks.db`); everything
    /// else is as by default. Creates the file and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// A URL that is none, and whatever keeps the file from being opened; the text names it.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        Self::configured(Config::load(Sources::default().flag("DATABASE_URL", url))?).await
    }

    /// Opens what a whole configuration names.
    ///
    /// # Errors
    ///
    /// As [`TaskFlow::open`].
    pub async fn configured(config: Config) -> anyhow::Result<Self> {
        let services = wire::services(&config, wire::open(&config).await?);
        Ok(Self { config, services, registry: Registry::default(), leaves: false })
    }

    /// Adds the handler of a kind; the latest one counts. Only kinds with a handler are claimed.
    ///
    /// # Errors
    ///
    /// A name that cannot be a kind, and `manual`, on which only people work.
    pub fn with(mut self, kind: &str, handler: impl Handler + 'static) -> anyhow::Result<Self> {
        let parsed = Kind::parse(kind)
            .map_err(|rule| anyhow::anyhow!("{kind:?} is no name of a kind: it {rule}"))?;
        anyhow::ensure!(kind != Kind::MANUAL, "only people work on tasks of kind {kind:?}");
        self.registry = self.registry.with(parsed, handler);
        Ok(self)
    }

    /// Takes these handlers instead of all so far, for instance the built-in ones
    /// ([`wire::registry`]).
    #[must_use]
    pub fn handlers(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// Runs up to so many tasks at the same time instead of `WORKER_CONCURRENCY` (4). 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.config.worker.concurrency = tasks;
        self
    }

    /// Returns from [`TaskFlow::run`] too when an operator told this worker to drain and what it holds is
    /// finished. Without this it stays, idle, until it is told to work again.
    #[must_use]
    pub fn leaving_when_drained(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// Every use case, for what this façade does not offer.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// A task that may run now, to be changed at will before [`TaskFlow::create`]. `payload` is JSON
    /// text.
    ///
    /// # Errors
    ///
    /// A name that cannot be a kind, a payload that is not JSON or breaks its rules.
    pub fn task(&self, title: &str, kind: &str, payload: &str) -> anyhow::Result<NewTask> {
        let kind = Kind::parse(kind)
            .map_err(|rule| anyhow::anyhow!("{kind:?} is no name of a kind: it {rule}"))?;
        let payload = Some(Json::parse(payload)?);
        let now = self.services.clock.now();
        Ok(NewTask { kind, payload, ..NewTask::titled(title, now) })
    }

    /// Creates a task; `Ok` means that it is on disk.
    ///
    /// # Errors
    ///
    /// A database that refuses or is not there.
    pub async fn create(&self, task: NewTask) -> Result<Task, ServiceError> {
        Ok(self.services.tasks.create(Actor::DEFAULT, task).await?.task)
    }

    /// The task as it is now.
    ///
    /// # Errors
    ///
    /// A task that is not there, a database that fails.
    pub async fn get(&self, id: TaskId) -> Result<Task, ServiceError> {
        self.services.tasks.get(Actor::DEFAULT, id).await
    }

    /// Runs tasks until `stop` is cancelled, rescues ended leases and hears of tasks that other
    /// processes create. Then running tasks get `SHUTDOWN_GRACE_SECONDS` (20) to end; the rest is
    /// given back uncounted. Returns when every report is in.
    ///
    /// # Errors
    ///
    /// A worker's name that cannot be made of this machine's.
    pub async fn run(&self, stop: CancellationToken) -> anyhow::Result<()> {
        let source = wire::local_source(&self.config, &self.services, &self.registry)?;
        let duties_stop = CancellationToken::new();
        // Safe beside those of other processes: each of their acts is decided inside one transaction.
        let duties = duties::run(self.services.duties(), &self.services.clock, &duties_stop);
        let listening = tokio::spawn(self.services.listen());
        let worker = &self.config.worker;
        let working = Worker::new(source, self.registry.clone(), worker.concurrency);
        let working = if self.leaves { working.leaving_when_drained() } else { working };
        working.run(stop, worker.shutdown_grace).await;
        duties_stop.cancel();
        duties.wait().await;
        listening.abort();
        Ok(())
    }
}
