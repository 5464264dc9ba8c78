//! How SQLite means to carry out the walks of lists. Plans only, no times.

use taskflow_core::{PendingReason, Priority};

use super::*;
use crate::{connect, migrate};

fn database() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.db");
    let mut connection = connect::writer(&path).expect("opens");
    migrate::migrate(&mut connection, &path).expect("migrates");
    (folder, connection)
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("is SQL");
    // What is not bound is planned for like anything else.
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("is explained") {
        steps.push(row.get("detail").expect("a text"));
    }
    steps
}

fn some<T: Clone>(value: &T) -> [Option<T>; 2] {
    [None, Some(value.clone())]
}

/// Every mixture of parts.
fn filters() -> Vec<Filter> {
    let mut all = Vec::new();
    let reasons = PendingReason::ALL.into_iter().map(Some).chain([None]);
    for reason in reasons {
        for status in some(&Status::Pending) {
            for priority in some(&Priority::High) {
                for queue in some(&QueueName::default()) {
                    for kind in some(&Kind::default()) {
                        for tag in some(&"t".to_owned()) {
                            for created_after in some(&Timestamp::from_micros(1)) {
                                let (queue, kind, tag) = (queue.clone(), kind.clone(), tag.clone());
                                all.push(Filter {
                                    status,
                                    priority,
                                    queue,
                                    kind,
                                    tag,
                                    reason,
                                    created_after,
                                    search: None,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_list_walks_ranges_and_sorts_at_most_what_was_put_off() {
    let (_folder, connection) = database();
    for filter in filters() {
        for source in Source::of(&filter) {
            for apart in [false, true] {
                let walk = Walk { source, codes: Codes::of(&filter), apart };
                let plan = plan(&connection, &walk.sql(&filter));
                assert!(!plan.is_empty(), "{filter:?}");
                for step in &plan {
                    assert!(!step.starts_with("SCAN "), "{filter:?}: {plan:#?}");
                }
                let sorted = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
                let put_off = usize::from(apart && walk.codes.off.is_some());
                assert!(sorted <= put_off, "{filter:?}: {plan:#?}");
            }
        }
    }
}

#[test]
fn a_list_by_status_queue_or_kind_is_one_range_per_number() {
    let (_folder, connection) = database();
    let cases = [
        (Filter { status: Some(Status::Failed), ..Filter::default() }, "tasks_listed", 4),
        (Filter { priority: Some(Priority::Low), ..Filter::default() }, "tasks_listed", 8),
        (Filter { queue: Some(QueueName::default()), ..Filter::default() }, "tasks_queued", 32),
        (
            Filter {
                kind: Some(Kind::default()),
                status: Some(Status::Pending),
                ..Filter::default()
            },
            "tasks_kinds",
            16,
        ),
        (Filter::default(), "tasks_listed", 32),
    ];
    for (filter, index, ranges) in cases {
        let source = Source::of(&filter)[0];
        let walk = Walk { source, codes: Codes::of(&filter), apart: false };
        let plan = plan(&connection, &walk.sql(&filter));
        // From the cursor on: the id is the row's own.
        let range = |step: &&String| {
            step.contains(&format!("INDEX {index} "))
                && step.contains("<expr>=? AND rowid>? AND rowid<?")
        };
        assert_eq!(plan.iter().filter(range).count(), ranges, "{filter:?}: {plan:#?}");
    }
}
