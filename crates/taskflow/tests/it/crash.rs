//! The promise of durability, put to the test on the real program: kill -9 under load, twenty times.
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
