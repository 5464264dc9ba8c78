//! The writer when SQLite takes a whole transaction back: what was answered, what is counted and what
//! is in the tables must agree.

use std::path::Path;

use taskflow_core::{Json, NewTask};
use taskflow_store::Ready;

use super::*;
use crate::migrate;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn writer(path: &Path) -> Writer {
    let mut connection = connect::writer(path).expect("opens");
    migrate::migrate(&mut connection, path).expect("migrates");
    let (hints, _) = watch::channel(0);
    let memory = Memory::default();
    Writer {
        path: path.into(),
        connection: Some(connection),
        memory,
        changes: std::sync::Arc::default(),
        hints,
        runtime: None,
        place: None,
        looked: None,
    }
}

fn insert(payload_bytes: usize) -> Order {
    let payload = format!("\"{}\"", "x".repeat(payload_bytes));
    let payload = Some(Json::parse(&payload).expect("is JSON"));
    let new = NewTask { payload, ..NewTask::titled("a task", NOW) };
    Order { tenant: TenantId::DEFAULT, now: NOW, what: What::Insert(vec![new]) }
}

fn number(writer: &Writer, sql: &str) -> i64 {
    let connection = writer.connection.as_ref().expect("is open");
    connection.query_row(sql, [], |row| row.get(0)).expect("a number")
}

/// Carries out `orders` as one batch.
async fn batch(mut writer: Writer, orders: Vec<Order>) -> (Writer, Vec<Result<Said, StoreError>>) {
    let (batcher, mut batches) = batcher::channel();
    let batcher = std::sync::Arc::new(batcher);
    let mut callers = Vec::new();
    for order in orders {
        let batcher = std::sync::Arc::clone(&batcher);
        callers.push(tokio::spawn(async move { batcher.submit(order, 0).await }));
        // The caller hands its order over at its first turn.
        tokio::task::yield_now().await;
    }
    let flushing = tokio::task::spawn_blocking(move || {
        let mut waiting = Vec::new();
        assert!(batches.next_blocking(&mut waiting), "orders wait");
        writer.flush(waiting);
        writer
    });
    let writer = flushing.await.expect("no panic");
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.expect("no panic"));
    }
    (writer, answers)
}

fn created(answers: &[Result<Said, StoreError>]) -> i64 {
    let created = answers.iter().filter(|answer| {
        matches!(answer, Ok(Said::Inserted(Answers { items, .. }))
            if matches!(items.as_slice(), [Inserted::Created(_)]))
    });
    i64::try_from(created.count()).expect("few")
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_batch_leaves_answers_counts_and_rows_in_agreement() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = writer(&folder.path().join("tasks.db"));
    let (writer, answers) = batch(writer, vec![insert(10)]).await;
    assert_eq!(created(&answers), 1);
    // Room for some small rows, not for a megabyte.
    let pages = number(&writer, "PRAGMA page_count");
    number(&writer, &format!("PRAGMA max_page_count = {}", pages + 16));
    let (writer, answers) = batch(writer, vec![insert(10), insert(1_000_000), insert(10)]).await;
    assert!(matches!(answers[1], Err(StoreError::Full)), "{answers:?}");
    let there = 1 + created(&answers);
    assert_eq!(number(&writer, "SELECT count(*) FROM tasks"), there);
    assert_eq!(number(&writer, "SELECT ifnull(sum(n), 0) FROM task_counts"), there);
    // When there is room again it goes on as if nothing had been.
    number(&writer, "PRAGMA max_page_count = 1000000");
    let (writer, answers) = batch(writer, vec![insert(10), insert(1_000_000)]).await;
    assert_eq!(created(&answers), 2);
    assert_eq!(number(&writer, "SELECT count(*) FROM tasks"), there + 2);
    assert_eq!(number(&writer, "SELECT sum(n) FROM task_counts"), there + 2);
}

