//! One run from beginning to end: start, load, kill, heal, drain, read back, judge, write down.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use crate::api::Caller;
use crate::evidence::Evidence;
use crate::history::{self, Recorder};
use crate::kills::{Cluster, fault_after_fault};
use crate::load::{self, Floor, Phase};
use crate::options::Options;
use crate::readback::{drained, read_all};
use crate::server::Server;
use crate::verdict::Verdict;

/// Poison tasks of a run: each of them keeps its place for several leases.
const POISON: u32 = 8;

/// Runs a scenario and judges it. Writes `history.ndjson`,
/// `faults.ndjson`, `verdict.json` and the server's log into the folder of the run.
///
/// # Errors
/// When the run cannot take place: no server, a folder with a former run, a server that never starts,
/// a disk that is full. What the server does wrong is in the verdict.
pub async fn run(options: Options) -> anyhow::Result<Verdict> {
    fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    if options.dir.join("torture.db").exists() {
        bail!("{} holds a former run", options.dir.display());
    }
    let mut cluster = Cluster::start(&options).await?;
    let addresses: Vec<SocketAddr> = cluster.servers.iter().map(Server::address).collect();
    let address = *addresses.first().context("no server")?;

    let recorder = Arc::new(Recorder::new());
    let floor = Arc::new(Floor::new(Arc::clone(&recorder), options.lease_seconds, POISON));
    let (mut producers, mut workers) = load::start(&floor, &options, &addresses);
    let outages = fault_after_fault(&mut cluster, &recorder, &options).await?;
    floor.enter(Phase::Drain);
    join(&mut producers).await?;

    let mut evidence = Evidence {
        recovery_ms_max: u64::from(options.lease_seconds + 1) * 1000,
        outages,
        ..Evidence::default()
    };
    if evidence.outages.iter().all(|outage| outage.ready_at.is_some()) {
        let mut caller = Caller::new(address, Arc::clone(&recorder), "watcher".into());
        let bound = Duration::from_secs(u64::from(options.drain_seconds));
        let took = drained(&mut caller, bound).await;
        evidence.drained_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        floor.enter(Phase::Over);
        join(&mut workers).await?;
        let acked: BTreeSet<i64> = floor.known.lock().iter().copied().collect();
        match read_all(address, &recorder, acked).await {
            Ok(end) => evidence.end = Some(end),
            Err(error) => evidence.end_error = Some(format!("{error:#}")),
        }
    }
    floor.enter(Phase::Over);
    join(&mut workers).await?;
    for server in &mut cluster.servers {
        server.kill().await?;
        evidence.panics.extend(server.panics());
    }
    evidence.calls = recorder.calls();
    let evidence = evidence.indexed();
    let verdict = Verdict::of(&evidence, &options);
    write_down(&options, &evidence, &verdict)?;
    Ok(verdict)
}

async fn join(processes: &mut JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = processes.join_next().await {
        ended.context("a process of the load broke")?;
    }
    Ok(())
}

fn write_down(options: &Options, evidence: &Evidence, verdict: &Verdict) -> anyhow::Result<()> {
    let file = |name: &str| {
        let path = options.dir.join(name);
        let file = File::create(&path);
        file.map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
    };
    history::write(&evidence.calls, file("history.ndjson")?)?;
    let mut faults = file("faults.ndjson")?;
    for outage in &evidence.outages {
        writeln!(faults, "{}", serde_json::to_value(outage)?)?;
    }
    faults.flush()?;
    let mut to = file("verdict.json")?;
    serde_json::to_writer_pretty(&mut to, verdict)?;
    writeln!(to)?;
    to.flush()?;
    Ok(())
}
