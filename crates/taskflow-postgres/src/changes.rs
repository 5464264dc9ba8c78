//! The room of changes: what a transaction writes is noted while somebody watches on any node, and goes to
//! every node with the commit itself, by `NOTIFY`. Where nothing can be heard (a pooler between), a node tells
//! its own.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taskflow_core::task::Progress;
use taskflow_core::{
    Change, Kind, QueueName, Status, TaskChange, TaskEvent, TaskId, TenantId, Timestamp, WorkerName,
};
use taskflow_store::{ChangeStore, Changes, StoreError, Told, kept};
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::rows::{self, Hot, get};
use crate::session::Session;
use crate::store::PostgresStore;

/// Most bytes of one notification: PostgreSQL takes fewer than 8,000.
const WORD_BYTES_MAX: usize = 7_900;

/// How long the other nodes go on telling after they heard that somebody watches: a few times as long as
/// it takes until they hear it again.
const OTHERS: Duration = Duration::from_secs(30);

/// How long somebody who begins to watch waits for this node's own listener.
const LISTENING: Duration = Duration::from_secs(5);

impl Desk<'_> {
    /// Notes what happened to a task.
    pub(crate) fn note(&mut self, task: &Hot, event: TaskEvent) {
        if self.watched {
            let lane = (&task.queue, &task.kind);
            let change = TaskChange::of(task.id, lane, event, &task.state, self.now);
            let change = Change::Task(Box::new(change));
            self.changed.push(Told { tenant: self.tenant, change });
        }
    }

    /// Notes a change of something else.
    pub(crate) fn note_other(&mut self, change: impl FnOnce() -> Change) {
        if self.watched {
            self.changed.push(Told { tenant: self.tenant, change: change() });
        }
    }

    /// Notes that a task goes, with the tags that it has.
    pub(crate) async fn note_deleted(&mut self, task: &Hot) -> Result<(), Failure> {
        self.note(task, TaskEvent::Deleted);
        if let Some(last) = self.changed.last_mut() {
            tag(self.session, std::slice::from_mut(last)).await?;
        }
        Ok(())
    }

    /// Takes all that was noted, with the tags of the tasks.
    pub(crate) async fn take_changed(&mut self) -> Result<Vec<Told>, Failure> {
        let mut changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
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
    let sql = "SELECT pg_notify('taskflow_changes', word) FROM unnest($1::text[]) word";
    session.query(sql, &[(&words, Type::TEXT_ARRAY)]).await?;
    Ok(())
}

/// Tells all nodes that somebody watches here.
async fn announce(session: &Session) -> Result<(), Failure> {
    session.query("SELECT pg_notify('taskflow_watch', '')", &[]).await?;
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
        if self.lanes.listens.load(Ordering::Relaxed) && !self.lanes.watch.is_on() {
            // What comes before is not heard; a listener that takes long says that it missed something.
            drop(tokio::time::timeout(LISTENING, self.lanes.heard()).await);
        }
        self.lanes.watch.extend(time);
        self.duty(|session| async move { announce(&session).await }).await
    }
}

/// Another node, or this one, says that somebody watches.
pub(crate) fn watched(lanes: &crate::lanes::Lanes) {
    lanes.watch.extend(OTHERS);
}

#[cfg(test)]
mod tests {
    //! What travels arrives, whatever its size.

    use super::*;
    use taskflow_core::State;

    fn told(id: i64, tags: &[&str]) -> Told {
        let state = State::born(Timestamp::from_micros(5), 0, Timestamp::from_micros(4));
        let (queue, kind) = (QueueName::default(), Kind::default());
        let id = TaskId::new(id).unwrap();
        let at = Timestamp::from_micros(6);
        let change = TaskChange::of(id, (&queue, &kind), TaskEvent::Created, &state, at);
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let progress = Some(Progress { percent: 12.5, message: Some("half \"way\"\n".into()) });
        let worker = Some("w-1".to_owned());
        let change = TaskChange { tags, progress, worker, ..change };
        Told { tenant: TenantId(7), change: Change::Task(Box::new(change)) }
    }

    #[test]
    fn changes_arrive_in_order_in_as_many_notifications_as_they_need() {
        let mut all: Vec<Told> = (1..=500).map(|id| told(id, &["a", "b\u{202e}"])).collect();
        all.push(Told { tenant: TenantId(7), change: Change::Queue(QueueName::default()) });
        let worker = WorkerName::parse("w").unwrap();
        all.push(Told { tenant: TenantId(7), change: Change::Worker(worker) });
        let words = words(&all);
        assert!(words.len() > 5 && words.iter().all(|word| word.len() <= WORD_BYTES_MAX));
        let arrived: Vec<Told> = words.iter().flat_map(|word| heard(word).unwrap()).collect();
        assert_eq!(arrived, all);
    }

    #[test]
    fn what_is_too_long_goes_without_its_texts() {
        let long = "x".repeat(100);
        let tags: Vec<String> = (0..90).map(|n| format!("{n}{long}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let words = words(&[told(1, &tags), told(2, &["a"])]);
        let arrived: Vec<Told> = words.iter().flat_map(|word| heard(word).unwrap()).collect();
        assert_eq!(arrived[1], told(2, &["a"]));
        let Change::Task(first) = &arrived[0].change else { panic!("no task") };
        assert_eq!((first.id.get(), first.tags.len()), (1, 0));
    }

    #[test]
    fn what_is_no_change_is_nothing() {
        for payload in ["", "[", "[{}]", "[{\"q\":[1,\"\"]}]", "{\"q\":[1,\"a\"]}"] {
            assert_eq!(heard(payload), None, "{payload}");
        }
    }
}
