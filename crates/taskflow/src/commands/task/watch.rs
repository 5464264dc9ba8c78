//! Waiting for a task's end, and telling what happens on the way. It does not change the task.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::document::Document;
use super::fault::{Fault, Refusal};
use super::show;
use super::site::{Answer, Site};
use super::{End, Output};

/// The longest that a server lets a read wait.
const CALL_MAX: Duration = Duration::from_secs(60);

/// How often a task is looked at where the server does not wait, and for what is no end.
const LOOK: Duration = Duration::from_secs(1);

/// The task as soon as it has ended, or after `wait` as it is.
pub(super) async fn until_ended(site: &Site, id: i64, wait: Duration) -> Result<Answer, Fault> {
    let begin = Instant::now();
    loop {
        let left = wait.saturating_sub(begin.elapsed());
        let answer = look(site, id, left.min(CALL_MAX)).await?;
        if begin.elapsed() >= wait || Document::parse(&answer.text)?.is_ended() {
            return Ok(answer);
        }
    }
}

/// Prints a line for every change until the task ends: its document with `--json`.
pub(super) async fn watch(site: &Site, id: i64, output: &Output) -> Result<End, Fault> {
    let mut answer = site.task(id).await?;
    let mut shown = None;
    loop {
        let task = Document::parse(&answer.text)?;
        let line = show::change(&task);
        if shown.as_ref() != Some(&line) {
            output.line(&answer, &line)?;
            shown = Some(line);
        }
        if task.is_ended() {
            return Ok(End::of(&task));
        }
        answer = look(site, id, LOOK).await?;
    }
}

/// One look that takes `wait` unless the task ends. A server that has no room for one more who waits
/// is asked without; it, and one that does not know `wait`, answers at once and is left alone a
/// while.
async fn look(site: &Site, id: i64, wait: Duration) -> Result<Answer, Fault> {
    let begin = Instant::now();
    let answer = match site.task_within(id, wait).await {
        Err(Fault::Refused(Refusal { status: 429, .. })) => site.task(id).await?,
        other => other?,
    };
    if !Document::parse(&answer.text)?.is_ended() {
        sleep(wait.saturating_sub(begin.elapsed()).min(LOOK)).await;
    }
    Ok(answer)
}
