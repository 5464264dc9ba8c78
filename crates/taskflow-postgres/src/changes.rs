//! The room of changes: what a transaction writes is noted while somebody watches on any node, and goes to
//! every node with the commit itself, by `NOTIFY`. Where nothing can be heard (a pooler between), a node tells
//! its own.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taskflow_core::limits::EVENTS_KEPT;
use taskflow_core::task::Progress;
use taskflow_core::{
    Change, Kind, QueueName, Status, TaskChange, TaskEvent, TaskId, TenantId, Timestamp, WorkerName,
};
use taskflow_store::{ChangeStore, Changes, StoreError, Told, kept};
use tokio_postgres::types::Type;
use tokio_postgres::{Notification, Row};

use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Lanes;
use crate::rows::{self, Hot, get};
use crate::session::Session;
use crate::store::PostgresStore;

/// Most bytes of one notification: PostgreSQL takes fewer than 8,000.
const WORD_BYTES_MAX: usize = 7_900;

/// How long the other nodes go on telling after they heard that somebody watches: a few times as long as
/// it takes until they hear it again.
const OTHERS: Duration = Duration::from_secs(30);

/// How long a node tells whatever it does that does not hear others, or asked a moment ago whether anybody watches.
const DEAF: Duration = Duration::from_secs(1);

/// How long somebody who begins to watch waits for this node's own listener.
const LISTENING: Duration = Duration::from_secs(5);

impl Desk<'_> {
    /// Whether somebody watches, and this transaction did not change more already than is told.
    pub(crate) fn notes(&self) -> bool {
        self.watched && self.changed.len() <= EVENTS_KEPT
    }

    /// Notes what happened to a task.
    pub(crate) fn note(&mut self, task: &Hot, event: TaskEvent) {
        if self.notes() {
            let lane = (&task.queue, &task.kind);
            let change = TaskChange::of(task.id, lane, event, &task.state, self.now);
            let change = Change::Task(Box::new(change));
            self.changed.push(Told { tenant: self.tenant, change });
        }
    }

    /// Notes a change of something else.
    pub(crate) fn note_other(&mut self, change: impl FnOnce() -> Change) {
        if self.notes() {
            self.changed.push(Told { tenant: self.tenant, change: change() });
        }
    }

    /// Notes that a task is gone, whose tags the row holds.
    pub(crate) fn note_deleted(&mut self, task: &Hot, row: Option<&Row>) -> Result<(), Failure> {
        let before = self.changed.len();
        self.note(task, TaskEvent::Deleted);
        if let Some(Told { change: Change::Task(change), .. }) = self.changed.get_mut(before)
            && let Some(row) = row
        {
            let text: Option<String> = get(row, 0)?;
            change.tags = kept::tags_from(text.as_deref()).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes all that was noted, with the tags of the tasks.
    pub(crate) async fn take_changed(&mut self) -> Result<Vec<Told>, Failure> {
        let mut changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() && changed.len() <= EVENTS_KEPT {
            tag(self.session, &mut changed).await?;
        }
        Ok(changed)
    }
}

/// Adds the tags of tasks that are still there.
async fn tag(session: &Session, changed: &mut [Told]) -> Result<(), Failure> {
    let ids: Vec<i64> = changed.iter().filter_map(|told| task(told).map(|t| t.id.get())).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "SELECT id, tags FROM taskflow.tasks WHERE id = ANY($1) AND tags IS NOT NULL";
    let mut tags = std::collections::HashMap::new();
    for row in session.query(sql, &[(&ids, Type::INT8_ARRAY)]).await? {
        let text: Option<String> = get(&row, 1)?;
        tags.insert(rows::id(&row)?, kept::tags_from(text.as_deref()).unwrap_or_default());
    }
    for told in changed {
        if let Change::Task(change) = &mut told.change
            && let Some(tags) = tags.get(&change.id)
        {
            change.tags.clone_from(tags);
        }
    }
    Ok(())
}

fn task(told: &Told) -> Option<&TaskChange> {
    match &told.change {
        Change::Task(change) => Some(change),
        _ => None,
    }
}

/// What new tasks tell; they have their ids.
pub(crate) fn births<'t>(
    tasks: impl Iterator<Item = (TenantId, &'t taskflow_core::Task)>,
) -> Vec<Told> {
    let told = tasks.map(|(tenant, task)| {
        let lane = (&task.queue, &task.kind);
        let at = task.state.updated_at;
        let change = TaskChange::of(task.id, lane, TaskEvent::Created, &task.state, at);
        let change = Change::Task(Box::new(TaskChange { tags: task.tags.clone(), ..change }));
        Told { tenant, change }
    });
    told.collect()
}

/// Tells every node of changes once the transaction is committed. Nothing where `words` is empty.
pub(crate) async fn tell(session: &Session, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Ok(());
    }
    // A commit that notifies waits for others that do, one after the other: that is no lock that somebody forgot.
    let sql = "SELECT pg_notify('taskflow_changes', word), set_config('lock_timeout', '0', true) \
               FROM unnest($1::text[]) word";
    session.query(sql, &[(&words, Type::TEXT_ARRAY)]).await?;
    Ok(())
}