#[tokio::test]
async fn a_savepoint_s_failure_takes_back_its_own_command_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = writer(&folder.path().join("tasks.db"));
    let connection = writer.connection.as_ref().expect("is open");
    connection
        .execute_batch(
            "CREATE TEMP TRIGGER broken BEFORE INSERT ON tasks WHEN new.title = 'broken' \
             BEGIN SELECT raise(ABORT, 'broken on purpose'); END",
        )
        .expect("made");
    let mut broken = insert(10);
    let good = NewTask::titled("good", NOW);
    let bad = NewTask::titled("broken", NOW);
    broken.what = What::Insert(vec![good, bad]);
    let (writer, answers) = batch(writer, vec![insert(10), broken, insert(10)]).await;
    assert!(matches!(answers[1], Err(StoreError::Failed(_))), "{answers:?}");
    assert_eq!(created(&answers), 2);
    assert_eq!(number(&writer, "SELECT count(*) FROM tasks"), 2);
    assert_eq!(number(&writer, "SELECT sum(n) FROM task_counts"), 2);
    let told: Vec<Ready> = answers
        .into_iter()
        .flatten()
        .flat_map(|said| match said {
            Said::Inserted(answers) => answers.ready,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(told.len(), 2, "what was undone is not told");
}

#[tokio::test]
async fn a_long_wal_is_copied_and_written_again_from_its_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let mut writer = writer(&path);
    let beside = connect::writer(&path).expect("opens");
    let pages = || keeper::checkpoint(&beside, "NOOP").expect("a number");
    let megabytes = (0..36).map(|_| insert(1_000_000)).collect();
    (writer, _) = batch(writer, megabytes).await;
    assert!(pages() > keeper::CHECKPOINT_PAGES, "{} pages", pages());

    let (batcher, mut batches) = batcher::channel();
    keeper::keep_short(&beside, &batcher);
    let mut asked = Vec::new();
    assert!(batches.next(&mut asked).await, "the writer is asked to copy the rest");
    writer.flush(asked);

    let (writer, answers) = batch(writer, vec![insert(10)]).await;
    assert_eq!(created(&answers), 1);
    assert!(pages() < 100, "{} pages", pages());
    assert_eq!(number(&writer, "SELECT count(*) FROM tasks"), 37);
}

/// A reader that stays keeps the WAL from starting anew, and nobody from writing; when it is gone, it does.
#[tokio::test]
async fn a_reader_that_stays_holds_up_no_write_and_the_wal_only_until_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let mut writer = writer(&path);
    let beside = connect::writer(&path).expect("opens");
    let pages = || keeper::checkpoint(&beside, "NOOP").expect("a number");
    let reader = connect::reader(&path).expect("opens");
    reader.execute_batch("BEGIN").expect("begins");
    let counted = |reader: &rusqlite::Connection| {
        let sql = "SELECT count(*) FROM tasks";
        reader.query_row(sql, [], |row| row.get::<_, u32>(0)).expect("counts")
    };
    assert_eq!(counted(&reader), 0);
    let (batcher, mut batches) = batcher::channel();
    for _ in 0..2 {
        let megabytes = (0..20).map(|_| insert(1_000_000)).collect();
        let (next, answers) = batch(writer, megabytes).await;
        writer = next;
        assert_eq!(created(&answers), 20, "a reader holds up no write");
        keeper::keep_short(&beside, &batcher);
    }
    assert!(pages() > keeper::CHECKPOINT_PAGES, "{} pages", pages());
    assert_eq!(counted(&reader), 0, "its view stays");
    reader.execute_batch("COMMIT").expect("ends");
    keeper::keep_short(&beside, &batcher);
    let mut asked = Vec::new();
    assert!(batches.next(&mut asked).await, "the writer is asked to copy the rest");
    writer.flush(asked);
    let (writer, answers) = batch(writer, vec![insert(10)]).await;
    assert_eq!(created(&answers), 1);
    assert!(pages() < 100, "{} pages", pages());
    assert_eq!(number(&writer, "SELECT count(*) FROM tasks"), 41);
}
