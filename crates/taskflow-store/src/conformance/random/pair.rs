//! A store and the model side by side: performs deeds on both and compares what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use taskflow_core::queue::RateLimit;
use taskflow_core::task::{Progress, UniqueKey};
use taskflow_core::{
    Json, LeaseToken, NewTask, Status, Task, TaskId, TaskPatch, TenantId, Terms, Timestamp,
};
use taskflow_core::{Pinned, QueuePatch};

use super::compare::{dump, said, same, same_ready, sound, statistics, told};
use super::deeds::{Beat, Deed, End, Guard, Holder, Pick, Wish};
use super::fields::{Birth, Bounds, Change, Setting, Sieve};
use crate::conformance::harness::Harness;
use crate::conformance::stage::{START, kind, queue, search, token, worker};
use crate::model::Model;
use crate::{
    AllInserted, Claim, Delete, Edit, Extend, Filter, FinishTask, Finished, Inserted, Kinds, Page,
    QueueSet, Ready, Store, Sync,
};

const TENANTS: [TenantId; 2] = [TenantId(1), TenantId(2)];
const QUEUES: [&str; 3] = ["a", "b", "nowhere"];
const TAGS: [&str; 3] = ["t0", "t1", "nobody's"];
const SEARCHES: [&str; 6] = ["title", "title 1", "WRITTEN", "by 1", "text \"by 0\"", "nowhere"];
const TITLES: [&str; 4] =
    ["a written text", "Text written", "the title of a text", "título: TEXTO"];
const KINDS: [&str; 4] = ["work", "mail", "log", "manual"];

/// Both stores and what a client remembers.
pub(super) struct Pair {
    model: Model,
    /// None only while it is opened again.
    store: Option<Arc<dyn Store>>,
    now: Timestamp,
    last_id: i64,
    tokens: u64,
    /// Leases that were handed out: those that are over, then the others, oldest first.
    leases: Vec<(TenantId, TaskId, LeaseToken)>,
    /// Attempts and version of each task as last seen.
    seen: BTreeMap<TaskId, (u32, u64)>,
}

impl Pair {
    pub(super) async fn fresh(h: &dyn Harness) -> Self {
        Self {
            model: Model::new(),
            store: Some(h.fresh().await),
            now: START,
            last_id: 0,
            tokens: 0,
            leases: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("it is open between deeds")
    }

    /// Performs one deed on both; what differs is the error.
    pub(super) async fn perform(&mut self, h: &dyn Harness, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Insert { tenant, births } => self.insert(scope(*tenant), births).await,
            Deed::InsertAll { tenant, births } => self.insert_all(scope(*tenant), births).await,
            Deed::Queue { tenant, queue, guard, setting } => {
                self.set_queue(scope(*tenant), *queue, *guard, setting).await
            }
            Deed::Sync { tenant, ends, beats, wish } => {
                let sync = self.sync_of(scope(*tenant), ends, beats, wish.as_ref());
                self.sync(scope(*tenant), sync).await
            }
            Deed::Edit { tenant, changes } => self.edit(scope(*tenant), changes).await,
            Deed::Delete { tenant, picks } => self.delete(scope(*tenant), picks).await,
            Deed::Expire { limit } => {
                let (model, store) = (&self.model as &dyn Store, self.store());
                let expected = said(model.expire(self.now, *limit).await)?;
                let got = said(store.expire(self.now, *limit).await)?;
                same("expired", &expected.items, &got.items)?;
                let mut waiting = Vec::new();
                for scope in TENANTS {
                    waiting.extend(self.waiting(scope).await?);
                }
                told(&expected.ready, got.ready, &waiting)
            }
            Deed::Due { from, span } => {
                let (after, until) =
                    (self.now.plus_seconds(*from), self.now.plus_seconds(from + span));
                let mut expected = said((&self.model as &dyn Store).due(after, until).await)?;
                let mut got = said(self.store().due(after, until).await)?;
                same("next", &expected.next, &got.next)?;
                same_ready(&mut expected.ready, &mut got.ready)
            }
            Deed::List { tenant, sieve, before, skip, limit } => {
                let page = Page {
                    filter: self.filter(sieve),
                    before: before.and_then(|id| TaskId::new(id.into())),
                    skip: if sieve.search.is_some() { 0 } else { *skip },
                    limit: *limit,
                    now: self.now,
                };
                let model: &dyn Store = &self.model;
                let expected = said(model.list(scope(*tenant), page.clone()).await)?;
                let got = said(self.store().list(scope(*tenant), page.clone()).await)?;
                same("lists", &expected, &got)?;
                let expected = said(model.find(scope(*tenant), page.clone()).await)?;
                let got = said(self.store().find(scope(*tenant), page).await)?;
                same("found", &expected, &got)
            }
            Deed::Sketch { least } => self.sketch(*least).await,
            Deed::Pass { seconds } => {
                self.now = self.now.plus_seconds(*seconds);
                Ok(())
            }
            Deed::Reopen => {
                let store = self.store.take().expect("it is open between deeds");
                self.store = Some(h.reopen(store).await);
                self.model.reopen();
                Ok(())
            }
        }
    }