/// What is told of more changes than are told.
const MISSED: &str = "missed";

/// Tells all nodes that somebody watches here; they hear the number.
async fn announce(session: &Session, word: &str) -> Result<(), Failure> {
    session.query("SELECT pg_notify('taskflow_watch', $1)", &[(&word, Type::TEXT)]).await?;
    Ok(())
}

/// A change as it travels between nodes: a list of what it is, as short as it can be.
#[derive(Serialize, Deserialize)]
enum Word {
    /// Tenant, id, queue, kind, event, status, attempt, version, instant; then what few have.
    #[serde(rename = "t")]
    Task(i64, i64, String, String, String, i64, u32, u64, i64, Rest),
    #[serde(rename = "q")]
    Queue(i64, String),
    #[serde(rename = "w")]
    Worker(i64, String),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Rest {
    #[serde(rename = "g", skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    progress: Option<(f64, Option<String>)>,
}

impl Word {
    fn of(told: &Told) -> Self {
        let tenant = told.tenant.0;
        match &told.change {
            Change::Queue(name) => Self::Queue(tenant, name.as_str().to_owned()),
            Change::Worker(name) => Self::Worker(tenant, name.as_str().to_owned()),
            Change::Task(t) => Self::Task(
                tenant,
                t.id.get(),
                t.queue.as_str().to_owned(),
                t.kind.as_str().to_owned(),
                t.event.as_str().to_owned(),
                t.status.number(),
                t.attempt,
                t.version,
                t.at.micros(),
                Rest {
                    tags: t.tags.clone(),
                    worker: t.worker.clone(),
                    progress: t.progress.as_ref().map(|p| (p.percent, p.message.clone())),
                },
            ),
        }
    }

