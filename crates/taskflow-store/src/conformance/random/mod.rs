//! Random commands, side by side on a store and on the model: every answer must be the same, and at
//! the end everything that can be read. A failure shrinks to the few commands that show it.

mod compare;
mod deeds;
mod fields;
mod pair;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::harness::Harness;
use deeds::Deed;
use pair::Pair;

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Sequences, each on a fresh store.
    pub sequences: u32,
    /// Most commands of a sequence.
    pub commands: usize,
    /// Where chance begins; the same seed gives the same sequences.
    pub seed: u64,
}

/// The same few thousand commands each time, so that a failure can be had again.
pub async fn random_commands_match_the_model(h: &dyn Harness) {
    try_commands(h, Effort { sequences: 60, commands: 60, seed: 1 });
}

/// Runs random commands on fresh stores of `h` and on the model, and panics with the shortest
/// sequence found on which they differ. Blocks the calling thread; stores run on a runtime of its own.
pub fn try_commands(h: &dyn Harness, effort: Effort) {
    let tried = std::thread::scope(|scope| scope.spawn(|| run(h, effort)).join());
    match tried {
        Ok(Ok(())) => {}
        Ok(Err(difference)) => panic!("{difference}"),
        Err(panicked) => std::panic::resume_unwind(panicked),
    }
}

fn run(h: &dyn Harness, effort: Effort) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs nothing but memory");
    let config = Config {
        cases: effort.sequences,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&effort.seed.to_le_bytes());
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    TestRunner::new_with_rng(config, chance)
        .run(&deeds::sequence(effort.commands), |sequence: Vec<Deed>| {
            runtime.block_on(side_by_side(h, &sequence)).map_err(TestCaseError::fail)
        })
        .map_err(|failure| format!("seed {}: {failure}", effort.seed))
}

async fn side_by_side(h: &dyn Harness, sequence: &[Deed]) -> Result<(), String> {
    let mut pair = Pair::fresh(h).await;
    for (n, deed) in sequence.iter().enumerate() {
        let done = pair.perform(h, deed).await;
        done.map_err(|difference| format!("command {n}, {deed:?}: {difference}"))?;
        pair.check_model()
            .await
            .map_err(|broken| format!("after command {n}, {deed:?}: {broken}"))?;
    }
    pair.compare_everything().await
}
