//! The API in this process, without sockets: a router on a temporary SQLite file, a clock that moves
//! when a test says so, tokens that count. Every answer is checked for what all answers have to have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Uri, header};
use serde_json::{Value, json};
use taskflow_api::problem::CODES;
use taskflow_api::server::{ServerLimits, serve};
use taskflow_api::{ApiKey, ApiOptions, ApiState, Cors};
use taskflow_core::{LeaseToken, ManualClock, Timestamp};
use taskflow_service::Services;
use taskflow_service::clock::IdSource;
use taskflow_sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// 2026-01-01T00:00:00Z, where every test begins.
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// A parked claim never looks by itself: only a wake-up or the end of its wait ends it.
const POLL: Duration = Duration::from_secs(3600);
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The OpenAPI document of the default options.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = taskflow_api::document_of(&options());
    serde_json::from_slice(&text).expect("the document is JSON")
});

/// The options of `taskflow openapi`.
pub(crate) fn options() -> ApiOptions {
    ApiOptions {
        title: "TaskFlow API".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        key: None,
        cors: Cors::Only(Vec::new()),
        public: false,
        request_seed: 0x7e57,
    }
}

/// Tokens that count from 1.
#[derive(Default)]
struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn tokens(&self, n: usize) -> Vec<LeaseToken> {
        let next = || u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        (0..n).map(|_| LeaseToken::new(next().to_be_bytes())).collect()
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, null when it is no JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }

    /// The body of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        let got = (self.status, self.json["code"].as_str().unwrap_or(""));
        assert_eq!(got, (status, code), "{}", self.text);
        self.json
    }

    /// A 422 that blames exactly this field with this code.
    #[track_caller]
    pub(crate) fn blames(self, pointer: &str, code: &str) -> Value {
        let body = self.refused(422, "invalid-input");
        let faults = body["errors"].as_array().expect("a 422 lists its fields");
        let faults: Vec<_> = faults.iter().map(|f| (&f["pointer"], &f["code"])).collect();
        assert_eq!(faults, [(&json!(pointer), &json!(code))], "{body}");
        body
    }
}

/// The API under test.
pub(crate) struct TestApp {
    router: Router,
    pub(crate) services: Services,
    pub(crate) clock: Arc<ManualClock>,
    // The last one: the store must let go of the file first.
    folder: tempfile::TempDir,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with_key(key: &str) -> Self {
        Self::with(ApiOptions { key: Some(ApiKey::new(key)), ..options() })
    }

