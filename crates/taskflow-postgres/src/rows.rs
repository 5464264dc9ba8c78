//! Rows and the words of core: column lists and their mapping. No statement runs here.

use taskflow_core::lease::{LastFinish, Lease};
use taskflow_core::task::Progress;
use taskflow_core::{
    Attempt, Json, Kind, Outcome, Priority, QueueName, RetryPolicy, State, Status, Task, TaskId,
    TenantId, Terms, Timestamp, TokenHash,
};
use taskflow_store::{self as store, StoreError, kept};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::{Failure, chain};

/// Columns of [`hot`].
macro_rules! hot_columns {
    () => {
        "id, tenant, queue, kind, priority, unique_key, max_attempts, lease_seconds, \
         timeout_seconds, deadline_at, expires_at, retry, status, attempt, uncounted, run_at, \
         retrying, blocked_by, lease_token, lease_until, lease_length, last_token, last_call, \
         last_outcome, worker, started_at, completed_at, ended_at, result, error_message, \
         cancel_reason, progress, progress_message, checkpoint, updated_at, version"
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
    pub(crate) tenant: TenantId,
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
    pub(crate) unique_key: Option<String>,
    pub(crate) terms: Terms,
    pub(crate) state: State,
}

impl Hot {
    /// The hot part of a whole task.
    pub(crate) fn of(tenant: TenantId, task: &Task) -> Self {
        Self {
            id: task.id,
            tenant,
            queue: task.queue.clone(),
            kind: task.kind.clone(),
            priority: task.priority,
            unique_key: task.unique_key.clone(),
            terms: task.terms.clone(),
            state: task.state.clone(),
        }
    }
}

pub(crate) fn bad(what: &str) -> Failure {
    Failure::Refused(StoreError::Corrupt(what.to_owned()))
}

/// One column; a value of another type is a fault of the schema.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(|error| Failure::Refused(StoreError::Corrupt(chain(&error))))
}

fn word<T>(row: &Row, column: usize, from: fn(i64) -> Option<T>) -> Result<T, Failure> {
    let number: i16 = get(row, column)?;
    from(number.into()).ok_or_else(|| bad("a number stands for no known word"))
}

fn count(row: &Row, column: usize) -> Result<u32, Failure> {
    u32::try_from(get::<i32>(row, column)?).map_err(|_| bad("a count is negative"))
}

fn seconds(row: &Row, column: usize) -> Result<Option<u32>, Failure> {
    let number: Option<i32> = get(row, column)?;
    number.map(u32::try_from).transpose().map_err(|_| bad("a length of time is negative"))
}

fn instant(row: &Row, column: usize) -> Result<Option<Timestamp>, Failure> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

fn moment(row: &Row, column: usize) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_micros(get(row, column)?))
}

fn json(row: &Row, column: usize) -> Result<Option<Json>, Failure> {
    Ok(get::<Option<String>>(row, column)?.map(Json::from_stored))
}

fn hash(row: &Row, column: usize) -> Result<Option<[u8; 16]>, Failure> {
    let bytes: Option<&[u8]> = get(row, column)?;
    bytes.map(<[u8; 16]>::try_from).transpose().map_err(|_| bad("a hash is not sixteen bytes"))
}

/// The id in the first column.
pub(crate) fn id(row: &Row) -> Result<TaskId, Failure> {
    TaskId::new(get(row, 0)?).ok_or_else(|| bad("an id is not positive"))
}

pub(crate) fn queue(row: &Row, column: usize) -> Result<QueueName, Failure> {
    QueueName::parse(get(row, column)?).map_err(|_| bad("not a queue name"))
}

pub(crate) fn kind(row: &Row, column: usize) -> Result<Kind, Failure> {
    Kind::parse(get(row, column)?).map_err(|_| bad("not a kind"))
}

/// Maps a row of `hot_columns`.
pub(crate) fn hot(row: &Row) -> Result<Hot, Failure> {
    Ok(Hot {
        id: id(row)?,
        tenant: TenantId(get(row, 1)?),
        queue: queue(row, 2)?,
        kind: kind(row, 3)?,
        priority: word(row, 4, Priority::from_number)?,
        unique_key: get(row, 5)?,
        terms: terms(row)?,
        state: state(row)?,
    })
}

