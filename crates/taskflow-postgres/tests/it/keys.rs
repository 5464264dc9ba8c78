//! Idempotency keys between nodes: one that another node works on is noticed, whatever it waits for.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taskflow_core::{Fingerprint, KeyHash, NewTask, TenantId};
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::{Deed, Done, IdempotencyStore, Once, Onced, Render, TaskStore};

use crate::databases::{Databases, url_of};

const ME: TenantId = TenantId::DEFAULT;

/// Says that it was asked, and answers when it may.
struct Slow(Mutex<(Sender<()>, Receiver<()>)>);

impl Render for Slow {
    fn render(&self, _: &Done) -> Option<Vec<u8>> {
        let (asked, go) = &*self.0.lock().expect("no panic");
        asked.send(()).expect("the test waits for it");
        go.recv_timeout(Duration::from_secs(10)).expect("the test lets it go");
        Some(b"slow".to_vec())
    }
}

struct Quick;

impl Render for Quick {
    fn render(&self, _: &Done) -> Option<Vec<u8>> {
        Some(b"quick".to_vec())
    }
}

async fn once(store: &PostgresStore, key: u8, render: Arc<dyn Render>) -> Onced {
    let now = taskflow_core::Clock::now(&*store.clock());
    let deed = Deed::Insert(vec![NewTask::titled("a", now)]);
    let once = Once { key: KeyHash([key; 32]), request: Fingerprint([0; 32]), deed, render };
    store.once(ME, once, now).await.expect("answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_another_node_works_on_is_in_progress_and_others_are_not() {
    let (a, name) = Databases(PoolMode::Session).named().await;
    let options = Options { url: url_of(&name), pool_size: 5, pool_mode: PoolMode::Session };
    let b = PostgresStore::open(options).await.expect("opens");
    let ((asked, was_asked), (go, may_go)) = (channel(), channel());
    let slow: Arc<dyn Render> = Arc::new(Slow(Mutex::new((asked, may_go))));
    let node = Arc::clone(&a);
    let working = tokio::spawn(async move { once(&node, 1, slow).await });
    let wait = move || was_asked.recv_timeout(Duration::from_secs(10));
    tokio::task::spawn_blocking(wait).await.expect("no panic").expect("it is at work");
    let begun = Instant::now();
    assert_eq!(once(&b, 1, Arc::new(Quick)).await, Onced::InProgress);
    assert!(matches!(once(&b, 2, Arc::new(Quick)).await, Onced::Done { .. }));
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited {:?}", begun.elapsed());
    go.send(()).expect("it waits for it");
    let first = working.await.expect("no panic");
    assert!(matches!(&first, Onced::Done { answer, .. } if answer == b"slow"), "{first:?}");
    assert_eq!(once(&b, 1, Arc::new(Quick)).await, Onced::Before(b"slow".to_vec()));
    assert_eq!(a.count(ME).await.expect("counts").0, [2, 0, 0, 0, 0]);
}