    /// Every task is still found by what all titles share.
    async fn sketch(&mut self, least: u32) -> Result<(), String> {
        said(self.store().sketch(least).await)?;
        for scope in TENANTS {
            let filter = Filter { search: Some(search("text")), ..Filter::default() };
            let page = Page { filter, before: None, skip: 0, limit: 1000, now: self.now };
            let expected = said((&self.model as &dyn Store).find(scope, page.clone()).await)?;
            same("sketched", &expected, &said(self.store().find(scope, page).await)?)?;
        }
        Ok(())
    }

    async fn insert(&mut self, scope: TenantId, births: &[Birth]) -> Result<(), String> {
        let batch: Vec<NewTask> = births.iter().map(|birth| self.new_task(birth)).collect();
        let model: &dyn Store = &self.model;
        let mut expected = said(model.insert(scope, batch.clone(), self.now).await)?;
        let mut got = said(self.store().insert(scope, batch, self.now).await)?;
        same("inserted", &expected.items, &got.items)?;
        same_ready(&mut expected.ready, &mut got.ready)?;
        self.note_births(&expected.items);
        Ok(())
    }

    async fn insert_all(&mut self, scope: TenantId, births: &[Birth]) -> Result<(), String> {
        let batch: Vec<NewTask> = births.iter().map(|birth| self.new_task(birth)).collect();
        let model: &dyn Store = &self.model;
        let expected = said(model.insert_all(scope, batch.clone(), self.now).await)?;
        match (expected, said(self.store().insert_all(scope, batch, self.now).await)?) {
            (AllInserted::Done(mut expected), AllInserted::Done(mut got)) => {
                same("inserted", &expected.items, &got.items)?;
                same_ready(&mut expected.ready, &mut got.ready)?;
                self.note_births(&expected.items);
                Ok(())
            }
            (expected, got) => {
                same("inserted", &expected, &got)?;
                self.align(scope).await
            }
        }
    }

    /// Brings the ids together again after a batch that was refused.
    async fn align(&mut self, scope: TenantId) -> Result<(), String> {
        let probe = vec![NewTask::titled("probe", self.now)];
        let got = said(self.store().insert(scope, probe.clone(), self.now).await)?.items;
        if let Some(Inserted::Created(task)) = got.first() {
            self.model.next_id_is(task.id);
        }
        let model: &dyn Store = &self.model;
        let expected = said(model.insert(scope, probe, self.now).await)?.items;
        self.note_births(&expected);
        same("inserted", &expected, &got)
    }

    async fn set_queue(
        &mut self,
        scope: TenantId,
        name: u8,
        guard: Guard,
        setting: &Setting,
    ) -> Result<(), String> {
        let name = queue(QUEUES[usize::from(name)]);
        let patch = queue_patch(setting);
        let model: &dyn Store = &self.model;
        let version = said(model.queue(scope, name.clone()).await)?.queue.version;
        let if_version = match guard {
            Guard::None => None,
            Guard::Right => Some(version),
            Guard::Wrong => Some(version + 1),
        };
        let set = model.set_queue(scope, name.clone(), if_version, patch.clone(), self.now);
        let expected = said(set.await)?;
        let set = self.store().set_queue(scope, name.clone(), if_version, patch, self.now);
        match (expected, said(set.await)?) {
            (QueueSet::Done(expected, mut ready), QueueSet::Done(got, mut told)) => {
                same("queues", &expected, &got)?;
                same_ready(&mut ready, &mut told)?;
            }
            (expected, got) => same("queues", &expected, &got)?,
        }
        let expected = said(model.gate(scope, name.clone(), Some("key 1".into())).await)?;
        let got = said(self.store().gate(scope, name, Some("key 1".into())).await)?;
        same("gates", &expected, &got)
    }

