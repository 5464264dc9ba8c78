//! Tests of the guard's rules, of what the client really dials and of the outcomes of kind `http`.
//! Nothing here leaves 127.0.0.1.

mod addresses;
mod canary;
mod outcomes;
mod payloads;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use taskflow_core::{Json, TaskId, Timestamp};
use taskflow_service::worker::handler::{Answer, Context, Handler, Job};
use tokio_util::sync::CancellationToken;

use crate::client::Lookup;
use crate::{HttpHandler, Outbound};

fn allow(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

fn loopback_allowed() -> Outbound {
    Outbound::new(allow(&["127.0.0.0/8"])).unwrap()
}

/// A lookup that answers every name with `addresses`.
fn answers(addresses: &[&str]) -> Lookup {
    let found: Vec<SocketAddr> =
        addresses.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 0)).collect();
    Arc::new(move |_| {
        let found = found.clone();
        Box::pin(async move { Ok(found) })
    })
}

fn context(payload: Option<&str>, timeout_seconds: Option<u32>) -> (Context, CancellationToken) {
    let cancel = CancellationToken::new();
    let job = Job {
        id: TaskId::new(7).unwrap(),
        title: "call".into(),
        queue: "default".into(),
        kind: "http".into(),
        payload: payload.map(|text| Json::parse(text).unwrap()),
        attempt: 2,
        max_attempts: 5,
        checkpoint: None,
        timeout_seconds,
        created_at: Timestamp::from_micros(0),
    };
    (Context::new(Arc::new(job), cancel.clone()), cancel)
}

async fn run(outbound: Outbound, payload: &str) -> Answer {
    HttpHandler::new(outbound).run(context(Some(payload), None).0).await
}

/// The error of a failure for good; panics on any other answer.
fn given_up(answer: Answer) -> String {
    match answer {
        Answer::Failed { error, retryable: false, retry_after: None } => error,
        other => panic!("expected a failure for good, got {other:?}"),
    }
}

/// Error and wait of a failure that is retried; panics on any other answer.
fn retried(answer: Answer) -> (String, Option<f64>) {
    match answer {
        Answer::Failed { error, retryable: true, retry_after } => (error, retry_after),
        other => panic!("expected a failure that is retried, got {other:?}"),
    }
}

/// The result's JSON text; panics on any other answer.
fn completed(answer: Answer) -> String {
    match answer {
        Answer::Completed(Some(result)) => result.as_str().to_owned(),
        other => panic!("expected a result, got {other:?}"),
    }
}
