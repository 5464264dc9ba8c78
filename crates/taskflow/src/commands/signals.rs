//! When to stop: SIGTERM and SIGINT ask for it, a second one insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGTERM or SIGINT and `now` at the second.
pub(super) fn listen(stop: &CancellationToken, now: &CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A terminal that goes away or asks for a reload must not kill a server.
    let mut hangup = signal(SignalKind::hangup())?;
    // Their default is to kill.
    let mut user1 = signal(SignalKind::user_defined1())?;
    let mut user2 = signal(SignalKind::user_defined2())?;
    let (stop, now) = (stop.clone(), now.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => continue,
                _ = user1.recv() => continue,
                _ = user2.recv() => continue,
            }
            if stop.is_cancelled() {
                tracing::warn!("stopping at once");
                now.cancel();
            } else {
                tracing::info!("stopping; once more stops at once");
                stop.cancel();
            }
        }
    });
    Ok(())
}
