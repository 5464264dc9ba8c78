//! A server of TaskFlow as the commands see it: requests out, documents or a fault back. It speaks
//! the public API only, follows no redirects (the key goes to the server that was named) and repeats
//! nothing.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LINK};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;

use super::fault::{Fault, Refusal};
use crate::remote;

/// What is asked when nothing names a server.
const DEFAULT: &str = "http://127.0.0.1:8000";

/// Where requests go, and the key that goes with them.
pub(in crate::commands) struct Site {
    client: Client,
    base: Url,
    key: Option<HeaderValue>,
}

/// What the server answered when it did what was asked.
pub(in crate::commands) struct Answer {
    /// 2xx.
    pub(in crate::commands) status: StatusCode,
    /// The server's clock, to the second; `None` when it did not say.
    pub(in crate::commands) at: Option<Timestamp>,
    /// Where the next page of a list begins; `None` when there is none.
    pub(in crate::commands) next: Option<String>,
    /// The document; empty when there was none.
    pub(in crate::commands) text: String,
}

impl Site {
    /// The site at `server`. A usage fault when that is no URL, or when no header can carry `key`.
    pub(in crate::commands) fn new(server: Option<&str>, key: Option<&str>) -> Result<Self, Fault> {
        let server = server.unwrap_or(DEFAULT);
        let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let base = Url::parse(server).ok().filter(usable).ok_or_else(|| {
            Fault::Usage(format!("the server must be a URL such as {DEFAULT}, not {server:?}"))
        })?;
        let key = key.filter(|key| !key.is_empty()).map(HeaderValue::from_str).transpose();
        let mut key =
            key.map_err(|_| Fault::Usage("the API key cannot be sent in a header".into()))?;
        if let Some(key) = &mut key {
            key.set_sensitive(true);
        }
        let limits = |builder: reqwest::ClientBuilder| {
            builder.connect_timeout(remote::CONNECT).redirect(redirect::Policy::none())
        };
        let client = remote::client(limits).map_err(|error| broken(&error.to_string()))?;
        Ok(Self { client, base, key })
    }

    /// A task as it is.
    pub(super) async fn task(&self, id: i64) -> Result<Answer, Fault> {
        self.get(&["tasks", &id.to_string()], &[]).await
    }

    /// A task as soon as it has ended, or after `wait` as it is.
    pub(super) async fn task_within(&self, id: i64, wait: Duration) -> Result<Answer, Fault> {
        let url =
            self.url(&["tasks", &id.to_string()], &[("wait", wait.as_secs_f64().to_string())]);
        self.send(self.client.get(url), wait).await
    }

    /// What is at a path below `/api/v1`.
    pub(in crate::commands) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, Fault> {
        self.send(self.client.get(self.url(path, query)), Duration::ZERO).await
    }

    /// All pages of a list at a path below `/api/v1`, as one document.
    pub(in crate::commands) async fn get_all(&self, path: &[&str]) -> Result<Answer, Fault> {
        let mut answer = self.get(path, &[("limit", PAGE.to_owned())]).await?;
        while let Some(next) = answer.next.take() {
            let query = [("limit", PAGE.to_owned()), ("after", next)];
            let more = self.get(path, &query).await?;
            answer.text = joined(&answer.text, &more.text);
            answer.next = more.next;
        }
        Ok(answer)
    }

    /// Posts a JSON `body`.
    pub(in crate::commands) async fn post(
        &self,
        path: &[&str],
        body: String,
    ) -> Result<Answer, Fault> {
        let request =
            self.client.post(self.url(path, &[])).header(CONTENT_TYPE, "application/json");
        self.send(request.body(body), Duration::ZERO).await
    }

    /// Puts a JSON `body`.
    pub(in crate::commands) async fn put(
        &self,
        path: &[&str],
        body: String,
    ) -> Result<Answer, Fault> {
        let request = self.client.put(self.url(path, &[])).header(CONTENT_TYPE, "application/json");
        self.send(request.body(body), Duration::ZERO).await
    }

    /// Posts a JSON `body`, with an `Idempotency-Key` when there is one.
    pub(super) async fn post_once(
        &self,
        path: &[&str],
        body: String,
        key: Option<&str>,
    ) -> Result<Answer, Fault> {
        let Some(key) = key else { return self.post(path, body).await };
        let key = HeaderValue::from_str(key)
            .map_err(|_| Fault::Usage("the idempotency key cannot be sent in a header".into()))?;
        let request =
            self.client.post(self.url(path, &[])).header(CONTENT_TYPE, "application/json");
        self.send(request.header("Idempotency-Key", key).body(body), Duration::ZERO).await
    }

