//! The promise of durability, put to the test on the real program: kill -9 under load, twenty times, and
//! every fault of three nodes on PostgreSQL.
//! What is done and what must hold is in `taskflow-torture`; see `docs/torture.md`.

use std::time::Instant;

use taskflow_torture::{Options, run};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_nothing_and_repeat_nothing_unexplained() {
    let begin = Instant::now();
    let folder = TempDir::new().unwrap();
    let server = env!("CARGO_BIN_EXE_taskflow").into();
    let verdict = run(Options::new(server, folder.path().join("run"), 1)).await.unwrap();
    println!("{verdict}\nafter {} s", begin.elapsed().as_secs());
    if !verdict.is_clean() {
        let kept = folder.keep();
        panic!("not clean; history and server log are in {}", kept.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_three_nodes_and_of_postgres_lose_nothing_and_repeat_nothing_unexplained() {
    let folder = TempDir::new().unwrap();
    let server = env!("CARGO_BIN_EXE_taskflow").into();
    let options = Options { kills: 8, ..Options::postgres(server, folder.path().join("run"), 1) };
    let verdict = run(options).await.unwrap();
    println!("{verdict}");
    if !verdict.is_clean() {
        let kept = folder.keep();
        panic!("not clean; history and server logs are in {}", kept.display());
    }
}
