//! Whether this process can do its work now: the database answers with the right schema, and the
//! duties tick. It mends nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::{Clock, Timestamp};
use taskflow_store::{Health, Store};

use crate::duties::Duty;
use crate::error::ServiceError;

/// The longest that the database may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A duty that was not through for so long, in seconds, is stuck: the slowest one ticks every two.
const STALE_SECONDS: f64 = 10.0;

/// When each duty was through the last time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<Mutex<BTreeMap<&'static str, Timestamp>>>);

/// A duty whose ticks are noted.
pub(crate) struct Watched {
    pub(crate) duty: Box<dyn Duty>,
    pub(crate) pulse: Pulse,
}

#[async_trait]
impl Duty for Watched {
    fn name(&self) -> &'static str {
        self.duty.name()
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        // The first start counts as well: a database that is away from the beginning is no excuse.
        self.pulse.0.lock().entry(self.duty.name()).or_insert(now);
        let pause = self.duty.tick(now).await?;
        self.pulse.0.lock().insert(self.duty.name(), now);
        Ok(pause)
    }

    async fn woken(&mut self) {
        self.duty.woken().await;
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// What the database said; none when it failed or took longer than two seconds.
    pub database: Option<Health>,
    /// Each duty that runs here, with the seconds since it was last through.
    pub duties: Vec<(&'static str, f64)>,
}

impl Readiness {
    /// Whether the database has the schema that this program knows.
    pub fn schema_fits(&self) -> bool {
        self.database.is_some_and(|health| health.schema == health.known)
    }

    /// Duties that are stuck, with the seconds since they were last through.
    pub fn stuck(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.duties.iter().copied().filter(|(_, seconds)| *seconds > STALE_SECONDS)
    }

    /// Whether requests should be sent here.
    pub fn is_ready(&self) -> bool {
        self.schema_fits() && self.stuck().next().is_none()
    }
}

/// The use case.
#[derive(Clone)]
pub struct Probe {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub(crate) pulse: Pulse,
}

impl Probe {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, pulse: Pulse::default() }
    }

    /// Looks, within some two seconds.
    pub async fn look(&self) -> Readiness {
        let asked = tokio::time::timeout(ANSWER_MAX, self.store.health()).await;
        let database = match asked {
            Ok(Ok(health)) => Some(health),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "the database does not answer as it should");
                None
            }
            Err(_) => {
                tracing::warn!("the database does not answer in time");
                None
            }
        };
        let now = self.clock.now();
        let pulse = self.pulse.0.lock();
        let duties = pulse.iter().map(|(name, at)| (*name, now.seconds_since(*at).max(0.0)));
        Readiness { database, duties: duties.collect() }
    }
}