    /// Deletes what is at a path.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<Answer, Fault> {
        self.send(self.client.request(Method::DELETE, self.url(path, &[])), Duration::ZERO).await
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        // A URL with a host has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn send(&self, mut request: RequestBuilder, wait: Duration) -> Result<Answer, Fault> {
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key.clone());
        }
        let failed = |error: reqwest::Error| self.unreachable(error);
        let response = request.timeout(wait + remote::ANSWER).send().await.map_err(failed)?;
        let status = response.status();
        let (at, next) = (date(response.headers()), next(response.headers()));
        let text = response.text().await.map_err(failed)?;
        if status.is_success() {
            Ok(Answer { status, at, next, text })
        } else {
            Err(Fault::Refused(Refusal::new(status.as_u16(), &text)))
        }
    }

    /// With all its causes, but without the URL, which may hold a password.
    fn unreachable(&self, error: reqwest::Error) -> Fault {
        let server = self.base.origin().ascii_serialization();
        let (before, error) = (error.is_connect(), anyhow::Error::from(error.without_url()));
        Fault::Unreachable(if before {
            format!("{server} cannot be reached: {error:#}")
        } else {
            format!("{server} did not answer, so what was asked may be done or not: {error:#}")
        })
    }
}

/// The server's clock, as it says in every answer.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(date).ok().map(|at| at.timestamp())
}

/// The largest page of every list.
const PAGE: &str = "1000";

/// Two JSON arrays as one; their items stay as the server wrote them.
fn joined(one: &str, more: &str) -> String {
    let inside = |text: &str| {
        let text = text.trim();
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        text.unwrap_or_default().trim().to_owned()
    };
    match (inside(one), inside(more)) {
        (one, more) if one.is_empty() || more.is_empty() => format!("[{one}{more}]"),
        (one, more) => format!("[{one},{more}]"),
    }
}

/// The `after` of a page's `Link` to the next one.
fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?.strip_prefix('<')?;
    let (target, rel) = link.split_once('>')?;
    let url = Url::parse(DEFAULT).ok()?.join(target).ok().filter(|_| rel.contains("next"))?;
    url.query_pairs().find(|(name, _)| name == "after").map(|(_, after)| after.into_owned())
}

fn broken(why: &str) -> Fault {
    Fault::Unreachable(format!("no request can be made from here: {why}"))
}

impl Refusal {
    /// What a problem document says; the status alone when the answer is none.
    fn new(status: u16, text: &str) -> Self {
        let problem: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().map_or_else(
            || format!("the answer was {status} and no problem document: is it a TaskFlow?"),
            str::to_owned,
        );
        let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fault = |error: &Value| {
            let text = |name| error[name].as_str();
            Some((text("pointer")?.to_owned(), text("message").or(text("detail"))?.to_owned()))
        };
        Self { status, detail, errors: errors.iter().filter_map(fault).collect() }
    }
}

#[cfg(test)]
mod tests {
    //! Addresses and refusals; requests are tested end to end.

    use super::{Refusal, Site, joined};
    use crate::commands::task::fault::Fault;

    #[test]
    fn pages_become_one_document() {
        let pages = [("[1,2]", "[3]", "[1,2,3]"), (" [] ", "[3]", "[3]"), ("[1]", "[]", "[1]")];
        for (one, more, whole) in pages {
            assert_eq!(joined(one, more), whole);
        }
    }

    #[test]
    fn paths_and_queries_are_put_together_whatever_the_server_url_looks_like() {
        for server in ["http://h:1", "http://h:1/", "http://h:1/?x=y#z"] {
            let site = Site::new(Some(server), None).unwrap();
            let url = site.url(&["tasks"], &[("queue", "a&b c".to_owned())]);
            assert_eq!(url.as_str(), "http://h:1/api/v1/tasks?queue=a%26b+c");
        }
        let site = Site::new(Some("https://h/below/it/"), None).unwrap();
        let url = site.url(&["tasks", "1", "cancel"], &[]);
        assert_eq!(url.as_str(), "https://h/below/it/api/v1/tasks/1/cancel");
    }

    #[test]
    fn what_is_no_server_or_no_key_is_wrong_usage() {
        for server in ["127.0.0.1:8000", "ftp://h", "", "http://"] {
            assert!(matches!(Site::new(Some(server), None), Err(Fault::Usage(_))), "{server}");
        }
        assert!(matches!(Site::new(None, Some("a\nb")), Err(Fault::Usage(_))));
        assert!(Site::new(None, Some("a")).is_ok());
    }

    #[test]
    fn a_refusal_says_the_detail_and_every_field_at_fault_once() {
        let one = r#"{"detail": "/kind is \u001b bad", "errors":
            [{"pointer": "/kind", "code": "x", "message": "is \u001b bad"}]}"#;
        assert_eq!(Refusal::new(422, one).to_string(), r"/kind is \u{1b} bad");
        let two = r#"{"detail": "2 fields", "errors": [{"pointer": "/a", "message": "is bad"},
            {"pointer": "/b", "detail": "is worse"}]}"#;
        assert_eq!(Refusal::new(422, two).to_string(), "2 fields\n  /a is bad\n  /b is worse");
        assert!(Refusal::new(502, "<html>").to_string().contains("502"));
    }
}
