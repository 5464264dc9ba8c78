//! The room of repeated requests: an act inside its command's savepoint, with the row that keeps its
//! answer. Undoing both is the writer's business.

use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::{Fingerprint, KeyHash, TenantId, Timestamp};
use taskflow_store::idempotency::{again, forgotten};
use taskflow_store::moving::{BATCH_BYTES_MAX, KeptKey};
use taskflow_store::{AllInserted, Deed, Done, Once, Onced};

use crate::memory::Memory;
use crate::writer::{Order, Said, What, perform};

/// Does an act that was not done before for its key.
pub(crate) fn once(
    connection: &Connection,
    memory: &mut Memory,
    tenant: TenantId,
    now: Timestamp,
    once: Once,
) -> Result<Onced, Error> {
    if let Some(before) = recall(connection, tenant, once.key, once.request, now)? {
        return Ok(before);
    }
    let Once { key, request, deed, render } = once;
    let all = matches!(deed, Deed::InsertAll(_));
    let what = match deed {
        Deed::Insert(batch) => What::Insert(batch),
        Deed::InsertAll(batch) => What::InsertAll(batch),
        Deed::Edit(batch) => What::Edit(batch),
        Deed::Delete(batch) => What::Delete(batch),
        Deed::Sync(sync) => What::Sync(sync),
        Deed::Note => What::Look,
    };
    let done = match perform(connection, memory, Order { tenant, now, what })? {
        Said::Inserted(answers) if all => Done::AllInserted(AllInserted::Done(answers)),
        Said::Inserted(answers) => Done::Inserted(answers),
        Said::Edited(answers) => Done::Edited(answers),
        Said::Deleted(answers) => Done::Deleted(answers),
        Said::Synced(synced) => Done::Synced(synced),
        Said::Looked => Done::Noted,
        // What was stored before the refusal goes whatever the caller makes of it.
        Said::Refused(at, why) => {
            return Ok(Onced::Undone(Done::AllInserted(AllInserted::Refused { at, why })));
        }
        // None of the acts above says this.
        Said::Expired(_)
        | Said::Served(..)
        | Said::QueueSet(_)
        | Said::Pruned(_)
        | Said::Workers(_)
        | Said::Sessions(_)
        | Said::Onced(_)
        | Said::Forgot(_) => {
            return Err(Error::InvalidQuery);
        }
    };
    let Some(answer) = render.render(&done) else { return Ok(Onced::Undone(done)) };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency(tenant, key, request, at, answer) \
             VALUES(?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![tenant.0, key.0, request.0, now.micros(), answer])?;
    Ok(Onced::Done { answer, done })
}

/// What was answered with the key before.
pub(crate) fn recall(
    connection: &Connection,
    tenant: TenantId,
    key: KeyHash,
    request: Fingerprint,
    now: Timestamp,
) -> Result<Option<Onced>, Error> {
    connection
        .prepare_cached(
            "SELECT request, answer FROM idempotency WHERE tenant = ?1 AND key = ?2 AND at > ?3",
        )?
        .query_row(params![tenant.0, key.0, forgotten(now).micros()], |row| {
            Ok(again(request, row.get(0)?, row.get(1)?))
        })
        .optional()
}

/// Whether any key does not last any more.
pub(crate) fn anything_over(connection: &Connection, now: Timestamp) -> Result<bool, Error> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM idempotency INDEXED BY idempotency_at WHERE at <= ?1)",
        )?
        .query_row([forgotten(now).micros()], |row| row.get(0))
}

/// Removes keys that do not last any more, oldest first; how many.
pub(crate) fn forget(connection: &Connection, now: Timestamp, limit: u32) -> Result<u32, Error> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency \
             INDEXED BY idempotency_at WHERE at <= ?1 ORDER BY at LIMIT ?2 + 0)",
        )?
        .execute(params![forgotten(now).micros(), limit])?;
    Ok(u32::try_from(removed).unwrap_or(limit))
}

/// The next keys after a place, up to a batch's weight.
pub(crate) fn dump(
    connection: &Connection,
    after: (TenantId, KeyHash),
    limit: u32,
) -> Result<Vec<KeptKey>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant, key, request, at, answer FROM idempotency \
         WHERE (tenant, key) > (?1, ?2) ORDER BY tenant, key LIMIT ?3 + 0",
    )?;
    let mut rows = statement.query(params![after.0.0, after.1.0, limit])?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let answer: Vec<u8> = row.get(4)?;
        bytes += answer.len();
        all.push(KeptKey {
            tenant: TenantId(row.get(0)?),
            key: KeyHash(row.get(1)?),
            request: Fingerprint(row.get(2)?),
            at: Timestamp::from_micros(row.get(3)?),
            answer,
        });
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(all)
}
