//! What becomes of a handler's answer: completed, tried again, failed, snoozed, given back.

use taskflow_core::{Json, NewTask, Outcome, RetryPolicy, Status, Strategy, Terms};
use tokio::time::Instant;

use super::{Crew, does};
use crate::worker::handler::Answer;

/// Fixed back-off of two seconds.
fn terms(max_attempts: u32) -> Terms {
    let retry = RetryPolicy {
        strategy: Strategy::Fixed,
        base_seconds: 2.0,
        jitter: 0.0,
        ..RetryPolicy::default()
    };
    Terms { max_attempts, retry, ..Terms::default() }
}

#[tokio::test(start_paused = true)]
async fn a_result_completes_its_task() {
    let crew =
        Crew::start(does(|cx| async move { Answer::Completed(cx.job().payload.clone()) }), 2);
    let payload = Some(Json::parse(r#"{"n": 1.50}"#).unwrap());
    let new = NewTask { payload: payload.clone(), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.result, payload);
    assert_eq!(task.state.worker.as_deref(), Some("w1"));
    assert_eq!(crew.outcomes(id).await, [Outcome::Completed]);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_after_the_back_off() {
    let crew = Crew::start(
        does(|cx| async move {
            match cx.job().attempt {
                1 | 2 => Answer::retry(format!(
                    "attempt {} of {}",
                    cx.job().attempt,
                    cx.job().max_attempts
                )),
                _ => Answer::Completed(None),
            }
        }),
        1,
    );
    let started = Instant::now();
    let new = NewTask { terms: terms(5), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    crew.stage.task_is(id, |t| t.state.error_message.as_deref() == Some("attempt 1 of 5")).await;
    crew.stage.task_is(id, |t| t.state.status == Status::Completed).await;
    let took = started.elapsed().as_secs_f64();
    assert!((4.0..4.1).contains(&took), "two pauses of two seconds, but {took} s passed");
    let outcomes = [Outcome::Failed, Outcome::Failed, Outcome::Completed];
    assert_eq!(crew.outcomes(id).await, outcomes);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_name_its_own_pause() {
    let crew = Crew::start(
        does(|cx| async move {
            if cx.job().attempt > 1 {
                return Answer::Completed(None);
            }
            let error = "too many requests".to_owned();
            Answer::Failed { error, retryable: true, retry_after: Some(30.0) }
        }),
        1,
    );
    let started = Instant::now();
    let new = NewTask { terms: terms(5), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    let took = started.elapsed().as_secs_f64();
    assert!((30.0..30.1).contains(&took), "{took} s passed");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_good_is_not_tried_again() {
    let crew = Crew::start(does(|_| async { Answer::give_up("no such address") }), 1);
    let id = crew.stage.create("a").await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Failed).await;
    assert_eq!(task.state.error_message.as_deref(), Some("no such address"));
    assert_eq!(task.state.attempt, 1);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_snooze_comes_back_later_and_is_not_counted() {
    let crew = Crew::start(
        does(|cx| async move {
            if cx.job().attempt <= 3 { Answer::Snoozed(10.0) } else { Answer::Completed(None) }
        }),
        1,
    );
    let started = Instant::now();
    let new = NewTask { terms: terms(1), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!((task.state.attempt, task.state.attempts_used()), (4, 1));
    let took = started.elapsed().as_secs_f64();
    assert!((30.0..30.1).contains(&took), "{took} s passed");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_released_job_is_not_counted() {
    let crew = Crew::start(
        does(|cx| async move {
            if cx.job().attempt == 1 { Answer::Released } else { Answer::Completed(None) }
        }),
        1,
    );
    let new = NewTask { terms: terms(1), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!((task.state.attempt, task.state.attempts_used()), (2, 1));
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_its_text_and_is_tried_again() {
    let crew = Crew::start(
        does(|cx| async move {
            match cx.job().attempt {
                1 => panic!("plain text"),
                2 => panic!("text with the number {}", cx.job().attempt),
                3 => std::panic::panic_any(7),
                _ => Answer::Completed(None),
            }
        }),
        1,
    );
    let new = NewTask { terms: terms(5), ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    for text in [
        "the handler panicked: plain text",
        "the handler panicked: text with the number 2",
        "the handler panicked",
    ] {
        crew.stage.task_is(id, |task| task.state.error_message.as_deref() == Some(text)).await;
    }
    crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_always_panics_ends_its_task_and_not_the_worker() {
    let crew = Crew::start(
        does(|cx| async move {
            assert!(cx.job().payload.is_some(), "poison");
            Answer::Completed(None)
        }),
        1,
    );
    let poison = NewTask { terms: terms(3), ..crew.stage.new_task("a") };
    let poison = crew.stage.create_as(poison).await;
    let task = crew.stage.task_is(poison, |task| task.state.status == Status::Failed).await;
    assert_eq!(task.state.attempt, 3);
    let payload = Some(Json::parse("1").unwrap());
    let good = NewTask { payload, ..crew.stage.new_task("a") };
    let good = crew.stage.create_as(good).await;
    crew.stage.task_is(good, |task| task.state.status == Status::Completed).await;
    crew.end().await;
}