    fn note_births(&mut self, items: &[Inserted]) {
        for item in items {
            if let Inserted::Created(task) | Inserted::Replaced { task, .. } = item {
                self.last_id = task.id.get();
            }
        }
    }

    async fn sync(&mut self, scope: TenantId, sync: Sync) -> Result<(), String> {
        let model: &dyn Store = &self.model;
        let ends: Vec<_> = sync.finish.iter().map(|end| (scope, end.id, end.token)).collect();
        let expected = said(model.sync(scope, sync.clone(), self.now).await)?;
        let got = said(self.store().sync(scope, sync, self.now).await)?;
        same("finished", &expected.finished, &got.finished)?;
        same("extended", &expected.extended, &got.extended)?;
        same("holders", &expected.holders, &got.holders)?;
        same("claimed", &expected.claimed, &got.claimed)?;
        // A store may tell of a rate though what waits is not due.
        if let Some(later) = expected.later.iter().find(|later| !got.later.contains(later)) {
            return Err(format!("not told: {later:?}"));
        }
        told(&expected.ready, got.ready, &self.waiting(scope).await?)?;
        for (end, answer) in ends.into_iter().zip(&expected.finished) {
            let known = self.leases.iter().position(|lease| *lease == end);
            if let Some(place) = known.filter(|_| *answer != Finished::NotFound) {
                let over = self.leases.remove(place);
                self.leases.insert(0, over);
            }
        }
        self.leases.extend(expected.claimed.iter().map(|held| (scope, held.task.id, held.token)));
        Ok(())
    }

    async fn edit(
        &mut self,
        scope: TenantId,
        changes: &[(Pick, Guard, Change)],
    ) -> Result<(), String> {
        let mut batch = Vec::new();
        for (pick, guard, change) in changes {
            let id = self.id(*pick);
            let if_version = self.version(scope, id, *guard).await?;
            batch.push(Edit { id, if_version, patch: self.patch(change) });
        }
        let model: &dyn Store = &self.model;
        let expected = said(model.edit(scope, batch.clone(), self.now).await)?;
        let got = said(self.store().edit(scope, batch, self.now).await)?;
        same("edited", &expected.items, &got.items)?;
        let waiting: Vec<Ready> = self.waiting(scope).await?;
        told(&expected.ready, got.ready, &waiting)
    }

    /// All that a claim may take sooner or later.
    async fn waiting(&self, scope: TenantId) -> Result<Vec<Ready>, String> {
        let tasks = dump(&self.model, scope).await?.into_iter().map(|(task, _)| task);
        let waits =
            |task: &Task| task.state.status == Status::Pending && task.state.blocked_by == 0;
        let ready =
            |task: Task| Ready { queue: task.queue, kind: task.kind, run_at: task.state.run_at };
        Ok(tasks.filter(waits).map(ready).collect())
    }

    async fn delete(&mut self, scope: TenantId, picks: &[(Pick, Guard)]) -> Result<(), String> {
        let mut batch = Vec::new();
        for (pick, guard) in picks {
            let id = self.id(*pick);
            batch.push(Delete { id, if_version: self.version(scope, id, *guard).await? });
        }
        let model: &dyn Store = &self.model;
        let expected = said(model.delete(scope, batch.clone(), self.now).await)?;
        let got = said(self.store().delete(scope, batch, self.now).await)?;
        same("deleted", &expected.items, &got.items)?;
        told(&expected.ready, got.ready, &self.waiting(scope).await?)
    }

    /// Now and then a task that was never born.
    fn id(&self, pick: Pick) -> TaskId {
        let unborn = if pick < 240 && self.last_id > 0 { 0 } else { 2 };
        let n = i64::from(pick) % (self.last_id + unborn);
        TaskId::new(1 + n).expect("counted from one")
    }

    async fn version(
        &self,
        scope: TenantId,
        id: TaskId,
        guard: Guard,
    ) -> Result<Option<u64>, String> {
        let found = said((&self.model as &dyn Store).get(scope, vec![id]).await)?;
        let version = found.into_iter().flatten().next().map_or(1, |task| task.state.version);
        Ok(match guard {
            Guard::None => None,
            Guard::Right => Some(version),
            Guard::Wrong => Some(version + 1),
        })
    }

