//! States written over locked rows, many as one statement: arrays, a column each. Which state is written
//! is decided elsewhere.

use taskflow_core::lease::{LastFinish, Lease};
use taskflow_core::{Json, State, TaskId, Timestamp};
use taskflow_store::shape::Shape;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::{int, small};
use crate::session::{Param, Session};

/// States to be written over locked rows, by their shape: an array costs as much as a column.
#[derive(Default)]
pub(crate) struct States<'a> {
    claimed: Claims<'a>,
    completed: Completions<'a>,
    whole: Wholes<'a>,
}

impl<'a> States<'a> {
    /// Adds a task's state; `before` is what its row holds.
    pub(crate) fn push(&mut self, id: TaskId, before: &State, s: &'a State) {
        match (Shape::between(before, s), &s.lease, &s.last) {
            (Shape::Claimed, Some(lease), _) => self.claimed.push(id, s, lease),
            (Shape::Completed, _, Some(last)) => self.completed.push(id, s, last),
            _ => self.whole.push(id, before, s),
        }
    }

    pub(crate) async fn update(&self, session: &Session) -> Result<(), Failure> {
        tokio::try_join!(
            biased; self.claimed.update(session),
            self.completed.update(session),
            self.whole.update(session),
        )?;
        Ok(())
    }
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::micros)
}

fn version(s: &State) -> i64 {
    i64::try_from(s.version).unwrap_or(i64::MAX)
}

/// First claims.
#[derive(Default)]
struct Claims<'a> {
    id: Vec<i64>,
    attempt: Vec<i32>,
    token: Vec<&'a [u8]>,
    until: Vec<i64>,
    seconds: Vec<i32>,
    worker: Vec<Option<&'a str>>,
    at: Vec<i64>,
    version: Vec<i64>,
}

pub(crate) const CLAIMED: &str = "UPDATE taskflow.tasks AS t SET status = 1, attempt = u.attempt, \
     lease_token = u.token, lease_until = u.until, lease_length = u.seconds, worker = u.worker, \
     started_at = u.at, updated_at = u.at, version = u.version \
     FROM unnest($1::int8[], $2::int4[], $3::bytea[], $4::int8[], $5::int4[], $6::text[], \
     $7::int8[], $8::int8[]) AS u(id, attempt, token, until, seconds, worker, at, version) \
     WHERE t.id = u.id";

impl<'a> Claims<'a> {
    fn push(&mut self, id: TaskId, s: &'a State, lease: &'a Lease) {
        self.id.push(id.get());
        self.attempt.push(int(s.attempt));
        self.token.push(&lease.token.0);
        self.until.push(lease.until.micros());
        self.seconds.push(int(lease.seconds));
        self.worker.push(s.worker.as_deref());
        self.at.push(s.updated_at.micros());
        self.version.push(version(s));
    }

    async fn update(&self, session: &Session) -> Result<(), Failure> {
        if self.id.is_empty() {
            return Ok(());
        }
        let params: [Param<'_>; 8] = [
            (&self.id, Type::INT8_ARRAY),
            (&self.attempt, Type::INT4_ARRAY),
            (&self.token, Type::BYTEA_ARRAY),
            (&self.until, Type::INT8_ARRAY),
            (&self.seconds, Type::INT4_ARRAY),
            (&self.worker, Type::TEXT_ARRAY),
            (&self.at, Type::INT8_ARRAY),
            (&self.version, Type::INT8_ARRAY),
        ];
        session.query(CLAIMED, &params).await?;
        Ok(())
    }
}

/// Completions.
#[derive(Default)]
struct Completions<'a> {
    id: Vec<i64>,
    token: Vec<&'a [u8]>,
    call: Vec<Option<&'a [u8]>>,
    outcome: Vec<i16>,
    at: Vec<i64>,
    result: Vec<Option<&'a str>>,
    version: Vec<i64>,
}

pub(crate) const COMPLETED: &str = "UPDATE taskflow.tasks AS t SET status = 2, lease_token = NULL, \
     lease_until = NULL, lease_length = NULL, last_token = u.token, last_call = u.call, \
     last_outcome = u.outcome, completed_at = u.at, ended_at = u.at, updated_at = u.at, \
     result = u.result, version = u.version \
     FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::int2[], $5::int8[], $6::text[], \
     $7::int8[]) AS u(id, token, call, outcome, at, result, version) WHERE t.id = u.id";

