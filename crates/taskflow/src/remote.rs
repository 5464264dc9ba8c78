//! Work over HTTP: the worker's port answered by another server's `sync` route.
//! It speaks the public API only, as a worker in any language does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use taskflow_core::task::Progress;
use taskflow_core::workers::Call;
use taskflow_core::{
    Finish, Json, Kind, LeaseToken, QueueName, Status, TaskId, Timestamp, WorkerName,
};
use taskflow_service::worker::handler::Job;
use taskflow_service::worker::source::{Assignment, SourceError, WorkSource, ends_in};
use taskflow_store::{Extend, Extended, FinishTask, Finished, Receipt};

/// Longest wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer beyond the wait that was asked for.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

/// A client for servers of TaskFlow, with these `limits`. A machine without root certificates, as a
/// small container is, can still call plain http; https then fails with an unknown issuer.
pub(crate) fn client(limits: impl Fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<Client> {
    // Another part of the program may have installed it already; both are the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = || limits(Client::builder().no_proxy());
    builder().build().or_else(|error| {
        tracing::debug!(%error, "no root certificates on this machine: https requests will fail");
        builder().tls_certs_only([]).build()
    })
}

/// How long a worker that stops listens for work that was handed out before the server heard of it, when
/// the server cannot be asked to answer at once: one of an earlier version.
const TRAVEL: Duration = Duration::from_secs(1);

/// The header that says which process of the worker's name calls; servers that do not know it pass over it.
const INSTANCE: &str = "Worker-Instance";

/// A server that hands out work over HTTP.
pub struct Remote {
    client: Client,
    sync: Url,
    drain: Url,
    key: Option<HeaderValue>,
    instance: HeaderValue,
    /// Whether the last claim was answered with the word to drain.
    drained: AtomicBool,
    queues: Vec<QueueName>,
    kinds: Vec<Kind>,
}

/// What is sent; see `sync` in the API's description.
#[derive(Default, Serialize)]
struct Report<'a> {
    finished: Vec<FinishItem<'a>>,
    heartbeats: Vec<HeartbeatItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<WishItem<'a>>,
}

#[derive(Serialize)]
struct WishItem<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<Vec<&'a str>>,
    kinds: Vec<&'a str>,
    limit: u32,
    wait_seconds: f64,
}

#[derive(Serialize)]
struct FinishItem<'a> {
    id: i64,
    lease_token: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<f64>,
}

#[derive(Serialize)]
struct HeartbeatItem<'a> {
    id: i64,
    lease_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct ProgressItem<'a> {
    percent: f64,
    message: Option<&'a str>,
}

#[derive(Deserialize)]
struct Synced {
    #[serde(default)]
    finished: Vec<Item>,
    #[serde(default)]
    heartbeats: Vec<Item>,
    #[serde(default)]
    tasks: Vec<Claimed>,
    #[serde(default)]
    command: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: i64,
    status: u16,
    #[serde(default)]
    lease_expires_at: Option<String>,
    #[serde(default)]
    cancel_requested: bool,
}

#[derive(Deserialize)]
struct Claimed {
    id: i64,
    title: String,
    queue: String,
    kind: String,
    payload: Option<Box<RawValue>>,
    checkpoint: Option<Box<RawValue>>,
    attempt: u32,
    max_attempts: u32,
    timeout_seconds: Option<u32>,
    deadline_at: Option<String>,
    started_at: Option<String>,
    lease_seconds: u32,
    created_at: String,
    lease_token: String,
}

