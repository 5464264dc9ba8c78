//! `taskflow move`: everything from an SQLite file into an empty PostgreSQL database, ids and history
//! included, all or nothing. What a task is may not change here: it is copied and compared.

use anyhow::{Context, ensure};
use taskflow_store::moving::{KeptKey, MoveFrom, MoveTo, NO_KEY};

use super::say;
use crate::wire;

/// Tasks a batch.
const BATCH: u32 = 500;

/// Moves and compares. The source stays as it is; nobody writes to it meanwhile.
pub async fn run(from: &str, to: &str) -> anyhow::Result<()> {
    let (from, to) = wire::movers(from, to).await?;
    let full = "the target is not empty: move into a database without tasks and queues";
    ensure!(
        to.dump(0, 1).await?.is_empty()
            && to.queues().await?.is_empty()
            && to.keys(NO_KEY, 1).await?.is_empty(),
        full
    );
    let queues = from.queues().await?;
    to.load_queues(queues.clone()).await.context("the target refused queues; nothing was kept")?;
    let mut moved = 0;
    let mut after = 0;
    loop {
        let batch = from.dump(after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.task.id.get();
        moved += batch.len();
        to.load(batch).await.context("the target refused tasks; nothing was kept")?;
    }
    let compared = compare(&*from, &*to).await?;
    ensure!(compared == moved, "{moved} tasks were moved, {compared} arrived; nothing was kept");
    ensure!(to.queues().await? == queues, "settings of queues came over changed; nothing was kept");
    move_keys(&*from, &*to).await?;
    to.commit(from.next_id().await?).await?;
    let source = "moved with their history, and each was compared with its source";
    say(format_args!("{moved} tasks were {source}"))?;
    if !queues.is_empty() {
        say(format_args!("{} queues were moved with their settings", queues.len()))?;
    }
    Ok(())
}

/// Moves what is kept for idempotency keys: a request that is repeated after the move is the same one.
async fn move_keys(from: &dyn MoveFrom, to: &dyn MoveTo) -> anyhow::Result<()> {
    let mut after = NO_KEY;
    loop {
        let sent = from.keys(after, BATCH).await?;
        let Some(last) = sent.last().map(KeptKey::place) else { return Ok(()) };
        let limit = u32::try_from(sent.len()).unwrap_or(BATCH);
        to.load_keys(sent.clone()).await.context("the target refused keys; nothing was kept")?;
        let came = to.keys(after, limit).await?;
        ensure!(sent == came, "idempotency keys came over changed; nothing was kept");
        after = last;
    }
}

/// Reads both again, side by side; the number of tasks, all of them equal.
async fn compare(from: &dyn MoveFrom, to: &dyn MoveTo) -> anyhow::Result<usize> {
    let (mut after, mut compared) = (0, 0);
    loop {
        let sent = from.dump(after, BATCH).await?;
        let limit = u32::try_from(sent.len()).unwrap_or(BATCH).max(1);
        let came = to.dump(after, limit).await?;
        for (sent, came) in sent.iter().zip(&came) {
            ensure!(sent == came, "task {} came over changed; nothing was kept", sent.task.id);
        }
        ensure!(sent.len() == came.len(), "after task {after} another number of tasks follows");
        let Some(last) = sent.last() else { return Ok(compared) };
        after = last.task.id.get();
        compared += sent.len();
    }
}
