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

/// A question about a page of a filter, with something in every lane.
fn asked(connection: &Connection, page: &Page, check: impl Fn(&Ask<'_>, Walk)) {
    let ask = Ask { connection, tenant: TenantId::DEFAULT, page, between: [0, i64::MAX] };
    let filter = &page.filter;
    for source in Source::of(filter) {
        for apart in [false, true] {
            let codes = Codes::of(filter);
            let lane = |code| Lane { queue: QueueName::default(), kind: Kind::default(), code };
            let lanes = codes.all().into_iter().map(lane).collect();
            check(&ask, Walk { source, codes, apart, lanes });
        }
    }
}

#[test]
fn every_list_walks_ranges_and_sorts_at_most_what_was_put_off() {
    let (_folder, connection) = database();
    for filter in filters() {
        let now = Timestamp::from_micros(1);
        let page = Page { filter: filter.clone(), before: None, skip: 0, limit: 100, now };
        asked(&connection, &page, |ask, walk| {
            for sql in walk.statements(&ask.page.filter) {
                let plan = plan(&connection, &sql);
                assert!(!plan.is_empty(), "{filter:?}");
                for step in &plan {
                    assert!(!step.starts_with("SCAN "), "{filter:?}: {plan:#?}");
                }
                let sorted = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
                let put_off = usize::from(sql.contains("tasks_delayed"));
                assert!(sorted <= put_off, "{filter:?}: {plan:#?}");
            }
        });
    }
}

#[test]
fn a_lane_is_one_range_from_the_cursor_on() {
    let (_folder, connection) = database();
    let plan = plan(&connection, &newest_first(&lane()));
    let range = "SEARCH tasks USING COVERING INDEX tasks_lanes \
                 (tenant=? AND queue=? AND kind=? AND <expr>=? AND rowid>? AND rowid<?)";
    assert_eq!(plan, [range]);
}
