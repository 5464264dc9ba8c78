//! The server under test as a child process: start, wait until it serves, kill -9, start again.
//! It only ever signals the process it started itself.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::wire::{Sent, Wire};

const HEALTHY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
const LOG: &str = "server.log";

/// The server and where it lives.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    dir: PathBuf,
    address: SocketAddr,
    database_url: String,
    log: String,
    child: Option<Child>,
}

impl Server {
    /// Server number `number` of a run in `dir`; it always listens on the same free port. Without a
    /// URL it keeps its tasks in a file there.
    pub(crate) fn new(
        bin: &Path,
        dir: &Path,
        number: u32,
        database_url: Option<String>,
    ) -> anyhow::Result<Self> {
        let bin = bin.canonicalize().with_context(|| format!("no server at {}", bin.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("no folder {}", dir.display()))?;
        let address = free_address(&dir, number)?;
        let file = || format!("sqlite:///{}/torture.db", dir.display());
        let database_url = database_url.unwrap_or_else(file);
        let log = if number == 0 { LOG.to_owned() } else { format!("server-{number}.log") };
        Ok(Self { bin, dir, address, database_url, log, child: None })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the process; does not wait for it.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        let log = self.log()?;
        let child = Command::new(&self.bin)
            .arg("serve")
            .env_clear()
            .env("HOST", self.address.ip().to_string())
            .env("PORT", self.address.port().to_string())
            .env("DATABASE_URL", &self.database_url)
            .env("WORKER_ENABLED", "false")
            .env("LOG_LEVEL", "WARNING")
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.bin.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the server answers that it is healthy.
    ///
    /// # Errors
    /// When it ends or when 20 seconds pass.
    pub(crate) async fn healthy(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut wire = Wire::new(self.address);
        while begin.elapsed() < HEALTHY_WITHIN {
            if let Some(end) = self.ended()? {
                // Somebody else had the port for a moment: that says nothing about the server.
                if self.log_end().contains("in use") {
                    sleep(POLL).await;
                    self.spawn()?;
                    continue;
                }
                bail!(
                    "the server ended at its start ({end}); see {}:\n{}",
                    self.log,
                    self.log_end()
                );
            }
            if let Sent::Answered(answer) = wire.call("GET", "/api/v1/health", None).await
                && answer.status == 200
            {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("the server did not become healthy in {HEALTHY_WITHIN:?}:\n{}", self.log_end());
    }

    /// How the process ended by itself; none while it runs.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<String>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        Ok(child.try_wait()?.map(|status| status.to_string()))
    }

    /// Number of the process; none when it does not run.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            if child.try_wait()?.is_none() {
                child.start_kill().context("cannot kill the server")?;
            }
            child.wait().await?;
        }
        Ok(())
    }

    /// Stops the process where it is, or lets it go on.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let pid = self.pid().and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
        rustix::process::kill_process(pid.context("the server does not run")?, signal)
            .context("the server cannot be signalled")
    }

    /// Waits until the server says that it can do its work.
    ///
    /// # Errors
    /// When 20 seconds pass.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut wire = Wire::new(self.address);
        while begin.elapsed() < HEALTHY_WITHIN {
            if let Sent::Answered(answer) = wire.call("GET", "/api/v1/health/ready", None).await
                && answer.status == 200
            {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("the server was not ready within {HEALTHY_WITHIN:?}:\n{}", self.log_end());
    }

    /// Lines of its log that tell of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let log = std::fs::read(self.dir.join(&self.log)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }

    fn log(&self) -> anyhow::Result<File> {
        let path = self.dir.join(&self.log);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        open.with_context(|| format!("cannot write {}", path.display()))
    }

    fn log_end(&self) -> String {
        let log = std::fs::read(self.dir.join(&self.log)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A port below those that systems hand out to outgoing connections: while the server is dead, none of
/// our own connections may get it, or the restart would find it taken. The search begins at a place of
/// the folder's own, so that runs beside each other do not find the same port.
fn free_address(dir: &Path, number: u32) -> anyhow::Result<SocketAddr> {
    let mut hasher = DefaultHasher::new();
    (dir, std::process::id(), number).hash(&mut hasher);
    let mut dice = Dice::new(hasher.finish(), 0);
    for _ in 0..200 {
        let port = u16::try_from(dice.between(15_000, 30_000))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between 15000 and 30000");
}
