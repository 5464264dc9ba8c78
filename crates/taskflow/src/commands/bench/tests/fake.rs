//! A small server that speaks as much of the API as the benchmark asks for. Its tasks live in memory, it
//! knows no rule beyond "one lease at a time", and it can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How the server behaves.
#[derive(Clone, Default)]
pub(super) struct Manners {
    /// It has neither the bare route nor bulk nor sync.
    pub(super) plain: bool,
    /// It runs `sleep` tasks itself, at once.
    pub(super) worker: bool,
    /// It sends its bodies in chunks.
    pub(super) chunked: bool,
    /// It refuses every so-manieth creation with 503.
    pub(super) refuses_every: Option<u64>,
    /// It hangs up on every so-manieth creation.
    pub(super) hangs_up_every: Option<u64>,
    /// It refuses to finish tasks.
    pub(super) loses_leases: bool,
    /// The key that it asks for.
    pub(super) key: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) tasks: BTreeMap<i64, Value>,
    pub(super) creations: u64,
    pub(super) bare: u64,
    pub(super) largest_claim: usize,
}

impl State {
    /// How many tasks have this status.
    pub(super) fn count(&self, status: &str) -> usize {
        self.tasks.values().filter(|task| task["status"] == status).count()
    }

    fn create(&mut self, new: &Value, worker: bool) -> Value {
        let id = i64::try_from(self.tasks.len()).unwrap() + 1;
        let mut task = new.clone();
        task["id"] = id.into();
        task["status"] = "pending".into();
        let answer = task.clone();
        if worker && task["kind"] == "sleep" {
            task["status"] = "completed".into();
            task["completed_at"] = format!("{:.6}", jiff::Timestamp::now()).into();
        }
        self.tasks.insert(id, task);
        answer
    }

    fn claim(&mut self, claim: &Value) -> Vec<Value> {
        let limit = usize::try_from(claim["limit"].as_u64().unwrap()).unwrap();
        let fits = |task: &&mut Value| {
            let named =
                |key: &str, list: &str| claim[list].as_array().unwrap().contains(&task[key]);
            task["status"] == "pending" && named("queue", "queues") && named("kind", "kinds")
        };
        let mut claimed = Vec::new();
        for task in self.tasks.values_mut().filter(fits).take(limit) {
            task["status"] = "in_progress".into();
            task["lease_token"] = format!("token-{}", task["id"]).into();
            claimed.push(task.clone());
        }
        self.largest_claim = self.largest_claim.max(claimed.len());
        claimed
    }

    fn finish(&mut self, id: i64, token: &Value) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let held = task["status"] == "in_progress" && task["lease_token"] == *token;
        if held {
            task["status"] = "completed".into();
        }
        held
    }
}

/// The running server; it ends with this value.
pub(super) struct Fake {
    /// Its address as `--server` takes it.
    pub(super) url: String,
    inner: Arc<Inner>,
    _runs: JoinSet<()>,
}

struct Inner {
    manners: Manners,
    state: Mutex<State>,
    created: Notify,
}

impl Fake {
    /// Starts it on a free port.
    pub(super) async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, created) = (Mutex::default(), Notify::new());
        let inner = Arc::new(Inner { manners, state, created });
        let mut runs = JoinSet::new();
        let shared = inner.clone();
        runs.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(shared.clone().serve(stream));
            }
        });
        Self { url, inner, _runs: runs }
    }

    /// A look at its tasks.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner.state.lock().unwrap())
    }
}

