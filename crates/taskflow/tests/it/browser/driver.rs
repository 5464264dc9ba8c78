//! chromedriver and the browser that it starts: processes that end with the test, however that ends.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::{ParseError, Url};

use crate::server::{LOOK, PATIENCE};

/// A browser is several processes and keeps a core busy while it starts: more at once take longer, and are
/// in the way of the tests that measure time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// What is started is the leader of a process group that chromedriver and the browser stay in. When its
/// input ends, because the test is over or because the process of the tests was killed, the group is killed.
const GUARD: &str = "chromedriver --port=0 & read -r end; kill -KILL 0";

/// How chromedriver says where it listens.
const STARTED: &str = "ChromeDriver was started successfully on port ";

/// Without a window, without a word to any other server, and ended as soon as chromedriver is (the pipe).
const BROWSER: [&str; 13] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--force-color-profile=srgb",
    "--lang=en-US",
];

/// A chromedriver of one's own, with a home of its own.
pub(super) struct Driver {
    guard: Child,
    url: String,
    home: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Driver {
    /// Starts one, when it is this test's turn.
    pub(super) async fn start() -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let there = Command::new("chromedriver").arg("--version").output();
        let missing =
            "these tests need Chromium and chromedriver: run scripts/test, which installs them";
        assert!(there.is_ok_and(|output| output.status.success()), "{missing}");
        let home = TempDir::new().unwrap();
        let log = File::create(home.path().join("driver.log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD]).process_group(0).current_dir(home.path());
        // Nothing of whoever runs the tests: neither their settings nor their time zone.
        for folder in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(folder, home.path());
        }
        command.env("TZ", "UTC").stdin(Stdio::piped());
        let guard = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut driver = Self { guard, url: String::new(), home, _turn: turn };
        driver.url = format!("http://127.0.0.1:{}", driver.port().await);
        driver
    }

    async fn port(&self) -> u16 {
        let begin = Instant::now();
        loop {
            let log = self.log();
            let said = log.split_once(STARTED).and_then(|(_, rest)| rest.split_once(".\n"));
            if let Some((port, _)) = said {
                return port.parse().unwrap();
            }
            assert!(begin.elapsed() < PATIENCE, "chromedriver does not start:\n{log}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What chromedriver has said.
    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("driver.log")).unwrap_or_default()
    }

    /// Opens a browser.
    pub(super) async fn session(&self) -> Client {
        let mut arguments: Vec<String> = BROWSER.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", self.home.path().join("profile").display()));
        let wishes = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let wishes: Capabilities = serde_json::from_value(wishes).unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        match builder.capabilities(wishes).connect(&self.url).await {
            Ok(client) => client,
            Err(error) => panic!("no browser: {error}; chromedriver's log:\n{}", self.log()),
        }
    }

    /// The group of its processes, and their folder.
    pub(super) fn traces(&self) -> (u32, PathBuf) {
        (self.guard.id(), self.home.path().to_owned())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

/// A command that is chromedriver's own.
#[derive(Debug)]
pub(super) struct Extra {
    /// Below the session.
    pub(super) path: &'static str,
    pub(super) body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// Waits until no process of this group and none that names this folder runs; then the folder is gone, too.
pub(super) async fn assert_gone((group, folder): (u32, PathBuf)) {
    let begin = Instant::now();
    while let Some(process) = running(group, &folder) {
        assert!(begin.elapsed() < PATIENCE, "{process} is left");
        tokio::time::sleep(LOOK).await;
    }
    assert!(!folder.exists(), "{} is left", folder.display());
}

/// What has ended and was not yet collected by the system's first process does not run.
fn running(group: u32, folder: &Path) -> Option<String> {
    let mut processes = std::fs::read_dir("/proc").unwrap();
    processes.find_map(|process| {
        let path = process.unwrap().path();
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let command = std::fs::read(path.join("cmdline")).ok()?;
        // `id (name) state parent group …`
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        let ended = fields.next() == Some("Z");
        let in_group = fields.nth(1)?.parse() == Ok(group);
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        (!ended && (in_group || command.contains(folder.to_str()?))).then_some(command)
    })
}
