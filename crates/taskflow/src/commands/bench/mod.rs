//! `taskflow bench`: measures a running server over HTTP and reports rates, latencies and their ratio to
//! the server's own bare route.
//!
//! Read in this order: `options` (limits and the plan), `load` (the closed loop), `http` and `answer`
//! (the tiny client), then the scenarios: `fixed`, `sync`, `cycle`, `pickup` (with `offer`, `work`,
//! `pace` and `clean` around them); `report` last.
//!
//! It starts no server, looks at no database and judges nothing: what a figure should be is in
//! `docs/benchmark.md`.

mod answer;
mod clean;
mod cycle;
mod fixed;
mod http;
mod load;
mod offer;
mod options;
mod pace;
mod pickup;
mod report;
mod sync;
mod work;

#[cfg(test)]
mod tests;

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use options::{BenchOptions, Choice};

use http::{Connection, Site, refusal};
use options::{Plan, Scenario};
use report::{Measured, Report};

/// Measures the server and prints the report to stdout, progress to stderr.
///
/// Errors: options outside their limits, a server that does not answer, and, after the report, any call
/// that was refused or got no answer.
pub async fn run(options: BenchOptions) -> anyhow::Result<()> {
    let json = options.json;
    let plan = Plan::checked(&options)?;
    let report = on_its_own_thread(plan).await?;
    let text = if json {
        serde_json::to_string_pretty(&report).context("the report is no JSON")? + "\n"
    } else {
        report.text()
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")?;
    let errors = report.errors();
    ensure!(errors == 0, "{errors} calls went wrong; the report names the first of each kind");
    Ok(())
}

/// A runtime of one thread for the generator: no work stealing, no locks that are ever contended, and one
/// core at most taken from the server.
async fn on_its_own_thread(plan: Plan) -> anyhow::Result<Report> {
    let (answer, report) = oneshot::channel();
    let generate = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let measured = runtime
            .context("cannot start the generator's runtime")
            .and_then(|runtime| runtime.block_on(measure(&plan, &mut announce)));
        // Whoever asked may have gone; then there is nobody left to tell.
        drop(answer.send(measured));
    };
    std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn(generate)
        .context("cannot start the generator's thread")?;
    report.await.context("the generator crashed")?
}

fn announce(line: &str) {
    // Progress is a courtesy: a closed stderr must not end a measurement.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Runs every scenario of every round.
async fn measure(plan: &Plan, announce: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    let site = Site::find(&plan.server, plan.api_key.as_deref(), plan.allow_remote).await?;
    let version = greet(&site, plan).await?;
    if !plan.keep {
        // What a run that was stopped has left would be counted as work of this one.
        clean::drain(&site, plan, work::BENCH).await?;
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        let mut round = Vec::new();
        for scenario in plan.scenarios.iter().copied() {
            announce(&format!("round {number} of {}: {}", plan.rounds, scenario.name()));
            // A scenario that breaks is reported beside the others: the rest may still be worth reading.
            let measured = one(&site, plan, scenario)
                .await
                .unwrap_or_else(|error| Measured::broken(format!("{error:#}")));
            round.push((scenario, measured));
        }
        rounds.push(round);
    }
    Ok(Report::of(plan, version, &rounds))
}

async fn one(site: &Site, plan: &Plan, scenario: Scenario) -> anyhow::Result<Measured> {
    match scenario {
        Scenario::Bare | Scenario::Create | Scenario::Bulk => {
            fixed::run(site, plan, scenario).await
        }
        Scenario::Sync => sync::run(site, plan).await,
        Scenario::Cycle | Scenario::BulkCycle => cycle::run(site, plan, scenario).await,
        Scenario::PickupWorker => pickup::by_worker(site, plan).await,
        Scenario::PickupHttp => pickup::by_claim(site, plan).await,
    }
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    version: Option<String>,
}

/// Is it a TaskFlow, and does it take the key? Better one clear sentence now than 100,000 errors later.
async fn greet(site: &Site, plan: &Plan) -> anyhow::Result<Option<String>> {
    let mut connection = Connection::open(site, Instant::now() + plan.patience).await?;
    let status = connection.call(&site.get("/api/v1/health")).await?;
    let health: Option<Health> = serde_json::from_slice(connection.body()).ok();
    let (Some(health), 200) = (health, status) else {
        anyhow::bail!(
            "{} is no TaskFlow: its health check answers {}",
            plan.server,
            refusal(status, connection.body())
        );
    };
    let status = connection.call(&site.get("/api/v1/tasks?limit=1")).await?;
    ensure!(status != 401, "the server asks for an API key (--api-key), or for another one");
    ensure!(status == 200, "the server refuses: {}", refusal(status, connection.body()));
    Ok(health.version)
}