impl Remote {
    /// A source at `server`, a base URL such as `http://127.0.0.1:8000`. Fails on a URL that is none.
    pub fn new(
        server: &str,
        key: Option<String>,
        worker: &WorkerName,
        call: &Call,
        queues: Vec<QueueName>,
        kinds: Vec<Kind>,
    ) -> anyhow::Result<Self> {
        let base =
            Url::parse(server).context("--server must be a URL such as http://127.0.0.1:8000")?;
        anyhow::ensure!(
            matches!(base.scheme(), "http" | "https"),
            "--server must be an http or https URL"
        );
        let below = |word| {
            let mut url = base.clone();
            url.path_segments_mut()
                .map_err(|()| anyhow::anyhow!("--server must be an http or https URL"))?
                .pop_if_empty()
                .extend(["api", "v1", "workers", worker.as_str(), word]);
            Ok::<_, anyhow::Error>(url)
        };
        let (sync, mut drain) = (below("sync")?, below("drain")?);
        let instance = call.instance.as_ref().context("a worker over HTTP needs an instance")?;
        drain.query_pairs_mut().append_pair("instance", instance.as_str());
        let instance = HeaderValue::from_str(instance.as_str())?;
        let agent = call.version.clone().unwrap_or_default();
        let limits = |builder: ClientBuilder| builder.connect_timeout(CONNECT).user_agent(&agent);
        let client = client(limits)?;
        let key = key.map(|key| HeaderValue::from_str(&key)).transpose();
        let mut key = key.context("API_KEY cannot be sent in a header")?;
        if let Some(key) = &mut key {
            key.set_sensitive(true);
        }
        let drained = AtomicBool::new(false);
        Ok(Self { client, sync, drain, key, instance, drained, queues, kinds })
    }

    /// Scheme, host and port, for the log.
    pub fn shown(&self) -> String {
        self.sync.origin().ascii_serialization()
    }

    async fn call(&self, report: &Report<'_>, wait: Duration) -> Result<Synced, SourceError> {
        // With all its causes, but without the URL.
        let failed = |error: reqwest::Error| {
            SourceError(format!("{:#}", anyhow::Error::from(error.without_url())))
        };
        let request = self.client.post(self.sync.clone()).timeout(wait + ANSWER).json(report);
        let request = self.signed(request.header(INSTANCE, self.instance.clone()));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let detail = problem["detail"].as_str().unwrap_or("no detail");
            return Err(SourceError(format!("the server answered {status}: {detail}")));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| SourceError(format!("the server's answer is not understood: {error}")))
    }

    /// With the key, when there is one.
    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.header("X-API-Key", key.clone()),
            None => request,
        }
    }
}

#[async_trait]
impl WorkSource for Remote {
    async fn claim(&self, limit: u32, wait: Duration) -> Result<Vec<Assignment>, SourceError> {
        let queues: Vec<&str> = self.queues.iter().map(QueueName::as_str).collect();
        let claim = WishItem {
            queues: (!queues.is_empty()).then_some(queues),
            kinds: self.kinds.iter().map(Kind::as_str).collect(),
            limit,
            wait_seconds: wait.as_secs_f64(),
        };
        let report = Report { claim: Some(claim), ..Report::default() };
        let synced = self.call(&report, wait).await?;
        self.drained.store(synced.command.as_deref() == Some("drain"), Ordering::Relaxed);
        synced.tasks.into_iter().map(assignment).collect()
    }

    fn drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// A server that knows no drain, or not this worker, says so with another status.
    async fn close(&self) -> bool {
        let request = self.client.post(self.drain.clone()).timeout(ANSWER);
        match self.signed(request).send().await {
            Ok(response) => response.status().is_success(),
            Err(error) => {
                let error = error.without_url();
                tracing::debug!(%error, "the server was not told that the worker stops");
                false
            }
        }
    }

    fn travel(&self) -> Duration {
        TRAVEL
    }

    async fn finish(&self, batch: Vec<FinishTask>) -> Result<Vec<Finished>, SourceError> {
        let finished: Result<_, _> = batch.iter().map(finish_item).collect();
        let report = Report { finished: finished?, ..Report::default() };
        let synced = self.call(&report, Duration::ZERO).await?;
        Ok(synced.finished.iter().map(self::finished).collect())
    }

    async fn heartbeat(&self, batch: Vec<Extend>) -> Result<Vec<Extended>, SourceError> {
        let heartbeats: Result<_, _> = batch.iter().map(heartbeat_item).collect();
        let report = Report { heartbeats: heartbeats?, ..Report::default() };
        let synced = self.call(&report, Duration::ZERO).await?;
        Ok(synced.heartbeats.iter().map(extended).collect())
    }
}

