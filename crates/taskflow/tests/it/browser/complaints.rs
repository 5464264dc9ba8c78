//! What a page does wrong without showing it: errors and warnings on its console, violations of its policy,
//! exceptions that nobody caught, and requests to anybody but its own server.

use fantoccini::error::CmdError;
use serde_json::{Value, json};

use super::driver::Extra;
use super::page::Page;

/// What the browser told since the page was opened; it tells everything once.
#[derive(Default)]
pub(super) struct Seen {
    console: Vec<Value>,
    network: Vec<Value>,
}

/// One request that the page made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
}

impl Page {
    /// Everything that is wrong so far, as readable lines.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        if let Err(error) = self.look().await {
            return vec![format!("the browser does not tell its logs: {error}")];
        }
        let mut complaints: Vec<String> =
            self.seen.borrow().console.iter().filter_map(wrong).collect();
        let foreign = self.asked().into_iter().filter(|request| !self.is_own(&request.url));
        complaints
            .extend(foreign.map(|Request { method, url }| format!("foreign: {method} {url}")));
        complaints
    }

    /// Every test of a page ends with it.
    pub(crate) async fn assert_no_complaints(&self) {
        self.assert_no_complaints_but(&[]).await;
    }

    /// The same where some are wanted: each text here must be in at least one complaint, and each complaint
    /// must hold one of them. A page that answers 404 makes the browser complain.
    pub(crate) async fn assert_no_complaints_but(&self, wanted: &[&str]) {
        let complaints = self.complaints().await;
        let is_wanted = |complaint: &&String| wanted.iter().any(|text| complaint.contains(text));
        let other: Vec<_> = complaints.iter().filter(|complaint| !is_wanted(complaint)).collect();
        assert!(other.is_empty(), "the page is not as it should be: {other:#?}");
        for text in wanted {
            let came = complaints.iter().any(|complaint| complaint.contains(text));
            assert!(came, "no complaint holds {text:?}: {complaints:#?}");
        }
    }

    /// All requests since the page was opened, WebSockets included, oldest first.
    pub(crate) async fn requests(&self) -> Vec<Request> {
        let looked = self.look().await;
        self.fine(looked, "read the logs").await;
        self.asked()
    }

    async fn look(&self) -> Result<(), CmdError> {
        let console = self.log("browser").await?;
        let network = self.log("performance").await?;
        let mut seen = self.seen.borrow_mut();
        seen.console.extend(console);
        // Each is a text that holds the event.
        let messages = network.iter().filter_map(|entry| entry["message"].as_str());
        let events = messages.map(|text| serde_json::from_str::<Value>(text).unwrap());
        seen.network.extend(events.map(|event| event["message"].clone()));
        Ok(())
    }

    async fn log(&self, name: &str) -> Result<Vec<Value>, CmdError> {
        let extra = Extra { path: "se/log", body: json!({"type": name}) };
        match self.client.issue_cmd(extra).await? {
            Value::Array(entries) => Ok(entries),
            other => Err(CmdError::NotW3C(other)),
        }
    }

    fn asked(&self) -> Vec<Request> {
        self.seen.borrow().network.iter().filter_map(request).collect()
    }

    /// Whether this is no address of anybody else.
    fn is_own(&self, url: &str) -> bool {
        let host = self.origin.strip_prefix("http://").unwrap_or(&self.origin);
        let below =
            |scheme| url.strip_prefix(&format!("{scheme}://{host}")).is_some_and(begins_path);
        let inside = ["data:", "about:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
        inside || below("http") || below("ws")
    }
}

fn begins_path(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '?', '#'])
}

/// A line for an entry of the console that a good page does not make.
fn wrong(entry: &Value) -> Option<String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let grave = matches!(text("level"), "SEVERE" | "WARNING");
    grave.then(|| format!("{} ({}): {}", text("level"), text("source"), text("message")))
}

fn request(event: &Value) -> Option<Request> {
    let parameters = &event["params"];
    let (method, url) = match event["method"].as_str()? {
        "Network.requestWillBeSent" => {
            (&parameters["request"]["method"], &parameters["request"]["url"])
        }
        "Network.webSocketCreated" => (&Value::Null, &parameters["url"]),
        _ => return None,
    };
    Some(Request {
        method: method.as_str().unwrap_or("WebSocket").to_owned(),
        url: url.as_str()?.to_owned(),
    })
}
