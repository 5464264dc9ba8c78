//! Rows and the words of core: column lists and their mapping. No statement runs here.

use rusqlite::types::{FromSql, Type};
use rusqlite::{Error, Row};
use taskflow_core::lease::{LastFinish, Lease};
use taskflow_core::task::Progress;
use taskflow_core::{
    Attempt, Json, Kind, Outcome, Priority, QueueName, RetryPolicy, State, Status, Task, TaskId,
    Terms, Timestamp, TokenHash,
};
use taskflow_store::{Failure, kept};

/// Columns of [`hot`].
macro_rules! hot_columns {
    () => {
        "id, queue, kind, priority, unique_key, max_attempts, lease_seconds, timeout_seconds, \
         deadline_at, expires_at, retry, status, attempt, uncounted, run_at, retrying, blocked_by, \
         lease_token, lease_until, lease_length, last_token, last_call, last_outcome, worker, \
         started_at, completed_at, ended_at, result, error_message, cancel_reason, progress, \
         progress_message, checkpoint, updated_at, version"
    };
}
/// Columns of [`task`]: those of `hot` and the rest.
macro_rules! task_columns {
    () => {
        concat!(
            crate::rows::hot_columns!(),
            ", title, description, payload, tags, metadata, concurrency_key, depends_on, created_at"
        )
    };
}
pub(crate) use {hot_columns, task_columns};

/// What a change of state needs of a task.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    pub(crate) id: TaskId,
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
    pub(crate) unique_key: Option<String>,
    pub(crate) terms: Terms,
    pub(crate) state: State,
}

impl Hot {
    /// The hot part of a whole task.
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            queue: task.queue.clone(),
            kind: task.kind.clone(),
            priority: task.priority,
            unique_key: task.unique_key.clone(),
            terms: task.terms.clone(),
            state: task.state.clone(),
        }
    }
}

fn bad(column: usize, kind: Type, what: &str) -> Error {
    Error::FromSqlConversionFailure(column, kind, what.to_owned().into())
}

fn word<T>(row: &Row<'_>, column: usize, from: fn(i64) -> Option<T>) -> Result<T, Error> {
    from(row.get(column)?).ok_or_else(|| bad(column, Type::Integer, "not a known number"))
}