    fn filter(&self, sieve: &Sieve) -> Filter {
        Filter {
            status: sieve.status,
            priority: sieve.priority,
            queue: sieve.queue.map(|n| queue(QUEUES[usize::from(n)])),
            kind: sieve.kind.map(|n| kind(KINDS[usize::from(n)])),
            tag: sieve.tag.map(|n| TAGS[usize::from(n)].to_owned()),
            reason: sieve.reason,
            created_after: sieve.created_ago.map(|ago| self.now.plus_seconds(-ago)),
            search: sieve.search.map(|n| search(SEARCHES[usize::from(n)])),
        }
    }

    fn new_task(&self, birth: &Birth) -> NewTask {
        NewTask {
            tags: tags(birth.tags),
            priority: birth.priority,
            queue: queue(QUEUES[usize::from(birth.queue)]),
            kind: kind(KINDS[usize::from(birth.kind)]),
            payload: birth.payload.clone(),
            terms: self.terms(&birth.bounds),
            unique: birth
                .key
                .map(|(key, on_conflict)| UniqueKey { key: format!("key {key}"), on_conflict }),
            concurrency_key: birth.concurrency_key.map(|key| format!("key {key}")),
            depends_on: birth.parents.iter().map(|pick| self.id(*pick)).collect(),
            description: birth.key.map(|(key, _)| format!("Described by {key}")),
            ..NewTask::titled(
                TITLES[usize::from(birth.kind)],
                self.now.plus_seconds(birth.run_in.unwrap_or(0.0)),
            )
        }
    }

    fn terms(&self, bounds: &Bounds) -> Terms {
        let at = |seconds: Option<f64>| seconds.map(|seconds| self.now.plus_seconds(seconds));
        Terms {
            max_attempts: bounds.max_attempts,
            retry: bounds.retry,
            timeout_seconds: bounds.timeout,
            deadline_at: at(bounds.deadline_in),
            expires_at: at(bounds.expires_in),
            lease_seconds: bounds.lease_seconds,
        }
    }

    fn patch(&self, change: &Change) -> TaskPatch {
        let terms = change.bounds.as_ref().map(|bounds| self.terms(bounds));
        let queue = change.queue.map(|n| QUEUES[usize::from(n)].to_owned());
        TaskPatch {
            title: change.title.map(|n| format!("title {n} of the text")),
            priority: change.priority,
            payload: change.payload.clone(),
            run_at: change.run_in.map(|seconds| self.now.plus_seconds(seconds)),
            max_attempts: terms.as_ref().map(|terms| terms.max_attempts),
            retry: terms.as_ref().map(|terms| terms.retry),
            timeout_seconds: terms.as_ref().map(|terms| terms.timeout_seconds),
            deadline_at: terms.as_ref().map(|terms| terms.deadline_at),
            expires_at: terms.as_ref().map(|terms| terms.expires_at),
            lease_seconds: terms.as_ref().map(|terms| terms.lease_seconds),
            tags: change.tags.map(tags),
            status: change.status,
            rerun: change.rerun,
            pinned: Pinned { queue, ..Pinned::default() },
            ..TaskPatch::default()
        }
    }

    fn sync_of(
        &mut self,
        scope: TenantId,
        ends: &[End],
        beats: &[Beat],
        wish: Option<&Wish>,
    ) -> Sync {
        let finish = ends.iter().map(|end| {
            let (id, token) = self.lease(scope, end.holder);
            FinishTask { id, token, finish: end.finish.clone() }
        });
        let finish = finish.collect();
        let extend = beats.iter().map(|beat| {
            let (id, token) = self.lease(scope, beat.holder);
            let progress = beat.percent.map(|percent| Progress { percent, message: None });
            let checkpoint = beat.checkpoint.then(|| Json::from_stored("{\"at\":1}".into()));
            Extend { id, token, progress, checkpoint }
        });
        let extend = extend.collect();
        Sync { finish, extend, claim: wish.map(|wish| self.claim_of(wish)) }
    }

