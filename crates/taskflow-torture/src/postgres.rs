//! A PostgreSQL server of the run's own: made, started, killed and restarted here, with data that goes
//! when the run is over. It uses the programs of an installed PostgreSQL and touches no other server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Whom the programs run as when the run is root's: PostgreSQL refuses to be root.
const OWNER: &str = "postgres";

/// A server with one database, `torture`.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    root: bool,
}

impl Postgres {
    /// Makes the data and starts the server.
    pub(crate) async fn start(port: u16) -> anyhow::Result<Self> {
        let programs = programs().context("no PostgreSQL is installed: no initdb was found")?;
        let name = format!("taskflow-torture-pg-{}-{port}", std::process::id());
        let data = std::env::temp_dir().join(name);
        std::fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data)?) == 0;
        let server = Self { programs, data, port, root };
        if root {
            server.plain("chown", &[OWNER, &server.data.display().to_string()]).await?;
        }
        let db = server.db();
        server
            .program("initdb", &["-D", &db, "-U", "torture", "-A", "trust", "-E", "UTF8"])
            .await?;
        server.up().await?;
        server.sql("postgres", "CREATE DATABASE torture").await?;
        Ok(server)
    }

    /// What the nodes are told.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://torture@127.0.0.1:{}/torture", self.port)
    }

    /// Ends every process of the server at once, as a power cut does, and starts it again.
    pub(crate) async fn crash(&self) -> anyhow::Result<()> {
        self.program("pg_ctl", &["-D", &self.db(), "-m", "immediate", "-w", "stop"]).await?;
        self.up().await
    }

    /// Ends every connection to the database.
    pub(crate) async fn sever(&self) -> anyhow::Result<()> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = 'torture' AND pid <> pg_backend_pid()";
        self.sql("torture", sql).await
    }

    async fn up(&self) -> anyhow::Result<()> {
        let options = format!(
            "-h 127.0.0.1 -p {} -k {} -c max_connections=100 -c logging_collector=off",
            self.port,
            self.data.display()
        );
        let log = self.data.join("log").display().to_string();
        self.program("pg_ctl", &["-D", &self.db(), "-l", &log, "-o", &options, "-w", "start"]).await
    }

    async fn sql(&self, database: &str, sql: &str) -> anyhow::Result<()> {
        let port = self.port.to_string();
        let at = ["-h", "127.0.0.1", "-p", &port, "-U", "torture", "-d", database];
        self.program("psql", &[&at[..], &["-qAtc", sql]].concat()).await
    }

    fn db(&self) -> String {
        self.data.join("db").display().to_string()
    }

    async fn program(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let path = self.programs.join(name).display().to_string();
        if self.root {
            self.plain("runuser", &[&["-u", OWNER, "--", &path], arguments].concat()).await
        } else {
            self.plain(&path, arguments).await
        }
    }

    async fn plain(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let ended = Command::new(program)
            .args(arguments)
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A server that was started keeps what it inherits: no pipe that would never end.
            .stderr(Stdio::null())
            .status()
            .await
            .with_context(|| format!("cannot run {program}"))?;
        if !ended.success() {
            bail!("{program} {arguments:?}: {ended}");
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let path = self.programs.join("pg_ctl").display().to_string();
        let db = self.db();
        let stop = ["-D", &db, "-m", "immediate", "-w", "stop"];
        let mut command = if self.root {
            let mut command = std::process::Command::new("runuser");
            command.args(["-u", OWNER, "--", &path]);
            command
        } else {
            std::process::Command::new(&path)
        };
        let stopped = command
            .args(stop)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // A server that is gone already cannot be stopped; its data goes all the same.
        drop(stopped);
        drop(std::fs::remove_dir_all(&self.data));
    }
}

/// The folder of the newest PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    let whole = |folder: &PathBuf| has(folder, "initdb") && has(folder, "pg_ctl");
    let versioned = folders.iter().rev().find(|f| whole(f) && f.starts_with("/usr/lib")).cloned();
    versioned.or_else(|| folders.iter().find(|folder| whole(folder)).cloned())
}

fn has(folder: &Path, program: &str) -> bool {
    folder.join(program).is_file()
}

/// A free port; the system hands it out.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
