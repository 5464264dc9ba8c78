//! Hears of other nodes' work by `LISTEN`, and tells of this node's (`announce.rs`) on the same connection. What is
//! missed costs a poll interval, never a task.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Notification};

use taskflow_core::{Change, QueueName, TenantId, Timestamp};
use taskflow_store::{Ready, Told};

use crate::announce::{EVERYTHING, GAP, TELL};
use crate::changes;
use crate::connect::Server;
use crate::error::chain;
use crate::keeper::OwnPids;
use crate::lanes::Lanes;

/// How long it waits before it connects anew: short, for the sake of wake-ups, and still no storm on
/// a server that starts.
const AGAIN: Duration = Duration::from_millis(250);

/// Ready: a node committed work for a queue. Enqueued: SQL of the application's own did, in a
/// transaction that may be old. Lanes: a queue or kind is new. Watch: somebody wants to hear of changes, or a
/// node that hears only now asks whether anybody does. Changes: what a commit changed.
const LISTEN: &str = "LISTEN taskflow_ready; LISTEN taskflow_enqueued; LISTEN taskflow_lanes; \
     LISTEN taskflow_watch; LISTEN taskflow_changes; NOTIFY taskflow_watch, '?'";

pub(crate) struct Listener {
    pub(crate) server: Server,
    pub(crate) hints: watch::Sender<u64>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) look: Arc<Notify>,
    pub(crate) own: OwnPids,
}

impl Listener {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut fine = true;
        loop {
            let ended = self.listen(&mut fine).await;
            self.lanes.hear(false);
            self.lanes.announcements.join(None);
            changes::deaf(&self.lanes);
            if let Err(error) = ended
                && std::mem::replace(&mut fine, false)
            {
                tracing::warn!(error = %chain(&error), "nothing is heard of other nodes");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(&self, fine: &mut bool) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = self.server.connect().await?;
        let mut messages =
            futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        // What is said on this connection: first that it listens, later answers to whoever asks, and what
        // this node committed.
        let mut saying: BoxFuture<'_, Result<(), tokio_postgres::Error>> =
            Box::pin(self.start(&client));
        let (mut started, mut says, mut asked) = (false, true, false);
        let mut free = Instant::now();
        loop {
            if asked && !says {
                (saying, says, asked) =
                    (Box::pin(client.batch_execute(changes::ANSWER)), true, false);
            }
            let message = tokio::select! {
                said = &mut saying, if says => {
                    said?;
                    says = false;
                    if !std::mem::replace(&mut started, true) {
                        if !std::mem::replace(fine, true) {
                            tracing::info!("other nodes are heard again");
                        }
                        self.lanes.hear(true);
                    }
                    continue;
                }
                () = self.lanes.announcements.due(free), if !says => {
                    let words = self.lanes.announcements.take();
                    (saying, says) = (Box::pin(announce(&client, words)), true);
                    free = Instant::now() + GAP;
                    continue;
                }
                message = futures_util::StreamExt::next(&mut messages) => message,
            };
            match message {
                Some(Ok(AsyncMessage::Notification(told))) => {
                    asked |= changes::is_asked(&self.lanes, &told);
                    self.hear(&told);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }

    async fn start(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        // What the connection before this one was to tell may be lost with it.
        let node = &self.lanes.node;
        let sql = format!("{LISTEN}; NOTIFY taskflow_ready, '{EVERYTHING} {node}'");
        client.batch_execute(&sql).await?;
        // Whatever was told before it listened: look once.
        self.lanes.look_everywhere();
        self.look.notify_one();
        self.lanes.watch.missed();
        changes::deaf(&self.lanes);
        Ok(())
    }

    fn hear(&self, told: &Notification) {
        match told.channel() {
            "taskflow_lanes" => self.look.notify_one(),
            "taskflow_watch" => {
                // One of an earlier version says no name when it begins to listen.
                if told.payload() == changes::ASKED && !self.own.lock().contains(&told.process_id())
                {
                    self.lanes.announcements.join(None);
                }
                changes::announced(&self.lanes, told.payload());
            }
            // Of no use where nobody watches.
            "taskflow_changes" if !self.lanes.watch.is_on() => {}
            "taskflow_changes" => match changes::heard(told.payload()) {
                Some(changes) => self.lanes.watch.tell(changes),
                None => self.lanes.watch.missed(),
            },
            "taskflow_ready" if self.own.lock().contains(&told.process_id()) => {}
            _ => {
                match waiting(told.payload()) {
                    Some((from, tenant, queue)) => {
                        if told.channel() == "taskflow_enqueued" && self.lanes.watch.is_on() {
                            let change = Change::Queue(queue.clone());
                            self.lanes.watch.tell(vec![Told { tenant, change }]);
                        }
                        self.lanes.lower_queue(tenant, queue, from);
                    }
                    None => {
                        self.lanes.look_everywhere();
                        if let Some(node) = self.newcomer(told.payload()) {
                            self.lanes.announcements.join(Some(node));
                        }
                    }
                }
                self.hint();
            }
        }
    }

    /// Another node that begins to listen.
    fn newcomer<'p>(&self, payload: &'p str) -> Option<&'p str> {
        let node = payload.strip_prefix(EVERYTHING)?.trim_start();
        (!node.is_empty() && node != self.lanes.node).then_some(node)
    }

    fn hint(&self) {
        self.hints.send_modify(|count| *count += 1);
    }
}

async fn announce(client: &Client, words: Vec<String>) -> Result<(), tokio_postgres::Error> {
    client.query_typed(TELL, &[(&words, Type::TEXT_ARRAY)]).await.map(drop)
}

/// What is told of tasks: the second from which on they wait, their tenant and their queue.
pub(crate) fn told(tenant: TenantId, ready: &Ready) -> String {
    format!("{} {} {}", ready.run_at.micros().div_euclid(1_000_000), tenant.0, ready.queue)
}

fn waiting(payload: &str) -> Option<(Timestamp, TenantId, QueueName)> {
    let mut words = payload.splitn(3, ' ');
    let micros = words.next()?.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let tenant = TenantId(words.next()?.parse().ok()?);
    Some((Timestamp::from_micros(micros), tenant, QueueName::parse(words.next()?).ok()?))
}