impl<'a> Completions<'a> {
    fn push(&mut self, id: TaskId, s: &'a State, last: &'a LastFinish) {
        self.id.push(id.get());
        self.token.push(&last.token.0);
        self.call.push(last.call.as_ref().map(<[u8; 16]>::as_slice));
        self.outcome.push(small(last.outcome.number()));
        self.at.push(s.updated_at.micros());
        self.result.push(s.result.as_ref().map(Json::as_str));
        self.version.push(version(s));
    }

    async fn update(&self, session: &Session) -> Result<(), Failure> {
        if self.id.is_empty() {
            return Ok(());
        }
        let params: [Param<'_>; 7] = [
            (&self.id, Type::INT8_ARRAY),
            (&self.token, Type::BYTEA_ARRAY),
            (&self.call, Type::BYTEA_ARRAY),
            (&self.outcome, Type::INT2_ARRAY),
            (&self.at, Type::INT8_ARRAY),
            (&self.result, Type::TEXT_ARRAY),
            (&self.version, Type::INT8_ARRAY),
        ];
        session.query(COMPLETED, &params).await?;
        Ok(())
    }
}

/// Any change of states.
#[derive(Default)]
struct Wholes<'a> {
    id: Vec<i64>,
    status: Vec<i16>,
    attempt: Vec<i32>,
    uncounted: Vec<i32>,
    run_at: Vec<i64>,
    retrying: Vec<bool>,
    blocked_by: Vec<i32>,
    lease_token: Vec<Option<&'a [u8]>>,
    lease_until: Vec<Option<i64>>,
    lease_length: Vec<Option<i32>>,
    last_token: Vec<Option<&'a [u8]>>,
    last_call: Vec<Option<&'a [u8]>>,
    last_outcome: Vec<Option<i16>>,
    worker: Vec<Option<&'a str>>,
    started_at: Vec<Option<i64>>,
    completed_at: Vec<Option<i64>>,
    ended_at: Vec<Option<i64>>,
    error_message: Vec<Option<&'a str>>,
    cancel_reason: Vec<Option<&'a str>>,
    progress: Vec<Option<f64>>,
    progress_message: Vec<Option<&'a str>>,
    updated_at: Vec<i64>,
    version: Vec<i64>,
    new_result: Vec<bool>,
    result: Vec<Option<&'a str>>,
    new_checkpoint: Vec<bool>,
    checkpoint: Vec<Option<&'a str>>,
}

/// Results and checkpoints may be a mebibyte: what did not change is not sent nor written again.
pub(crate) const UPDATE: &str = "UPDATE taskflow.tasks AS t SET status = u.status, attempt = u.attempt, \
     uncounted = u.uncounted, run_at = u.run_at, retrying = u.retrying, \
     blocked_by = u.blocked_by, lease_token = u.lease_token, lease_until = u.lease_until, \
     lease_length = u.lease_length, last_token = u.last_token, last_call = u.last_call, \
     last_outcome = u.last_outcome, worker = u.worker, started_at = u.started_at, \
     completed_at = u.completed_at, ended_at = u.ended_at, error_message = u.error_message, \
     cancel_reason = u.cancel_reason, progress = u.progress, \
     progress_message = u.progress_message, updated_at = u.updated_at, version = u.version, \
     result = CASE WHEN u.new_result THEN u.result ELSE t.result END, \
     checkpoint = CASE WHEN u.new_checkpoint THEN u.checkpoint ELSE t.checkpoint END \
     FROM unnest($1::int8[], $2::int2[], $3::int4[], $4::int4[], $5::int8[], $6::bool[], \
     $7::int4[], $8::bytea[], $9::int8[], $10::int4[], $11::bytea[], $12::bytea[], $13::int2[], \
     $14::text[], $15::int8[], $16::int8[], $17::int8[], $18::text[], $19::text[], \
     $20::float8[], $21::text[], $22::int8[], $23::int8[], $24::bool[], $25::text[], \
     $26::bool[], $27::text[]) AS u(id, status, attempt, uncounted, run_at, retrying, \
     blocked_by, lease_token, lease_until, lease_length, last_token, last_call, last_outcome, \
     worker, started_at, completed_at, ended_at, error_message, cancel_reason, progress, \
     progress_message, updated_at, version, new_result, result, new_checkpoint, checkpoint) \
     WHERE t.id = u.id";