/// Method and path, body, key.
type Request = (String, Vec<u8>, Option<String>);

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut fields);
        if let httparse::Status::Complete(head) = request.parse(buffer).unwrap() {
            let line = format!("{} {}", request.method.unwrap(), request.path.unwrap());
            let field = |name| {
                let found = request.headers.iter().find(|field| field.name == name)?;
                Some(String::from_utf8(found.value.to_vec()).unwrap())
            };
            let length: usize = field("content-length").map_or(0, |text| text.parse().unwrap());
            let key = field("x-api-key");
            if buffer.len() >= head + length {
                let body = buffer[head..head + length].to_vec();
                buffer.drain(..head + length);
                return Some((line, body, key));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

impl Inner {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut buffer = Vec::new();
        while let Some((line, body, key)) = read_request(&mut stream, &mut buffer).await {
            let health = line == "GET /api/v1/health";
            let answer = if !health && self.manners.key.is_some_and(|k| key.as_deref() != Some(k)) {
                Some((401, json!({"detail": "no key"})))
            } else {
                self.answer(&line, &body).await
            };
            let Some((status, answer)) = answer else { return };
            let bytes = self.written(status, &answer.to_string());
            if stream.write_all(bytes.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn written(&self, status: u16, body: &str) -> String {
        if status == 204 {
            return "HTTP/1.1 204 x\r\n\r\n".to_owned();
        }
        if self.manners.chunked {
            let head = format!("HTTP/1.1 {status} x\r\ntransfer-encoding: chunked\r\n\r\n");
            let (left, right) = body.split_at(body.len() / 2);
            let chunk = |part: &str| match part.len() {
                0 => String::new(),
                length => format!("{length:x}\r\n{part}\r\n"),
            };
            return format!("{head}{}{}0\r\n\r\n", chunk(left), chunk(right));
        }
        format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    /// None: hang up.
    async fn answer(&self, line: &str, body: &[u8]) -> Option<(u16, Value)> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (method, path) = line.split_once(' ').unwrap();
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        Some(match (method, parts.as_slice()) {
            ("GET", ["health"]) => (200, json!({"status": "healthy", "version": "fake"})),
            ("GET", ["tasks?limit=1"]) => (200, json!([])),
            ("POST", ["bench", "bare"]) if !self.manners.plain => {
                self.state.lock().unwrap().bare += 1;
                (200, body)
            }
            ("POST", ["tasks"]) => return self.create(&body),
            ("POST", ["tasks", "bulk"]) if !self.manners.plain => {
                let mut state = self.state.lock().unwrap();
                let tasks = body["tasks"].as_array().unwrap();
                let items: Vec<_> = tasks.iter().map(|task| state.create(task, false)).collect();
                self.created.notify_waiters();
                (201, json!({"tasks": items}))
            }
            ("POST", ["tasks", "bulk"]) => (405, json!({})),
            ("POST", ["tasks", "claim"]) => (200, json!({"tasks": self.claim(&body).await})),
            ("POST", ["tasks", id, "complete"]) => {
                let id = id.parse().unwrap();
                let done = self.state.lock().unwrap().finish(id, &body["lease_token"]);
                if done { (200, json!({"id": id})) } else { (409, json!({"code": "lease-lost"})) }
            }
            ("POST", ["workers", _, "sync"]) if !self.manners.plain => {
                (200, self.sync(&body).await)
            }
            ("GET", ["tasks", id]) => {
                let state = self.state.lock().unwrap();
                (200, state.tasks[&id.parse().unwrap()].clone())
            }
            ("DELETE", ["tasks", id]) => {
                self.state.lock().unwrap().tasks.remove(&id.parse().unwrap());
                (204, json!(null))
            }
            _ => (404, json!({"detail": "no such route"})),
        })
    }

    fn create(&self, new: &Value) -> Option<(u16, Value)> {
        let mut state = self.state.lock().unwrap();
        state.creations += 1;
        let due =
            |every: Option<u64>| every.is_some_and(|every| state.creations.is_multiple_of(every));
        if due(self.manners.hangs_up_every) {
            return None;
        }
        if due(self.manners.refuses_every) {
            return Some((503, json!({"detail": "busy"})));
        }
        let task = state.create(new, self.manners.worker);
        self.created.notify_waiters();
        Some((201, task))
    }

    async fn claim(&self, claim: &Value) -> Vec<Value> {
        let wait = Duration::from_secs(claim["wait_seconds"].as_u64().unwrap_or(0));
        let found = async {
            loop {
                let created = self.created.notified();
                let tasks = self.state.lock().unwrap().claim(claim);
                if !tasks.is_empty() || wait.is_zero() {
                    return tasks;
                }
                created.await;
            }
        };
        timeout(wait.max(Duration::from_secs(1)), found).await.unwrap_or_default()
    }

    async fn sync(&self, body: &Value) -> Value {
        let mut finished = Vec::new();
        for item in body["finished"].as_array().unwrap_or(&Vec::new()) {
            assert_eq!(item["outcome"], "completed");
            let id = item["id"].as_i64().unwrap();
            let done = !self.manners.loses_leases
                && self.state.lock().unwrap().finish(id, &item["lease_token"]);
            finished.push(match done {
                true => json!({"id": id, "status": 200}),
                false => json!({"id": id, "status": 409, "code": "lease-lost"}),
            });
        }
        let tasks = match body.get("claim") {
            Some(claim) => self.claim(claim).await,
            None => Vec::new(),
        };
        json!({"finished": finished, "heartbeats": [], "tasks": tasks, "command": null})
    }
}
