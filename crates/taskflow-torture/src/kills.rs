//! The fault of this scenario: kill -9 under load at seeded moments, then a restart after 0 to 500 ms.
//! It knows nothing of the load.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::history::Recorder;
use crate::server::Server;

/// Milliseconds of service between two kills.
const SERVICE_MS: (u64, u64) = (300, 1500);
/// Milliseconds between a kill and the restart.
const DOWN_MS: (u64, u64) = (0, 500);

/// A time without a server. Microseconds since the run began.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outage {
    /// The process that ended.
    pub(crate) pid: Option<u32>,
    /// Just before it was killed.
    pub(crate) killed_at: u64,
    /// When the next process was started.
    pub(crate) started_at: u64,
    /// When that was healthy; none when it never was.
    pub(crate) ready_at: Option<u64>,
    /// How the process ended, when it was not we who killed it.
    pub(crate) by_itself: Option<String>,
    /// Why the next one did not come up.
    pub(crate) error: Option<String>,
}

impl Outage {
    /// From the start of the new process until it served, in milliseconds.
    pub(crate) fn recovery_ms(&self) -> Option<u64> {
        self.ready_at.map(|ready| ready.saturating_sub(self.started_at) / 1000)
    }
}

/// Kills and restarts the server `kills` times; stops early when it does not come back.
pub(crate) async fn kill_again_and_again(
    server: &mut Server,
    recorder: &Recorder,
    kills: u32,
    seed: u64,
) -> anyhow::Result<Vec<Outage>> {
    let mut dice = Dice::new(seed, 1);
    let mut outages = Vec::new();
    for _ in 0..kills {
        sleep(Duration::from_millis(dice.between(SERVICE_MS.0, SERVICE_MS.1))).await;
        let by_itself = server.ended()?;
        let pid = server.pid();
        let killed_at = recorder.now();
        server.kill().await?;
        let down = if dice.percent(50) { 0 } else { dice.between(DOWN_MS.0, DOWN_MS.1) };
        sleep(Duration::from_millis(down)).await;
        let started_at = recorder.now();
        server.spawn()?;
        let healthy = server.healthy().await;
        let outage = Outage {
            pid,
            killed_at,
            started_at,
            ready_at: healthy.is_ok().then(|| recorder.now()),
            by_itself,
            error: healthy.err().map(|error| error.to_string()),
        };
        let back = outage.ready_at.is_some();
        outages.push(outage);
        if !back {
            break;
        }
    }
    Ok(outages)
}
