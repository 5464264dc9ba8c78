//! Which tasks a claim, or one who waits for work, takes by their queue and kind.

use taskflow_core::{Kind, QueueName};
use taskflow_store::Kinds;

fn kind(name: &str) -> Kind {
    Kind::parse(name).expect("a kind")
}

#[test]
fn a_claim_takes_what_both_its_queues_and_its_kinds_name() {
    let mail = || Kinds::Named(vec![kind("mail"), kind("log"), kind("manual")]);
    let queue = |name: &str| QueueName::parse(name).expect("a queue");
    // Queues and kinds asked for; a task's queue and kind; whether it is taken.
    let table = [
        (None, mail(), "a", "mail", true),
        (None, mail(), "a", "log", true),
        (None, mail(), "a", "other", false),
        (None, mail(), "a", "manual", false),
        (None, Kinds::Named(vec![]), "a", "mail", false),
        (None, Kinds::AllButBuiltIn, "a", "mail", true),
        (None, Kinds::AllButBuiltIn, "a", "log", false),
        (None, Kinds::AllButBuiltIn, "a", "manual", false),
        (Some(vec!["a", "b"]), mail(), "b", "mail", true),
        (Some(vec!["a", "b"]), mail(), "c", "mail", false),
        (Some(vec!["a", "b"]), mail(), "a", "other", false),
        (Some(vec![]), mail(), "a", "mail", false),
    ];
    for (queues, kinds, of, sort, taken) in table {
        let label = format!("{queues:?} and {kinds:?} on {of}/{sort}");
        let queues: Option<Vec<_>> = queues.map(|names| names.into_iter().map(queue).collect());
        assert_eq!(kinds.take_from(queues.as_deref(), &queue(of), &kind(sort)), taken, "{label}");
    }
}
