//! The model's room of repeated requests: a map of what was answered to which key.

use async_trait::async_trait;
use taskflow_core::{Fingerprint, KeyHash, TenantId, Timestamp};

use super::{Model, Tables};
use crate::idempotency::{again, forgotten};
use crate::{AllInserted, Answers, Deed, Done, IdempotencyStore, Once, Onced, Ready, StoreError};

/// What is kept for a key.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    request: [u8; 32],
    at: Timestamp,
    answer: Vec<u8>,
}

impl Tables {
    fn once(&mut self, scope: TenantId, once: &Once, now: Timestamp) -> Onced {
        if let Some(before) = self.recall(scope, once.key, once.request, now) {
            return before;
        }
        let mut after = self.clone();
        let done = after.deed(scope, once.deed.clone(), now);
        let Some(answer) = once.render.render(&done) else { return Onced::Undone(done) };
        let kept = Kept { request: once.request.0, at: now, answer: answer.clone() };
        after.kept.insert((scope, once.key), kept);
        *self = after;
        Onced::Done { answer, done }
    }

    fn recall(
        &self,
        scope: TenantId,
        key: KeyHash,
        request: Fingerprint,
        now: Timestamp,
    ) -> Option<Onced> {
        let kept = self.kept.get(&(scope, key)).filter(|kept| kept.at > forgotten(now))?;
        Some(again(request, kept.request, kept.answer.clone()))
    }

    fn deed(&mut self, scope: TenantId, deed: Deed, now: Timestamp) -> Done {
        match deed {
            Deed::Insert(batch) => {
                let items = batch.into_iter().map(|new| self.insert(scope, new, now)).collect();
                Done::Inserted(Answers { items, ready: Vec::new() })
            }
            Deed::InsertAll(batch) => Done::AllInserted(match self.insert_all(scope, batch, now) {
                Ok(items) => AllInserted::Done(Answers { items, ready: Vec::new() }),
                Err(refused) => refused,
            }),
            Deed::Edit(batch) => {
                let items = batch.iter().map(|edit| self.edit(scope, edit, now)).collect();
                Done::Edited(Answers { items, ready: Vec::new() })
            }
            Deed::Delete(batch) => {
                let items = batch.iter().map(|delete| self.delete(scope, delete, now)).collect();
                Done::Deleted(Answers { items, ready: Vec::new() })
            }
            Deed::Sync(sync) => Done::Synced(Box::new(self.sync(scope, *sync, now))),
            Deed::Note => Done::Noted,
        }
    }
}

/// Puts what became ready where it belongs.
fn tell(onced: &mut Onced, fresh: Vec<Ready>) {
    let Onced::Done { done, .. } = onced else { return };
    match done {
        Done::Inserted(Answers { ready, .. })
        | Done::AllInserted(AllInserted::Done(Answers { ready, .. }))
        | Done::Edited(Answers { ready, .. })
        | Done::Deleted(Answers { ready, .. }) => *ready = fresh,
        Done::Synced(synced) => synced.ready = fresh,
        Done::AllInserted(AllInserted::Refused { .. }) | Done::Noted => {}
    }
}

#[async_trait]
impl IdempotencyStore for Model {
    async fn once(&self, scope: TenantId, once: Once, now: Timestamp) -> Result<Onced, StoreError> {
        let (mut onced, fresh) = self.call(|tables| tables.once(scope, &once, now));
        tell(&mut onced, fresh);
        Ok(onced)
    }

    async fn recall(
        &self,
        scope: TenantId,
        key: KeyHash,
        request: Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Onced>, StoreError> {
        Ok(self.call(|tables| tables.recall(scope, key, request, now)).0)
    }

    async fn forget(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget = |tables: &mut Tables| {
            let over = tables.kept.iter().filter(|(_, kept)| kept.at <= forgotten(now));
            let mut over: Vec<(Timestamp, (TenantId, KeyHash))> =
                over.map(|(place, kept)| (kept.at, *place)).collect();
            over.sort_unstable();
            over.truncate(limit as usize);
            over.iter().filter(|(_, place)| tables.kept.remove(place).is_some()).count()
        };
        let removed = self.call(forget).0;
        Ok(u32::try_from(removed).unwrap_or(limit))
    }
}
