//! What travels arrives, whatever its size.

use super::*;
use taskflow_core::State;

fn told(id: i64, tags: &[&str]) -> Told {
    let state = State::born(Timestamp::from_micros(5), 0, Timestamp::from_micros(4));
    let (queue, kind) = (QueueName::default(), Kind::default());
    let id = TaskId::new(id).unwrap();
    let at = Timestamp::from_micros(6);
    let change = TaskChange::of(id, (&queue, &kind), TaskEvent::Created, &state, at);
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let progress = Some(Progress { percent: 12.5, message: Some("half \"way\"\n".into()) });
    let worker = Some("w-1".to_owned());
    let change = TaskChange { tags, progress, worker, ..change };
    Told { tenant: TenantId(7), change: Change::Task(Box::new(change)) }
}

#[test]
fn changes_arrive_in_order_in_as_many_notifications_as_they_need() {
    let mut all: Vec<Told> = (1..=500).map(|id| told(id, &["a", "b\u{202e}"])).collect();
    all.push(Told { tenant: TenantId(7), change: Change::Queue(QueueName::default()) });
    let worker = WorkerName::parse("w").unwrap();
    all.push(Told { tenant: TenantId(7), change: Change::Worker(worker) });
    let words = words(&all);
    assert!(words.len() > 5 && words.iter().all(|word| word.len() <= WORD_BYTES_MAX));
    let arrived: Vec<Told> = words.iter().flat_map(|word| heard(word).unwrap()).collect();
    assert_eq!(arrived, all);
}

#[test]
fn what_is_too_long_goes_without_its_texts() {
    let long = "x".repeat(100);
    let tags: Vec<String> = (0..90).map(|n| format!("{n}{long}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let words = words(&[told(1, &tags), told(2, &["a"])]);
    let arrived: Vec<Told> = words.iter().flat_map(|word| heard(word).unwrap()).collect();
    assert_eq!(arrived[1], told(2, &["a"]));
    let Change::Task(first) = &arrived[0].change else { panic!("no task") };
    assert_eq!((first.id.get(), first.tags.len()), (1, 0));
}

#[test]
fn what_is_no_change_is_nothing() {
    for payload in ["", "[", "[{}]", "[{\"q\":[1,\"\"]}]", "{\"q\":[1,\"a\"]}"] {
        assert_eq!(heard(payload), None, "{payload}");
    }
}