    pub(crate) fn with(options: ApiOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("tasks.db")).expect("opens");
        let clock = Arc::new(ManualClock::new(START));
        let ids = Arc::new(CountingIds::default());
        let services = Services::new(Arc::new(store), clock.clone(), ids, POLL);
        let state = ApiState::new(services.clone(), options);
        Self { router: taskflow_api::router(state), services, clock, folder }
    }

    /// Serves it on a port, and listens to its store, until the runtime ends.
    pub(crate) async fn serve(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(self.services.listen());
        let (limits, stop) = (ServerLimits::default(), CancellationToken::new());
        let router = self.router.clone();
        tokio::spawn(async move { serve(listener, router, limits, stop, PATIENCE).await });
        address
    }

    /// Takes the database away.
    pub(crate) fn lose_database(&self) {
        std::fs::remove_file(self.folder.path().join("tasks.db")).expect("it was there");
    }

    /// Whether the bytes stand anywhere in the database's files.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder");
        files.into_iter().any(|file| {
            let content = std::fs::read(file.expect("a file").path()).expect("readable");
            content.windows(bytes.len()).any(|window| window == bytes)
        })
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = self.router.clone().oneshot(request).await.expect("it cannot fail");
        let (parts, body) = response.into_parts();
        let stream = parts.headers.get("content-type").is_some_and(|of| of == "text/event-stream");
        let bytes = match stream {
            // It has no end: its beginning will do.
            true => body.into_data_stream().next().await.transpose().expect("a part"),
            false => Some(to_bytes(body, usize::MAX).await.expect("a whole body")),
        };
        let bytes = bytes.unwrap_or_default();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8(bytes.to_vec()).expect("answers are UTF-8"),
        };
        check(&method, &uri, &answer);
        answer
    }

    /// Sends a request with these headers and body.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.into())).expect("a request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.json("PUT", path, body.to_string()).await
    }

    /// Sends text that says of itself that it is JSON.
    pub(crate) async fn json(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(method, path, &[("content-type", "application/json")], body).await
    }

    /// Creates a task; the answer is 201.
    pub(crate) async fn create(&self, body: &Value) -> Value {
        self.post("/api/v1/tasks", body).await.ok(201)
    }

    /// A task with nothing but a title.
    pub(crate) async fn titled(&self, title: &str) -> Value {
        self.create(&json!({"title": title})).await
    }

    /// A task that a claim without kinds takes.
    pub(crate) async fn job(&self, title: &str) -> Value {
        self.create(&json!({"title": title, "kind": "job"})).await
    }

    /// The task as it is now.
    pub(crate) async fn task(&self, id: &Value) -> Value {
        self.get(&path(id, "")).await.ok(200)
    }

    /// Claims up to `limit` tasks of any kind that is not built in.
    pub(crate) async fn claim(&self, limit: u32) -> Vec<Value> {
        let body = json!({"worker": "w1", "limit": limit});
        let answer = self.post("/api/v1/tasks/claim", &body).await.ok(200);
        answer["tasks"].as_array().expect("a list").clone()
    }

    /// Creates a job and claims it.
    pub(crate) async fn running(&self, title: &str) -> Value {
        self.job(title).await;
        let mut claimed = self.claim(1).await;
        claimed.pop().expect("a job waits")
    }

    /// Moves the task by hand.
    pub(crate) async fn set(&self, id: &Value, status: &str) -> Answer {
        self.put(&path(id, ""), &json!({"status": status})).await
    }

    /// Lets the background duties do once what is due now.
    pub(crate) async fn tick(&self) {
        for mut duty in self.services.duties() {
            duty.tick(self.services.clock.now()).await.expect("a duty works");
        }
    }

    /// Everything that a request could leave behind: counts, tasks and their histories.
    pub(crate) async fn everything(&self) -> Value {
        let summary = self.get("/api/v1/tasks/stats/summary").await.ok(200);
        let tasks = self.get("/api/v1/tasks?limit=1000").await.ok(200);
        let mut histories = Vec::new();
        for task in tasks.as_array().expect("a list") {
            histories.push(self.get(&path(&task["id"], "/attempts")).await.ok(200));
        }
        json!([summary, tasks, histories])
    }

    /// Waits until `n` claims are parked.
    pub(crate) async fn until_waiting(&self, n: usize) {
        let parked = async {
            while self.services.bus.waiting() != n {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(parked).await;
    }
}

/// The path of a task and what follows it.
pub(crate) fn path(id: &Value, rest: &str) -> String {
    format!("/api/v1/tasks/{id}{rest}")
}

/// The instant `seconds` after the beginning, as the API writes it.
pub(crate) fn at(seconds: f64) -> Value {
    json!(START.plus_seconds(seconds).to_string())
}

/// What must happen, or the test fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// What holds for every answer.
#[track_caller]
fn check(method: &Method, uri: &Uri, answer: &Answer) {
    let asked = format!("{method} {uri:.200} got {} {:.2000}", answer.status, answer.text);
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{asked}");
    assert!(!answer.header("x-request-id").is_empty(), "{asked}");
    assert!(!answer.header("cache-control").is_empty(), "{asked}");
    assert_ne!(answer.status, 500, "{asked}");
    if let Some(documented) = documented(method, uri.path()) {
        let status = answer.status.to_string();
        // Any path may be too long, whatever it names, and any body too slow.
        let slow = answer.status == 408 && documented.get("413").is_some();
        let known = documented.get(&status).is_some() || answer.status == 414 || slow;
        assert!(known, "the document does not know this status: {asked}");
    }
    if answer.status < 400 {
        return;
    }
    if answer.header("content-type").starts_with("text/html") {
        // A page of the dashboard.
        assert!(!answer.header("content-security-policy").is_empty(), "{asked}");
        assert!(!uri.path().starts_with("/api/"), "{asked}");
        return;
    }
    assert_eq!(answer.header("content-type"), "application/problem+json", "{asked}");
    if method == Method::HEAD {
        assert!(answer.text.is_empty(), "{asked}");
        return;
    }
    let body = &answer.json;
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let row = CODES.iter().find(|row| row.0 == text("code"));
    let row = row.unwrap_or_else(|| panic!("no such code: {asked}"));
    assert_eq!(text("type"), format!("/errors/{}", row.0), "{asked}");
    assert_eq!(body["status"], answer.status, "{asked}");
    assert_eq!((row.1.as_u16(), row.2), (answer.status, text("title")), "{asked}");
    assert!(!text("detail").is_empty(), "{asked}");
    assert_eq!(text("request_id"), answer.header("x-request-id"), "{asked}");
    assert_eq!(answer.status == 422, body["errors"].is_array(), "{asked}");
    for fault in body["errors"].as_array().into_iter().flatten() {
        let pointer = fault["pointer"].as_str().expect("a pointer");
        assert!(pointer.is_empty() || pointer.starts_with(['/', '?']), "{asked}");
        assert!(fault["code"].as_str().is_some_and(|c| !c.is_empty()), "{asked}");
        assert!(fault["message"].as_str().is_some_and(|m| !m.is_empty()), "{asked}");
    }
    let lower = answer.text.to_lowercase();
    for word in ["sql", "select ", "constraint", "src/", ".rs", "panicked", "struct ", "taskflow_"]
    {
        assert!(!lower.contains(word), "{word:?} got out: {asked}");
    }
}

/// The answers that the document knows for a call; none when it does not know the call.
fn documented(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        let fits = |(part, asked): (&&str, &&str)| part == asked || part.starts_with('{');
        parts.len() == asked.len() && parts.iter().zip(&asked).all(fits)
    };
    // A literal path wins over a template, as in the router.
    let (_, operations) = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count())?;
    let upper = !method.as_str().bytes().any(|b| b.is_ascii_lowercase());
    upper.then(|| operations.get(method.as_str().to_ascii_lowercase())?.get("responses"))?
}

/// The names of a header that lists names, sorted.
pub(crate) fn listed(value: &str) -> Vec<String> {
    let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
    let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    names.sort();
    names
}

/// The methods that a 405 says are allowed.
pub(crate) fn allowed(answer: &Answer) -> Vec<String> {
    listed(answer.header(header::ALLOW.as_str()))
}
