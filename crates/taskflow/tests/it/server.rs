//! A real server in a folder of its own, and a small client for it. The process is killed when the
//! value is dropped. It sees nothing of the environment of the tests.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What a condition may take on a busy machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// The program, in a folder, with only these settings.
pub(crate) fn taskflow(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskflow"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command.env_clear().env("LOG_FORMAT", "json").envs(settings.iter().copied());
    command
}

/// A process of the program, its log in a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it writes to both outputs goes to `log`, which is emptied first.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; fails when that takes longer than `within`.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begin.elapsed() < within,
                "still runs after {within:?}; its log:\n{}",
                self.log()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a line of the log that holds `message`; fails when the process ends before it.
    pub(crate) async fn logged(&mut self, message: &str) -> Value {
        let begin = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            let lines = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.into_iter().find(|line| line["message"] == message) {
                return line;
            }
            assert!(ended.is_none(), "ended with {ended:?} before it logged {message:?}:\n{log}");
            assert!(begin.elapsed() < PATIENCE, "never logged {message:?}:\n{log}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not outlive the test.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server that answers.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    /// From the start of the process to its first answer.
    pub(crate) started_in: Duration,
    folder: TempDir,
    client: Client,
    key: Option<String>,
}

impl Server {
    /// Starts one on a fresh database and a free port, with these settings.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), "0", settings).await
    }

    async fn start_in(folder: TempDir, port: &str, settings: &[(&str, &str)]) -> Self {
        let begin = Instant::now();
        let mut command = taskflow(folder.path(), settings, &["serve"]);
        command.env("PORT", port);
        let mut process = Process::start(command, folder.path().join("server.log"));
        let address = process.logged("listening").await["address"].as_str().unwrap().to_owned();
        let key =
            settings.iter().find(|(name, _)| *name == "API_KEY").map(|(_, key)| (*key).into());
        let (url, client) = (format!("http://{address}"), client());
        let started_in = Duration::ZERO;
        let mut server = Self { process, url, started_in, folder, client, key };
        server.get("/api/v1/health").await.is(200);
        server.started_in = begin.elapsed();
        server
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGKILL, then a new process on the same file and port.
    pub(crate) async fn kill_and_restart(mut self, settings: &[(&str, &str)]) -> Self {
        self.process.kill();
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        Self::start_in(self.folder, &port, settings).await
    }

    /// Its folder, the working folder of the process.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let what = format!("{method} {path}");
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => panic!("{what}: {error:?}; the server's log:\n{}", self.process.log()),
        };
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { what, status, body }
    }

    /// Creates a task and answers its id.
    pub(crate) async fn create(&self, task: Value) -> i64 {
        self.post("/api/v1/tasks", task).await.is(201)["id"].as_i64().unwrap()
    }

    pub(crate) async fn task(&self, id: i64) -> Value {
        self.get(&format!("/api/v1/tasks/{id}")).await.is(200)
    }

    /// The task as soon as it has this status.
    pub(crate) async fn until(&self, id: i64, status: &str) -> Value {
        let begin = Instant::now();
        loop {
            let task = self.task(id).await;
            if task["status"] == status {
                return task;
            }
            let log = || self.process.log();
            assert!(begin.elapsed() < PATIENCE, "never {status}: {task:#}\nlog:\n{}", log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Outcomes of the task's attempts, oldest first.
    pub(crate) async fn outcomes(&self, id: i64) -> Vec<String> {
        let attempts = self.get(&format!("/api/v1/tasks/{id}/attempts")).await.is(200);
        let outcome = |attempt: &Value| attempt["outcome"].as_str().unwrap().to_owned();
        attempts.as_array().unwrap().iter().map(outcome).collect()
    }

    /// Claims one task of a kind of one's own; the answer holds its `lease_token`.
    pub(crate) async fn claim(&self, kind: &str, lease_seconds: u32) -> Value {
        let wish = serde_json::json!({
            "worker": "test", "kinds": [kind], "limit": 1, "lease_seconds": lease_seconds,
        });
        let claimed = self.post("/api/v1/tasks/claim", wish).await.is(200);
        claimed["tasks"][0].clone()
    }
}

/// A client that shares no connections with others.
pub(crate) fn client() -> Client {
    let provider = rustls::crypto::ring::default_provider();
    // Another test may have installed it already; both are the same.
    drop(rustls::crypto::CryptoProvider::install_default(provider));
    Client::builder().no_proxy().timeout(Duration::from_secs(90)).build().unwrap()
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// What was asked, the status and the body.
    pub(crate) fn parts(self) -> (String, u16, Value) {
        (self.what, self.status, self.body)
    }

    /// The body, when the status is this one; fails with both otherwise.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {:#}", self.what, self.body);
        self.body
    }

    /// The stable code of a problem.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        assert_eq!(body["code"], code, "{body:#}");
        body
    }
}

/// Tells whoever runs the tests, also when the test passes: the test runner swallows what `println!`
/// prints.
#[expect(clippy::explicit_write, reason = "the print macros are what the runner swallows")]
pub(crate) fn say(text: std::fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{text}").unwrap();
}

/// The root of the project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
