//! The torture test can pass and can fail: an honest stand-in passes, every dishonest one is caught by
//! the rules that are meant for it.

use std::path::PathBuf;

use taskflow_torture::{Options, Verdict, run};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Name of a mutant, kills of its run, and the rules that must find something.
const MUTANTS: [(&str, u32, &[&str]); 6] = [
    ("ack-before-commit", 4, &["R1"]),
    ("any-token", 6, &["R6", "R7"]),
    ("early-rescue", 2, &["R8"]),
    ("no-rescue", 2, &["R1", "R23"]),
    ("free-death", 2, &["R5"]),
    ("refused-but-done", 2, &["R2"]),
];

async fn verdict(mutant: &str, kills: u32) -> Verdict {
    let dir = TempDir::new().expect("a temporary folder can be made");
    std::fs::write(dir.path().join("mutant"), mutant).expect("it can be written to");
    let mut options = Options::new(fake_server(), dir.path().to_owned(), 7);
    options.kills = kills;
    options.acked_min = 50;
    options.lease_seconds = 1;
    if mutant != "honest" {
        options.drain_seconds = 3;
    }
    run(options).await.expect("the run takes place")
}

/// Cargo builds the examples of a package beside its tests.
fn fake_server() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let path = test.ancestors().nth(2).expect("it lies in deps").join("examples/fake_server");
    assert!(path.exists(), "build it first: cargo build -p taskflow-torture --examples");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_server_passes() {
    let verdict = verdict("honest", 4).await;
    assert!(verdict.is_clean(), "{verdict}");
    assert!(verdict.repeated.contains_key("lease_expired"), "no lease ran out\n{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dishonest_server_is_caught_by_the_rules_that_are_meant_for_it() {
    let mut runs = JoinSet::new();
    for (mutant, kills, rules) in MUTANTS {
        runs.spawn(async move { (mutant, rules, verdict(mutant, kills).await) });
    }
    while let Some(ended) = runs.join_next().await {
        let (mutant, rules, verdict) = ended.unwrap();
        for rule in rules {
            let count = verdict.finding(rule).map_or(0, |finding| finding.count);
            assert!(count > 0, "{rule} found nothing wrong with {mutant}\n{verdict}");
        }
    }
}
