//! The handlers that need nothing but this crate: `log` and `sleep`.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::handler::{Answer, Context, Handler};

/// Kind `log`: writes the task to the log and completes it.
#[derive(Debug, Default)]
pub struct LogHandler;

#[async_trait]
impl Handler for LogHandler {
    async fn run(&self, cx: Context) -> Answer {
        let job = cx.job();
        tracing::info!(
            task.id = job.id.get(),
            task.title = job.title,
            queue.name = job.queue,
            attempt = job.attempt,
            "task done"
        );
        Answer::Completed(None)
    }
}

/// Kind `sleep`: waits `payload.seconds` (0 when missing, a day at most), reporting progress, then
/// completes, or fails when `payload.fail` is true. For demos, tests and benchmarks.
#[derive(Debug, Default)]
pub struct SleepHandler;

/// Longest sleep, in seconds: it is for demonstrations.
const SLEEP_MAX: f64 = 86_400.0;

/// How often it reports.
const REPORT: Duration = Duration::from_millis(500);

#[async_trait]
impl Handler for SleepHandler {
    async fn run(&self, cx: Context) -> Answer {
        let payload = cx.job().payload.as_ref().map_or("null", taskflow_core::Json::as_str);
        let payload: Value = serde_json::from_str(payload).unwrap_or(Value::Null);
        let seconds = match &payload["seconds"] {
            Value::Null => 0.0,
            value => match value.as_f64() {
                Some(seconds) if (0.0..=SLEEP_MAX).contains(&seconds) => seconds,
                _ => return Answer::give_up("payload.seconds must be a number from 0 to 86400"),
            },
        };
        if !sleep(&cx, Duration::from_secs_f64(seconds)).await {
            return Answer::Released;
        }
        match &payload["fail"] {
            Value::Bool(true) => Answer::retry("payload.fail asked for a failure"),
            _ => Answer::Completed(None),
        }
    }
}

/// Sleeps in steps, reporting progress; false when it was told to stop.
async fn sleep(cx: &Context, whole: Duration) -> bool {
    let mut slept = Duration::ZERO;
    while slept < whole {
        let nap = REPORT.min(whole - slept);
        tokio::select! {
            () = tokio::time::sleep(nap) => slept += nap,
            () = cx.cancelled() => return false,
        }
        let percent = 100.0 * slept.as_secs_f64() / whole.as_secs_f64();
        cx.progress(percent, None);
    }
    true
}
