//! A case that is not in the list of `conformance!` never runs: this finds it.

const LIST: &str = include_str!("../../src/conformance/mod.rs");

const ROOMS: [(&str, &str); 22] = [
    ("bulk", include_str!("../../src/conformance/bulk.rs")),
    ("changes", include_str!("../../src/conformance/changes.rs")),
    ("claims", include_str!("../../src/conformance/claims.rs")),
    ("dependencies", include_str!("../../src/conformance/dependencies.rs")),
    ("edits", include_str!("../../src/conformance/edits.rs")),
    ("gates", include_str!("../../src/conformance/gates.rs")),
    ("idempotency", include_str!("../../src/conformance/idempotency.rs")),
    ("isolation", include_str!("../../src/conformance/isolation.rs")),
    ("lists", include_str!("../../src/conformance/lists.rs")),
    ("queues", include_str!("../../src/conformance/queues.rs")),
    ("races", include_str!("../../src/conformance/races.rs")),
    ("random", include_str!("../../src/conformance/random/mod.rs")),
    ("retention", include_str!("../../src/conformance/retention.rs")),
    ("search", include_str!("../../src/conformance/search.rs")),
    ("serve", include_str!("../../src/conformance/serve.rs")),
    ("sessions", include_str!("../../src/conformance/sessions.rs")),
    ("stats", include_str!("../../src/conformance/stats.rs")),
    ("tasks", include_str!("../../src/conformance/tasks.rs")),
    ("time", include_str!("../../src/conformance/time.rs")),
    ("unique", include_str!("../../src/conformance/unique.rs")),
    ("work", include_str!("../../src/conformance/work.rs")),
    ("workers", include_str!("../../src/conformance/workers.rs")),
];

/// The names that the list holds for `room`.
fn listed(room: &str) -> Vec<&'static str> {
    let start = LIST.find(&format!(" {room} {{")).expect("the room is in the list");
    let names = LIST[start..].split_once('{').expect("its cases follow").1;
    names.split_once('}').expect("its cases end").0.split_whitespace().collect()
}

/// The cases that the source of a room holds.
fn written(source: &'static str) -> Vec<&'static str> {
    let case = |line: &'static str| {
        let (name, arguments) = line.strip_prefix("pub async fn ")?.split_once('(')?;
        arguments.starts_with("h: &dyn Harness)").then_some(name)
    };
    source.lines().filter_map(case).collect()
}

#[test]
fn every_case_is_listed() {
    for (room, source) in ROOMS {
        let (mut written, mut listed) = (written(source), listed(room));
        written.sort_unstable();
        listed.sort_unstable();
        assert_eq!(written, listed, "cases of {room}");
    }
}

#[test]
fn every_room_is_checked() {
    let modules = LIST.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let rooms = modules.filter(|module| !matches!(*module, "harness" | "stage"));
    assert!(rooms.eq(ROOMS.map(|(room, _)| room)), "a room is missing here or too many");
}
