//! The database's time, so that every node judges leases and due times alike. Between two looks it
//! goes on with this machine's monotonic clock: steps of the wall clock do not reach it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use taskflow_core::{Clock, Timestamp};
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::get;
use crate::session::Session;

/// From this difference on between the node's wall clock and the database's, the log says so.
const WARN: Duration = Duration::from_secs(1);

/// A look that took longer says too little about when the database answered.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// The database's clock as this node knows it.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    anchor: Mutex<(Instant, i64)>,
    /// The latest instant that was told: time never goes back.
    told: AtomicI64,
    /// The wall clock's lead over the database, in microseconds.
    lead: AtomicI64,
    warned: std::sync::atomic::AtomicBool,
}

impl DatabaseClock {
    /// A clock that looked once.
    pub(crate) async fn look_first(session: &Session) -> Result<Self, Failure> {
        let mut best = ask(session).await?;
        for _ in 0..2 {
            let look = ask(session).await?;
            if look.took < best.took {
                best = look;
            }
        }
        let clock = Self {
            anchor: Mutex::new((best.at, best.micros)),
            told: AtomicI64::new(i64::MIN),
            lead: AtomicI64::new(0),
            warned: std::sync::atomic::AtomicBool::new(false),
        };
        clock.compare_wall(&best);
        Ok(clock)
    }

    /// Looks again, so that a drift between the two machines stays small.
    pub(crate) async fn look(&self, session: &Session) -> Result<(), Failure> {
        let look = ask(session).await?;
        if look.took <= LOOK_MAX {
            *self.anchor.lock() = (look.at, look.micros);
            self.compare_wall(&look);
        }
        Ok(())
    }

    /// How far this machine's wall clock is ahead of the database's, in milliseconds.
    pub(crate) fn lead_ms(&self) -> i64 {
        self.lead.load(Ordering::Relaxed) / 1000
    }

    fn compare_wall(&self, look: &Look) {
        let lead = look.wall - look.micros;
        self.lead.store(lead, Ordering::Relaxed);
        let apart = lead.unsigned_abs() >= u64::try_from(WARN.as_micros()).unwrap_or(u64::MAX);
        if apart && !self.warned.swap(apart, Ordering::Relaxed) {
            tracing::warn!(
                clock.lead_ms = lead / 1000,
                "this machine's clock and the database's differ; the database's counts"
            );
        }
        if !apart {
            self.warned.store(false, Ordering::Relaxed);
        }
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let (at, micros) = *self.anchor.lock();
        let since = i64::try_from(at.elapsed().as_micros()).unwrap_or(0);
        let now = micros.saturating_add(since);
        Timestamp::from_micros(now.max(self.told.fetch_max(now, Ordering::Relaxed)))
    }
}

/// One look at the database's clock.
struct Look {
    /// When the database is taken to have answered: half way.
    at: Instant,
    took: Duration,
    micros: i64,
    wall: i64,
}

#[expect(clippy::disallowed_methods, reason = "this is where the clocks are compared")]
async fn ask(session: &Session) -> Result<Look, Failure> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 + $1";
    let asked = Instant::now();
    let rows = session.query(sql, &[(&0i64, Type::INT8)]).await?;
    let took = asked.elapsed();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let half = took / 2;
    let micros = match rows.first() {
        Some(row) => get(row, 0)?,
        None => return Err(crate::rows::bad("the database does not know the time")),
    };
    Ok(Look {
        at: asked + half,
        took,
        micros,
        wall: i64::try_from(wall.saturating_sub(half).as_micros()).unwrap_or(i64::MAX),
    })
}
