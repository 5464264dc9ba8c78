//! Every operation of the OpenAPI document and how it is called, for what must hold for all of them.
//! A new operation has to be added here: until then these tests fail.

use serde_json::{Value, json};

use crate::app::{Answer, DOCUMENT, TestApp};

/// A token that nothing was ever claimed with.
const NO_TOKEN: &str = "00000000000000000000000000000000";

/// What is sent beside method and path.
#[derive(Debug, Clone)]
pub(crate) enum Sends {
    /// No body.
    Nothing,
    /// A body of at most so many bytes, such as this one.
    Body(usize, Value),
    /// The same, but it may be left out.
    Maybe(usize, Value),
}

/// An operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) method: String,
    pub(crate) template: &'static str,
    pub(crate) described: &'static Value,
    pub(crate) sends: Sends,
}

impl Operation {
    /// Its path with task 1, worker `w1` and queue `default`.
    pub(crate) fn path(&self) -> String {
        self.path_with("{task_id}", "1")
    }

    /// The same with another text in one place.
    pub(crate) fn path_with(&self, place: &str, text: &str) -> String {
        let mut path = self.template.replace(place, text);
        for (place, usual) in [("{task_id}", "1"), ("{worker}", "w1"), ("{queue}", "default")] {
            path = path.replace(place, usual);
        }
        assert!(!path.contains("/{"), "{}: say here what its path names", self.name);
        path
    }

    /// A good body, empty when there is none.
    pub(crate) fn good(&self) -> String {
        match &self.sends {
            Sends::Nothing => String::new(),
            Sends::Body(_, body) | Sends::Maybe(_, body) => body.to_string(),
        }
    }

    /// Whether the document gives it this parameter.
    pub(crate) fn takes(&self, parameter: &str) -> bool {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        parameters.into_iter().any(|known| known["name"] == parameter)
    }

    /// Calls it with a good body and these headers.
    pub(crate) async fn call(&self, app: &TestApp, headers: &[(&str, &str)]) -> Answer {
        let mut headers = headers.to_vec();
        if !matches!(self.sends, Sends::Nothing) {
            headers.push(("content-type", "application/json"));
        }
        app.call(&self.method, &self.path(), &headers, self.good()).await
    }
}

/// Path, method in lower case and description of every operation.
pub(crate) fn described() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let of = |path: &'static str, item: &'static Value| {
        let item = item.as_object().expect("a path item");
        let known = move |(name, _): &(&String, &Value)| methods.contains(&name.as_str());
        item.iter().filter(known).map(move |(name, op)| (path, name.as_str(), op))
    };
    paths.iter().flat_map(|(path, item)| of(path, item)).collect()
}

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    let of = |(template, method, described): (&'static str, &str, &'static Value)| {
        let name = described["operationId"].as_str().expect("a name");
        let operation = Operation {
            name,
            method: method.to_uppercase(),
            template,
            described,
            sends: sends(name),
        };
        // Whatever may refuse a type reads a body.
        let reads = described["responses"].get("415").is_some();
        assert_eq!(reads, !matches!(operation.sends, Sends::Nothing), "{name}");
        operation
    };
    described().into_iter().map(of).collect()
}

/// The operations that read a body: whether it may be left out, and the most bytes it may have.
pub(crate) fn that_read() -> Vec<(Operation, bool, usize)> {
    let of = |operation: Operation| match operation.sends {
        Sends::Nothing => None,
        Sends::Body(most, _) => Some((operation, false, most)),
        Sends::Maybe(most, _) => Some((operation, true, most)),
    };
    operations().into_iter().filter_map(of).collect()
}

/// What an operation is sent.
fn sends(name: &str) -> Sends {
    const ONE: usize = 1024 * 1024 + 64 * 1024;
    const MANY: usize = 16 * 1024 * 1024;
    let one = |body| Sends::Body(ONE, body);
    let maybe = |body| Sends::Maybe(ONE, body);
    match name {
        "health" | "health_live" | "health_ready" | "list_tasks" | "get_task" | "delete_task"
        | "list_attempts" | "count_tasks" | "explain_task" | "list_queues" | "get_queue"
        | "stream_events" | "open_websocket" | "get_stats" | "get_timeseries" | "list_workers"
        | "get_worker" => Sends::Nothing,
        "create_task" => one(json!({"title": "a"})),
        "update_task" => one(json!({"title": "b"})),
        "create_tasks" => Sends::Body(MANY, json!({"tasks": [{"title": "a"}]})),
        "cancel_tasks" | "retry_tasks" | "delete_tasks" => one(json!({"filter": {"kind": "log"}})),
        "cancel_task" | "retry_task" => maybe(json!({})),
        "update_queue" => one(json!({"concurrency_limit": 7})),
        "pause_queue" => maybe(json!({"reason": "why"})),
        "purge_queue" => maybe(json!({"status": "pending"})),
        "resume_queue" | "drain_worker" | "resume_worker" | "release_worker" => maybe(json!({})),
        "claim_tasks" => one(json!({"worker": "w1"})),
        "heartbeat_task" | "complete_task" | "release_task" => {
            one(json!({"lease_token": NO_TOKEN}))
        }
        "fail_task" => one(json!({"lease_token": NO_TOKEN, "error": "x"})),
        "snooze_task" => one(json!({"lease_token": NO_TOKEN, "delay_seconds": 1})),
        "sync_worker" => Sends::Body(MANY, json!({"claim": {}})),
        "bench_bare" => {
            one(json!({"title": "a", "priority": "low", "queue": "default", "payload": 1}))
        }
        new => panic!("{new}: say here what it is sent, or that nothing is"),
    }
}