fn not_understood(what: &str) -> SourceError {
    SourceError(format!("the server's answer is not understood: {what}"))
}

fn assignment(claimed: Claimed) -> Result<Assignment, SourceError> {
    let json = |raw: Option<Box<RawValue>>| {
        raw.filter(|raw| raw.get() != "null").map(|raw| Json::from_stored(raw.get().to_owned()))
    };
    let job = Job {
        id: TaskId::new(claimed.id).ok_or_else(|| not_understood("an id"))?,
        title: claimed.title,
        queue: claimed.queue,
        kind: claimed.kind,
        payload: json(claimed.payload),
        attempt: claimed.attempt,
        max_attempts: claimed.max_attempts,
        checkpoint: json(claimed.checkpoint),
        timeout_seconds: claimed.timeout_seconds,
        created_at: Timestamp::parse(&claimed.created_at)
            .map_err(|_| not_understood("created_at"))?,
    };
    let instant = |text: Option<String>| text.and_then(|text| Timestamp::parse(&text).ok());
    let started_at = instant(claimed.started_at).unwrap_or(job.created_at);
    let ends_in = ends_in(job.timeout_seconds, instant(claimed.deadline_at), started_at);
    let token =
        LeaseToken::from_wire(&claimed.lease_token).ok_or_else(|| not_understood("lease_token"))?;
    Ok(Assignment { job: Arc::new(job), token, lease_seconds: claimed.lease_seconds, ends_in })
}

/// A stored JSON text as it is, digit by digit.
fn raw(json: Option<&Json>) -> Result<Option<Box<RawValue>>, SourceError> {
    json.map(|json| RawValue::from_string(json.as_str().to_owned()))
        .transpose()
        .map_err(|error| SourceError(error.to_string()))
}

fn finish_item(item: &FinishTask) -> Result<FinishItem<'_>, SourceError> {
    let bare = FinishItem {
        id: item.id.get(),
        lease_token: item.token.to_wire(),
        outcome: "released",
        result: None,
        error: None,
        retryable: None,
        retry_after_seconds: None,
        delay_seconds: None,
    };
    Ok(match &item.finish {
        Finish::Completed { result } => {
            FinishItem { outcome: "completed", result: raw(result.as_ref())?, ..bare }
        }
        Finish::Failed { error, retryable, retry_after } => FinishItem {
            outcome: "failed",
            error: Some(error),
            retryable: Some(*retryable),
            retry_after_seconds: *retry_after,
            ..bare
        },
        Finish::Snoozed { delay } => {
            FinishItem { outcome: "snoozed", delay_seconds: Some(*delay), ..bare }
        }
        Finish::Released | Finish::Interrupted => bare,
    })
}

fn heartbeat_item(item: &Extend) -> Result<HeartbeatItem<'_>, SourceError> {
    Ok(HeartbeatItem {
        id: item.id.get(),
        lease_token: item.token.to_wire(),
        progress: item.progress.as_ref().map(|Progress { percent, message }| ProgressItem {
            percent: *percent,
            message: message.as_deref(),
        }),
        checkpoint: raw(item.checkpoint.as_ref())?,
    })
}

fn finished(item: &Item) -> Finished {
    match (item.status, TaskId::new(item.id)) {
        // The route answers no more than "taken"; the rest of the receipt is not asked for here.
        (200, Some(id)) => Finished::Done(Receipt {
            id,
            status: Status::Completed,
            attempt: 0,
            outcome: taskflow_core::Outcome::Completed,
            run_at: Timestamp::from_micros(0),
        }),
        (404, _) => Finished::NotFound,
        _ => Finished::LeaseLost,
    }
}

fn extended(item: &Item) -> Extended {
    let until = item.lease_expires_at.as_deref().and_then(|at| Timestamp::parse(at).ok());
    match (item.status, until) {
        (200, _) if item.cancel_requested => Extended::Cancelled,
        (200, Some(until)) => Extended::Held(until),
        (404, _) => Extended::NotFound,
        _ => Extended::LeaseLost,
    }
}
