//! How a handler answers a request that may have a key, and how an answer is kept: the same bytes go out
//! the first time and every other time.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use taskflow_core::Timestamp;
use taskflow_service::idempotency::{Kept, Wanted};
use taskflow_service::words::Synced;
use taskflow_service::work::{Report, Work};
use taskflow_service::{Actor, Caller};

use super::reply::{Answer, Reply};
use crate::extract::Key;
use crate::problem::Problem;

impl Key {
    /// Does what is wanted and shows its answer as it is at an instant; with a key once, and the first
    /// answer again afterwards. What `show` refuses is not done for a key.
    pub(crate) async fn answer<T: 'static, R: 'static>(
        self,
        actor: Actor,
        wanted: Wanted<T>,
        show: impl Fn(T, Timestamp) -> Answer<R> + Send + Sync + 'static,
    ) -> Answer<R> {
        let Some(given) = self.given else {
            let answer = self.onces.plain(actor, wanted).await?;
            return show(answer, self.clock.now());
        };
        let show = move |answer, now| show(answer, now)?.pack();
        Reply::unpack(self.onces.once(actor, &given.ticket(), wanted, show).await?)
    }

    /// The answer to a request that is refused now, if it was taken before: what was right then may have
    /// become wrong with time.
    pub(crate) async fn before<R>(&self, actor: Actor) -> Result<Option<Reply<R>>, Problem> {
        let Some(given) = &self.given else { return Ok(None) };
        let kept = self.onces.before(actor, &given.ticket()).await?;
        kept.map(Reply::unpack).transpose()
    }

    /// Does what takes commits of its own and may be done again without harm; with a key its answer is
    /// kept once it is done.
    pub(crate) async fn after<R: 'static>(
        self,
        actor: Actor,
        act: impl Future<Output = Answer<R>> + Send,
    ) -> Answer<R> {
        if let Some(before) = self.before(actor).await? {
            return Ok(before);
        }
        let reply = act.await?;
        let Some(given) = self.given else { return Ok(reply) };
        let packed = reply.pack()?;
        let show = move |(), _| Ok::<_, Problem>(packed.clone());
        Reply::unpack(self.onces.once(actor, &given.ticket(), Wanted::note(), show).await?)
    }

    /// Like `answer`, for what a worker says and asks, with its wait for work.
    pub(crate) async fn report<R: 'static>(
        self,
        work: &Work,
        actor: Actor,
        caller: &Caller,
        report: Report,
        show: impl Fn(Synced, Timestamp) -> Answer<R> + Send + Sync + 'static,
    ) -> Answer<R> {
        let Some(given) = self.given else {
            let synced = work.sync(actor, caller.clone(), report).await?;
            return show(synced, self.clock.now());
        };
        let show = move |synced, now| show(synced, now)?.pack();
        let ticket = given.ticket();
        Reply::unpack(work.sync_once(&self.onces, actor, &ticket, caller, report, show).await?)
    }
}

/// The first line of a kept answer; the body follows it.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    etag: Option<u64>,
    location: Option<String>,
}

impl<T> Reply<T> {
    /// The answer as it is kept.
    fn pack(self) -> Result<Vec<u8>, Problem> {
        let head = Head { status: self.status.as_u16(), etag: self.etag, location: self.location };
        let mut kept = serde_json::to_vec(&head).map_err(|error| {
            Problem::new("internal-error", "the answer could not be kept").with_source(error)
        })?;
        kept.push(b'\n');
        kept.extend_from_slice(&self.bytes);
        Ok(kept)
    }

    /// A kept answer again.
    fn unpack(kept: Kept) -> Answer<T> {
        let unreadable = || Problem::new("internal-error", "the kept answer cannot be read");
        let end = kept.answer.iter().position(|byte| *byte == b'\n').ok_or_else(unreadable)?;
        let head: Head = serde_json::from_slice(&kept.answer[..end])
            .map_err(|error| unreadable().with_source(error))?;
        let status = StatusCode::from_u16(head.status).map_err(|_| unreadable())?;
        let mut bytes = kept.answer;
        bytes.drain(..=end);
        Ok(Self {
            status,
            bytes,
            etag: head.etag,
            location: head.location,
            next: None,
            again: kept.again,
            shape: std::marker::PhantomData,
        })
    }
}