    fn lease(&self, scope: TenantId, holder: Holder) -> (TaskId, LeaseToken) {
        let pick = |n: u8| {
            let newest_first = self.leases.iter().rev().filter(|(tenant, ..)| *tenant == scope);
            newest_first.cycle().nth(usize::from(n)).map(|(_, id, token)| (*id, *token))
        };
        let nobody = (self.id(holder.lease), token(u64::MAX / 2));
        let (id, own) = pick(holder.lease).unwrap_or(nobody);
        let other = holder.token_of.map(|n| pick(n).unwrap_or(nobody).1);
        (id, other.unwrap_or(own))
    }

    fn claim_of(&mut self, wish: &Wish) -> Claim {
        let first = self.tokens;
        self.tokens += wish.limit as u64;
        let names = |picks: &[u8], of: &[&'static str]| -> Vec<&'static str> {
            picks.iter().map(|n| of[usize::from(*n)]).collect()
        };
        let queues = wish.queues.as_deref().map(|picks| names(picks, &QUEUES));
        let kinds = wish.kinds.as_deref().map(|picks| names(picks, &KINDS));
        Claim {
            worker: worker(&format!("w{}", wish.worker)),
            queues: queues.map(|names| names.into_iter().map(queue).collect()),
            kinds: kinds.map_or(Kinds::AllButBuiltIn, |names| {
                Kinds::Named(names.into_iter().map(kind).collect())
            }),
            lease_seconds: wish.lease_seconds,
            tokens: (first..self.tokens).map(token).collect(),
        }
    }

    /// What must hold whatever happens, looked up in the model; the store says the same.
    pub(super) async fn check_model(&mut self) -> Result<(), String> {
        let mut tokens = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for scope in TENANTS {
            for (task, _) in dump(&self.model, scope).await? {
                sound(&task).map_err(|rule| format!("{rule}: {task:?}"))?;
                let state = &task.state;
                let seen = self.seen.insert(task.id, (state.attempt, state.version));
                if seen.is_some_and(|(a, v)| state.attempt < a || state.version < v) {
                    return Err(format!("attempt or version fell from {seen:?}: {task:?}"));
                }
                if state.lease.as_ref().is_some_and(|lease| !tokens.insert(lease.token.0)) {
                    return Err(format!("two tasks under one lease: {task:?}"));
                }
                let key = task.unique_key.clone().filter(|_| !state.status.is_ended());
                if key.is_some_and(|key| !keys.insert((scope, task.queue.clone(), key))) {
                    return Err(format!("two live tasks with one key: {task:?}"));
                }
            }
        }
        Ok(())
    }

    /// Every task, every history and every count of both.
    pub(super) async fn compare_everything(&self) -> Result<(), String> {
        for scope in TENANTS {
            let expected = dump(&self.model, scope).await?;
            let got = dump(self.store(), scope).await?;
            same("tasks", &expected, &got)?;
            let mut counted = [0; 5];
            for (task, _) in &got {
                counted[task.state.status as usize] += 1;
            }
            same("counts", &counted, &said(self.store().count(scope).await)?.0)?;
            let expected = said((&self.model as &dyn Store).queues(scope, None, 100).await)?;
            same("queues", &expected, &said(self.store().queues(scope, None, 100).await)?)?;
            let expected = statistics(&self.model, scope, self.now).await?;
            same("statistics", &expected, &statistics(self.store(), scope, self.now).await?)?;
        }
        Ok(())
    }
}

fn queue_patch(setting: &Setting) -> QueuePatch {
    let usual = QueuePatch::default();
    match setting {
        Setting::Pause(paused) => QueuePatch { pause: Some(paused.then_some(None)), ..usual },
        Setting::Limit(limit) => QueuePatch { concurrency_limit: Some(*limit), ..usual },
        Setting::KeyLimit(limit) => QueuePatch { concurrency_key_limit: Some(*limit), ..usual },
        Setting::Rate(rate) => {
            let rate = rate.map(|(tasks, per_seconds)| RateLimit { tasks, per_seconds });
            QueuePatch { rate_limit: Some(rate), ..usual }
        }
        Setting::Guard(guard) => QueuePatch { starvation_guard: Some(*guard), ..usual },
    }
}

/// One tag a bit.
fn tags(bits: u8) -> Vec<String> {
    (0..2).filter(|n| bits & (1 << n) != 0).map(|n| TAGS[n].to_owned()).collect()
}

fn scope(tenant: u8) -> TenantId {
    TenantId(i64::from(tenant))
}
