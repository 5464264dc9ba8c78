//! How long an idle server leaves a new task lying: from before its creation to the start of its work.
//! Two ways: the server's own worker (by the task's `completed_at`) and a claim parked over HTTP. One task
//! at a time; nothing here is about throughput.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::clean::drain;
use super::http::{Connection, Site, refusal};
use super::load::{Tally, Window};
use super::options::Plan;
use super::report::Measured;
use super::work::Line;

/// Longest wait for any later task.
const TASK_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at a task: seldom enough to leave the server idle.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Between sending the claim and creating the task: the claim is parked by then.
const PARKED_AFTER: Duration = Duration::from_millis(2);
/// Longest run of either way.
const RUN_FOR: Duration = Duration::from_secs(120);

const BY_WORKER: &str =
    r#"{"title":"Pick this up","queue":"bench-pickup","kind":"sleep","payload":{"seconds":0}}"#;
const BY_CLAIM: &str = r#"{"title":"Pick this up","queue":"bench-pickup","kind":"bench.pickup"}"#;
const CLAIM: &str = r#"{"worker":"bench-pickup","queues":["bench-pickup"],"kinds":["bench.pickup"],"limit":1,"wait_seconds":10}"#;
const PARKED: Line = Line { queue: "bench-pickup", kind: "bench.pickup" };

#[derive(Deserialize)]
struct Seen {
    id: i64,
    status: String,
    #[serde(default)]
    completed_at: Option<String>,
}

impl Seen {
    fn waits(&self) -> bool {
        self.status == "pending"
    }

    fn ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

#[derive(Deserialize)]
struct Claimed {
    tasks: Vec<Leased>,
}

#[derive(Deserialize)]
struct Leased {
    id: i64,
    lease_token: String,
}

/// One call whose answer matters.
async fn ask<T: for<'de> Deserialize<'de>>(
    connection: &mut Connection,
    request: &[u8],
) -> anyhow::Result<T> {
    connection.give_up_at(Instant::now() + TASK_ENDS_WITHIN * 2);
    let status = connection.call(request).await?;
    let body = connection.body();
    ensure!((200..300).contains(&status), "{}", refusal(status, body));
    serde_json::from_slice(body).context("the answer is not ours")
}

/// Runs `pickup-worker`.
pub(super) async fn by_worker(site: &Site, plan: &Plan) -> anyhow::Result<Measured> {
    let mut connection = Connection::open(site, Instant::now() + plan.patience).await?;
    let create = site.post("/api/v1/tasks", BY_WORKER.as_bytes());
    let mut tally = Tally::new(Window::now_for(RUN_FOR));
    for number in 0..plan.pickups {
        if Instant::now() >= tally.window.until {
            break;
        }
        let within = if number == 0 { plan.worker_shows_within } else { TASK_ENDS_WITHIN };
        // Wall-clock time, because the server's `completed_at` is: one machine, one clock.
        let sent = jiff::Timestamp::now();
        let born: Seen = ask(&mut connection, &create).await?;
        let task = watch(site, &mut connection, born.id, within).await?;
        if task.waits() && number == 0 {
            remove(site, &mut connection, task.id).await?;
            return Ok(Measured::skipped(format!(
                "no worker of the server took a task within {within:?}"
            )));
        }
        ensure!(task.ended(), "task {} is still {} after {within:?}", task.id, task.status);
        if task.status == "completed" {
            record(&mut tally, sent, &task)?;
        } else {
            tally.failed(format!("task {} ended {}", task.id, task.status));
        }
    }
    Ok(Measured::without_rate(tally))
}

/// Looks at the task until it has ended or the time is over, and returns it as it is then.
async fn watch(
    site: &Site,
    connection: &mut Connection,
    id: i64,
    within: Duration,
) -> anyhow::Result<Seen> {
    let request = site.get(&format!("/api/v1/tasks/{id}"));
    let until = Instant::now() + within;
    loop {
        let task: Seen = ask(connection, &request).await?;
        if task.ended() || Instant::now() >= until {
            return Ok(task);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn remove(site: &Site, connection: &mut Connection, id: i64) -> anyhow::Result<()> {
    let status = connection.call(&site.delete(&format!("/api/v1/tasks/{id}"))).await?;
    ensure!((200..300).contains(&status), "{}", refusal(status, connection.body()));
    Ok(())
}

fn record(tally: &mut Tally, sent: jiff::Timestamp, task: &Seen) -> anyhow::Result<()> {
    // Not `started_at`: a task that is handed out in the commit that creates it starts by its own account
    // before it is on disk.
    let Some(text) = &task.completed_at else {
        bail!("task {} is completed and has no completed_at", task.id);
    };
    let done: jiff::Timestamp =
        text.parse().with_context(|| format!("completed_at is no instant: {text:?}"))?;
    let micros = done.as_microsecond() - sent.as_microsecond();
    // Below one microsecond only by rounding; far below it the two clocks are not one.
    ensure!(micros > -1000, "task {} was done {micros} µs after it was sent", task.id);
    tally.latency.saturating_record(u64::try_from(micros).unwrap_or(0).max(1));
    tally.units += 1;
    Ok(())
}

/// Runs `pickup-http`.
pub(super) async fn by_claim(site: &Site, plan: &Plan) -> anyhow::Result<Measured> {
    let mut producer = Connection::open(site, Instant::now() + plan.patience).await?;
    let mut worker = Connection::open(site, Instant::now() + plan.patience).await?;
    let create = site.post("/api/v1/tasks", BY_CLAIM.as_bytes());
    let claim = site.post("/api/v1/tasks/claim", CLAIM.as_bytes());
    // A task that an earlier run left would be claimed at once, and every later one too early.
    let left = drain(site, plan, PARKED).await?;
    let mut tally = Tally::new(Window::now_for(RUN_FOR));
    for _ in 0..plan.pickups {
        if Instant::now() >= tally.window.until {
            break;
        }
        let parked = async {
            let claimed = ask::<Claimed>(&mut worker, &claim).await;
            (claimed, Instant::now())
        };
        let born = async {
            sleep(PARKED_AFTER).await;
            let sent = Instant::now();
            (ask::<Seen>(&mut producer, &create).await, sent)
        };
        let ((claimed, arrived), (born, sent)) = tokio::join!(parked, born);
        let (claimed, born) = (claimed?, born?);
        let Some(task) = claimed.tasks.first() else {
            bail!("the parked claim came back empty although task {} was created", born.id);
        };
        ensure!(task.id == born.id, "created task {}, but the claim got {}", born.id, task.id);
        tally.answered(sent, arrived, 1);
        complete(site, &mut worker, task).await?;
    }
    if let Some(left) = left {
        tally.blame(left);
    }
    Ok(Measured::without_rate(tally))
}

async fn complete(site: &Site, worker: &mut Connection, task: &Leased) -> anyhow::Result<()> {
    let body = serde_json::json!({ "lease_token": task.lease_token }).to_string();
    let path = format!("/api/v1/tasks/{}/complete", task.id);
    let status = worker.call(&site.post(&path, body.as_bytes())).await?;
    ensure!((200..300).contains(&status), "complete: {}", refusal(status, worker.body()));
    Ok(())
}