fn terms(row: &Row) -> Result<Terms, Failure> {
    let retry = match get::<Option<&str>>(row, 11)? {
        None => RetryPolicy::default(),
        Some(text) => kept::retry_from(text).ok_or_else(|| bad("not a retry policy"))?,
    };
    Ok(Terms {
        max_attempts: count(row, 6)?,
        lease_seconds: count(row, 7)?,
        timeout_seconds: seconds(row, 8)?,
        deadline_at: instant(row, 9)?,
        expires_at: instant(row, 10)?,
        retry,
    })
}

fn state(row: &Row) -> Result<State, Failure> {
    let lease = match (hash(row, 18)?, instant(row, 19)?, seconds(row, 20)?) {
        (Some(token), Some(until), Some(seconds)) => {
            Some(Lease { token: TokenHash(token), until, seconds })
        }
        _ => None,
    };
    let last = match (hash(row, 21)?, get::<Option<i16>>(row, 23)?) {
        (Some(token), Some(outcome)) => Some(LastFinish {
            token: TokenHash(token),
            call: hash(row, 22)?,
            outcome: Outcome::from_number(outcome.into()).ok_or_else(|| bad("not an outcome"))?,
        }),
        _ => None,
    };
    let progress = match get::<Option<f64>>(row, 31)? {
        Some(percent) => Some(Progress { percent, message: get(row, 32)? }),
        None => None,
    };
    Ok(State {
        status: word(row, 12, Status::from_number)?,
        attempt: count(row, 13)?,
        uncounted: count(row, 14)?,
        run_at: moment(row, 15)?,
        retrying: get(row, 16)?,
        blocked_by: count(row, 17)?,
        lease,
        last,
        worker: get(row, 24)?,
        started_at: instant(row, 25)?,
        completed_at: instant(row, 26)?,
        ended_at: instant(row, 27)?,
        result: json(row, 28)?,
        error_message: get(row, 29)?,
        cancel_reason: get(row, 30)?,
        progress,
        checkpoint: json(row, 33)?,
        updated_at: moment(row, 34)?,
        version: u64::try_from(get::<i64>(row, 35)?).map_err(|_| bad("a version is negative"))?,
    })
}

/// Maps a row of `task_columns`.
pub(crate) fn task(row: &Row) -> Result<Task, Failure> {
    let hot = hot(row)?;
    Ok(Task {
        id: hot.id,
        queue: hot.queue,
        kind: hot.kind,
        priority: hot.priority,
        unique_key: hot.unique_key,
        terms: hot.terms,
        state: hot.state,
        title: get(row, 36)?,
        description: get(row, 37)?,
        payload: json(row, 38)?,
        tags: kept::tags_from(get(row, 39)?).ok_or_else(|| bad("not a list of tags"))?,
        metadata: json(row, 40)?,
        concurrency_key: get(row, 41)?,
        depends_on: kept::ids_from(get(row, 42)?).ok_or_else(|| bad("not a list of ids"))?,
        created_at: moment(row, 43)?,
    })
}

/// Maps a row of `attempt, outcome, worker, started_at, ended_at, error`.
pub(crate) fn attempt(row: &Row) -> Result<Attempt, Failure> {
    Ok(Attempt {
        attempt: count(row, 0)?,
        outcome: word(row, 1, Outcome::from_number)?,
        worker: get(row, 2)?,
        started_at: moment(row, 3)?,
        ended_at: moment(row, 4)?,
        error: get(row, 5)?,
    })
}

/// Maps a row of `id, version, queue, kind, attempt, uncounted, worker`, the beginning of the error, and when
/// the task failed.
pub(crate) fn failure(row: &Row) -> Result<store::Failure, Failure> {
    let version = u64::try_from(get::<i64>(row, 1)?);
    Ok(store::Failure {
        id: id(row)?,
        version: version.map_err(|_| bad("a version is negative"))?,
        queue: queue(row, 2)?,
        kind: kind(row, 3)?,
        attempts_used: count(row, 4)?.saturating_sub(count(row, 5)?),
        worker: get(row, 6)?,
        error: get(row, 7)?,
        ended_at: moment(row, 8)?,
    })
}

/// A number that a column of 32 bits takes; what is larger was refused long before.
pub(crate) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A number of one of core's words.
pub(crate) fn small(number: i64) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