impl<'a> Wholes<'a> {
    fn push(&mut self, id: TaskId, before: &State, s: &'a State) {
        self.id.push(id.get());
        self.status.push(small(s.status.number()));
        self.attempt.push(int(s.attempt));
        self.uncounted.push(int(s.uncounted));
        self.run_at.push(s.run_at.micros());
        self.retrying.push(s.retrying);
        self.blocked_by.push(int(s.blocked_by));
        self.lease_token.push(s.lease.as_ref().map(|l| l.token.0.as_slice()));
        self.lease_until.push(s.lease.as_ref().map(|l| l.until.micros()));
        self.lease_length.push(s.lease.as_ref().map(|l| int(l.seconds)));
        self.last_token.push(s.last.as_ref().map(|l| l.token.0.as_slice()));
        self.last_call
            .push(s.last.as_ref().and_then(|l| l.call.as_ref().map(<[u8; 16]>::as_slice)));
        self.last_outcome.push(s.last.as_ref().map(|l| small(l.outcome.number())));
        self.worker.push(s.worker.as_deref());
        self.started_at.push(micros(s.started_at));
        self.completed_at.push(micros(s.completed_at));
        self.ended_at.push(micros(s.ended_at));
        self.error_message.push(s.error_message.as_deref());
        self.cancel_reason.push(s.cancel_reason.as_deref());
        self.progress.push(s.progress.as_ref().map(|p| p.percent));
        self.progress_message.push(s.progress.as_ref().and_then(|p| p.message.as_deref()));
        self.updated_at.push(s.updated_at.micros());
        self.version.push(version(s));
        let new = before.result != s.result;
        self.new_result.push(new);
        self.result.push(s.result.as_ref().filter(|_| new).map(Json::as_str));
        let new = before.checkpoint != s.checkpoint;
        self.new_checkpoint.push(new);
        self.checkpoint.push(s.checkpoint.as_ref().filter(|_| new).map(Json::as_str));
    }

    async fn update(&self, session: &Session) -> Result<(), Failure> {
        if self.id.is_empty() {
            return Ok(());
        }
        let params: [Param<'_>; 27] = [
            (&self.id, Type::INT8_ARRAY),
            (&self.status, Type::INT2_ARRAY),
            (&self.attempt, Type::INT4_ARRAY),
            (&self.uncounted, Type::INT4_ARRAY),
            (&self.run_at, Type::INT8_ARRAY),
            (&self.retrying, Type::BOOL_ARRAY),
            (&self.blocked_by, Type::INT4_ARRAY),
            (&self.lease_token, Type::BYTEA_ARRAY),
            (&self.lease_until, Type::INT8_ARRAY),
            (&self.lease_length, Type::INT4_ARRAY),
            (&self.last_token, Type::BYTEA_ARRAY),
            (&self.last_call, Type::BYTEA_ARRAY),
            (&self.last_outcome, Type::INT2_ARRAY),
            (&self.worker, Type::TEXT_ARRAY),
            (&self.started_at, Type::INT8_ARRAY),
            (&self.completed_at, Type::INT8_ARRAY),
            (&self.ended_at, Type::INT8_ARRAY),
            (&self.error_message, Type::TEXT_ARRAY),
            (&self.cancel_reason, Type::TEXT_ARRAY),
            (&self.progress, Type::FLOAT8_ARRAY),
            (&self.progress_message, Type::TEXT_ARRAY),
            (&self.updated_at, Type::INT8_ARRAY),
            (&self.version, Type::INT8_ARRAY),
            (&self.new_result, Type::BOOL_ARRAY),
            (&self.result, Type::TEXT_ARRAY),
            (&self.new_checkpoint, Type::BOOL_ARRAY),
            (&self.checkpoint, Type::TEXT_ARRAY),
        ];
        session.query(UPDATE, &params).await?;
        Ok(())
    }
}