fn instant(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Error> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

fn json(row: &Row<'_>, column: usize) -> Result<Option<Json>, Error> {
    Ok(row.get::<_, Option<String>>(column)?.map(Json::from_stored))
}

fn hash(row: &Row<'_>, column: usize) -> Result<Option<[u8; 16]>, Error> {
    <Option<[u8; 16]>>::column_result(row.get_ref(column)?)
        .map_err(|_| bad(column, Type::Blob, "not sixteen bytes"))
}

/// Maps a row of `hot_columns`.
pub(crate) fn hot(row: &Row<'_>) -> Result<Hot, Error> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(Error::from);
    Ok(Hot {
        id: word(row, 0, TaskId::new)?,
        queue: QueueName::parse(text(1)?).map_err(|_| bad(1, Type::Text, "not a queue name"))?,
        kind: Kind::parse(text(2)?).map_err(|_| bad(2, Type::Text, "not a kind"))?,
        priority: word(row, 3, Priority::from_number)?,
        unique_key: row.get(4)?,
        terms: terms(row)?,
        state: state(row)?,
    })
}

fn terms(row: &Row<'_>) -> Result<Terms, Error> {
    let retry = match row.get::<_, Option<String>>(10)? {
        None => RetryPolicy::default(),
        Some(text) => kept::retry_from(&text).ok_or_else(|| bad(10, Type::Text, "not a policy"))?,
    };
    Ok(Terms {
        max_attempts: row.get(5)?,
        lease_seconds: row.get(6)?,
        timeout_seconds: row.get(7)?,
        deadline_at: instant(row, 8)?,
        expires_at: instant(row, 9)?,
        retry,
    })
}

fn state(row: &Row<'_>) -> Result<State, Error> {
    let lease = match (hash(row, 17)?, instant(row, 18)?, row.get::<_, Option<u32>>(19)?) {
        (Some(token), Some(until), Some(seconds)) => {
            Some(Lease { token: TokenHash(token), until, seconds })
        }
        _ => None,
    };
    let last = match (hash(row, 20)?, row.get::<_, Option<i64>>(22)?) {
        (Some(token), Some(outcome)) => Some(LastFinish {
            token: TokenHash(token),
            call: hash(row, 21)?,
            outcome: Outcome::from_number(outcome)
                .ok_or_else(|| bad(22, Type::Integer, "not an outcome"))?,
        }),
        _ => None,
    };
    let progress = match row.get::<_, Option<f64>>(30)? {
        Some(percent) => Some(Progress { percent, message: row.get(31)? }),
        None => None,
    };
    Ok(State {
        status: word(row, 11, Status::from_number)?,
        attempt: row.get(12)?,
        uncounted: row.get(13)?,
        run_at: Timestamp::from_micros(row.get(14)?),
        retrying: row.get(15)?,
        blocked_by: row.get(16)?,
        lease,
        last,
        worker: row.get(23)?,
        started_at: instant(row, 24)?,
        completed_at: instant(row, 25)?,
        ended_at: instant(row, 26)?,
        result: json(row, 27)?,
        error_message: row.get(28)?,
        cancel_reason: row.get(29)?,
        progress,
        checkpoint: json(row, 32)?,
        updated_at: Timestamp::from_micros(row.get(33)?),
        version: row.get(34)?,
    })
}

/// Maps a row of `task_columns`.
pub(crate) fn task(row: &Row<'_>) -> Result<Task, Error> {
    let hot = hot(row)?;
    let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(Error::from);
    let tags =
        kept::tags_from(text(38)?).ok_or_else(|| bad(38, Type::Text, "not a list of tags"))?;
    let depends_on =
        kept::ids_from(text(41)?).ok_or_else(|| bad(41, Type::Text, "not a list of ids"))?;
    Ok(Task {
        id: hot.id,
        queue: hot.queue,
        kind: hot.kind,
        priority: hot.priority,
        unique_key: hot.unique_key,
        terms: hot.terms,
        state: hot.state,
        title: row.get(35)?,
        description: row.get(36)?,
        payload: json(row, 37)?,
        tags,
        metadata: json(row, 39)?,
        concurrency_key: row.get(40)?,
        depends_on,
        created_at: Timestamp::from_micros(row.get(42)?),
    })
}

/// Maps a row of `attempt, outcome, worker, started_at, ended_at, error`.
pub(crate) fn attempt(row: &Row<'_>) -> Result<Attempt, Error> {
    Ok(Attempt {
        attempt: row.get(0)?,
        outcome: word(row, 1, Outcome::from_number)?,
        worker: row.get(2)?,
        started_at: Timestamp::from_micros(row.get(3)?),
        ended_at: Timestamp::from_micros(row.get(4)?),
        error: row.get(5)?,
    })
}

/// Maps a row of `id, version, queue, kind, attempt, uncounted, worker`, the beginning of the error, and when
/// the task failed.
pub(crate) fn failure(row: &Row<'_>) -> Result<Failure, Error> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(Error::from);
    Ok(Failure {
        id: word(row, 0, TaskId::new)?,
        version: row.get(1)?,
        queue: QueueName::parse(text(2)?).map_err(|_| bad(2, Type::Text, "not a queue name"))?,
        kind: Kind::parse(text(3)?).map_err(|_| bad(3, Type::Text, "not a kind"))?,
        attempts_used: row.get::<_, u32>(4)?.saturating_sub(row.get(5)?),
        worker: row.get(6)?,
        error: row.get(7)?,
        ended_at: Timestamp::from_micros(row.get(8)?),
    })
}
