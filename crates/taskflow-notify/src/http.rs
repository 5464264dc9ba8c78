//! The handler of kind `http`: one request per attempt, judged by its status.
//! It keeps nothing between attempts; the queue decides when the next one is.

use std::time::Duration;

use ::http::HeaderValue;
use async_trait::async_trait;
use taskflow_service::worker::handler::{Answer, Context, Handler, Job};

use crate::answer::answer;
use crate::client::{Order, Outbound};
use crate::request::order;

/// Time for request and answer when the task sets no `timeout_seconds`, in seconds.
pub const LIMIT_SECONDS_DEFAULT: u32 = 30;
/// Longest time for request and answer, in seconds: longer work should answer 202 and report later.
pub const LIMIT_SECONDS_MAX: u32 = 300;

/// Runs tasks of kind `http`.
#[derive(Debug, Clone)]
pub struct HttpHandler {
    outbound: Outbound,
}

impl HttpHandler {
    /// A handler that sends through `outbound`.
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound }
    }
}

#[async_trait]
impl Handler for HttpHandler {
    async fn run(&self, cx: Context) -> Answer {
        let job = cx.job();
        let order = match order(job.payload.as_ref(), &self.outbound) {
            Ok(order) => named(order, job),
            Err(fault) => return Answer::give_up(fault),
        };
        let seconds = job.timeout_seconds.unwrap_or(LIMIT_SECONDS_DEFAULT).min(LIMIT_SECONDS_MAX);
        let limit = Duration::from_secs(u64::from(seconds));
        tokio::select! {
            biased;
            // Dropping the request closes its connection.
            () = cx.cancelled() => Answer::Released,
            sent = self.outbound.send(order, limit) => answer(sent),
        }
    }
}

/// Delivery is at least once: the endpoint can tell a repetition by these two.
fn named(mut order: Order, job: &Job) -> Order {
    order.headers.insert("taskflow-task-id", HeaderValue::from(job.id.get()));
    order.headers.insert("taskflow-attempt", HeaderValue::from(job.attempt));
    order
}
