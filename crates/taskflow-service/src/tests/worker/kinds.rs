//! Which kinds a worker takes: those that its registry has, and never `manual`.

use taskflow_core::{Kind, NewTask, Status};

use super::{Crew, Does, does, sleep};
use crate::tests::{kind, queue};
use crate::worker::builtin::{LogHandler, SleepHandler};
use crate::worker::handler::Answer;
use crate::worker::registry::Registry;

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_handler_is_never_claimed() {
    let crew = Crew::start(does(|_| async { Answer::Completed(None) }), 4);
    let mut others = Vec::new();
    for name in ["b", "log", Kind::MANUAL, "A", "a.b"] {
        others.push(crew.stage.create(name).await);
    }
    let own = NewTask { queue: queue("mail"), ..crew.stage.new_task("a") };
    let own = crew.stage.create_as(own).await;
    crew.stage.task_is(own, |task| task.state.status == Status::Completed).await;
    sleep(120.0).await;
    for id in others {
        let state = crew.stage.task(id).await.state;
        assert_eq!((state.status, state.attempt), (Status::Pending, 0));
    }
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_handlers_claims_nothing() {
    let crew = Crew::start(Registry::default(), 4);
    let id = crew.stage.create("log").await;
    sleep(60.0).await;
    assert_eq!(crew.stage.task(id).await.state.attempt, 0);
    crew.end().await;
}

#[test]
fn a_registry_refuses_manual() {
    let registry = Registry::default().with(kind(Kind::MANUAL), LogHandler);
    assert!(registry.get(Kind::MANUAL).is_none());
    assert!(registry.kinds().is_empty());
}

#[tokio::test]
async fn the_latest_handler_of_a_kind_counts() {
    let answers = |text: &'static str| Does(move |_| async move { Answer::retry(text) });
    let registry = Registry::default()
        .with(kind("a"), answers("first"))
        .with(kind("b"), SleepHandler)
        .with(kind("a"), answers("second"));
    assert_eq!(registry.kinds(), [kind("a"), kind("b")]);
    let handler = registry.get("a").unwrap();
    let (cx, _) = super::builtin::context(None);
    assert_eq!(handler.run(cx).await, Answer::retry("second"));
    assert!(registry.get("c").is_none());
    assert!(registry.get("not a kind").is_none());
}