    fn told(self) -> Option<Told> {
        Some(match self {
            Self::Queue(tenant, name) => {
                let change = Change::Queue(QueueName::parse(&name).ok()?);
                Told { tenant: TenantId(tenant), change }
            }
            Self::Worker(tenant, name) => {
                let change = Change::Worker(WorkerName::parse(&name).ok()?);
                Told { tenant: TenantId(tenant), change }
            }
            Self::Task(tenant, id, queue, kind, event, status, attempt, version, at, rest) => {
                let progress = rest.progress;
                let change = TaskChange {
                    id: TaskId::new(id)?,
                    queue: QueueName::parse(&queue).ok()?,
                    kind: Kind::parse(&kind).ok()?,
                    tags: rest.tags,
                    event: TaskEvent::parse(&event)?,
                    status: Status::from_number(status)?,
                    attempt,
                    worker: rest.worker,
                    progress: progress.map(|(percent, message)| Progress { percent, message }),
                    version,
                    at: Timestamp::from_micros(at),
                };
                Told { tenant: TenantId(tenant), change: Change::Task(Box::new(change)) }
            }
        })
    }
}

/// Changes as notifications: a JSON list each, in order. One that does not fit into a notification goes
/// without its tags and texts.
pub(crate) fn words(changed: &[Told]) -> Vec<String> {
    if changed.len() > EVENTS_KEPT {
        return vec![MISSED.to_owned()];
    }
    let mut words: Vec<String> = Vec::new();
    for told in changed {
        let Some(one) = one(told) else { continue };
        match words.last_mut() {
            Some(word) if word.len() + one.len() + 2 <= WORD_BYTES_MAX => {
                word.push(',');
                word.push_str(&one);
            }
            last => {
                last.into_iter().for_each(|word| word.push(']'));
                words.push(format!("[{one}"));
            }
        }
    }
    words.last_mut().into_iter().for_each(|word| word.push(']'));
    words
}

fn one(told: &Told) -> Option<String> {
    let text = |told: &Told| serde_json::to_string(&Word::of(told)).ok();
    let whole = text(told)?;
    if whole.len() + 2 <= WORD_BYTES_MAX {
        return Some(whole);
    }
    let mut short = told.clone();
    if let Change::Task(change) = &mut short.change {
        change.tags.clear();
        change.progress.iter_mut().for_each(|progress| progress.message = None);
    }
    text(&short)
}

/// What a notification tells; none when it is not one of these.
pub(crate) fn heard(payload: &str) -> Option<Vec<Told>> {
    let words: Vec<Word> = serde_json::from_str(payload).ok()?;
    words.into_iter().map(Word::told).collect()
}

#[async_trait]
impl ChangeStore for PostgresStore {
    fn changes(&self) -> Changes {
        self.lanes.watch.changes()
    }

    async fn watch(&self, time: Duration) -> Result<(), StoreError> {
        let lanes = &self.lanes;
        if lanes.watch.is_on() || !lanes.listens.load(Ordering::Relaxed) {
            lanes.watch.extend(time);
            return self.announce().await.map(drop);
        }
        // A listener that takes long says that it missed something.
        drop(tokio::time::timeout(LISTENING, lanes.heard()).await);
        let number = self.announce().await?;
        // Everything that was committed before is heard before, and is not for who begins to watch now.
        let mut announced = lanes.announced.subscribe();
        drop(tokio::time::timeout(LISTENING, announced.wait_for(|heard| *heard >= number)).await);
        lanes.watch.extend(time);
        Ok(())
    }
}

impl PostgresStore {
    /// Tells all nodes, this one too, that somebody watches; by which number it hears that.
    async fn announce(&self) -> Result<u64, StoreError> {
        let number = self.announcements.fetch_add(1, Ordering::Relaxed) + 1;
        let word = std::sync::Arc::new(format!("{} {number}", self.lanes.node));
        self.duty(|session| {
            let word = std::sync::Arc::clone(&word);
            async move { announce(&session, &word).await }
        })
        .await?;
        Ok(number)
    }
}

/// What a node says that begins to listen: whether anybody watches.
pub(crate) const ASKED: &str = "?";

/// What it is told when somebody does.
pub(crate) const ANSWER: &str = "NOTIFY taskflow_watch, '!'";

/// Whether a notification asks, and the answer is yes.
pub(crate) fn is_asked(lanes: &Lanes, told: &Notification) -> bool {
    told.channel() == "taskflow_watch" && told.payload() == ASKED && lanes.watch.is_on()
}

/// A node says that somebody watches there; perhaps it is this one.
pub(crate) fn announced(lanes: &Lanes, word: &str) {
    if word == ASKED {
        return;
    }
    lanes.others.extend(OTHERS);
    let own = word.rsplit_once(' ').filter(|(node, _)| *node == lanes.node);
    if let Some(number) = own.and_then(|(_, number)| number.parse().ok()) {
        lanes.announced.send_replace(number);
    }
}

/// This node hears nothing, or not yet, of who watches elsewhere: it tells whatever it does.
pub(crate) fn deaf(lanes: &Lanes) {
    lanes.others.extend(DEAF);
}

#[cfg(test)]
mod tests;
