//! The handlers of kinds `log` and `sleep`.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Json, TaskId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::tests::at;
use crate::worker::builtin::{LogHandler, SleepHandler};
use crate::worker::handler::{Answer, Context, Handler, Job};

/// A context with this payload, and what stops it.
pub(super) fn context(payload: Option<&str>) -> (Context, CancellationToken) {
    let cancel = CancellationToken::new();
    let job = Job {
        id: TaskId::new(7).unwrap(),
        title: "a task".into(),
        queue: "default".into(),
        kind: "sleep".into(),
        payload: payload.map(|text| Json::parse(text).unwrap()),
        attempt: 1,
        max_attempts: 5,
        checkpoint: None,
        timeout_seconds: None,
        created_at: at(0.0),
    };
    (Context::new(Arc::new(job), cancel.clone()), cancel)
}

/// What the sleeper answers, and how long it took, in seconds.
async fn sleeps(payload: Option<&str>) -> (Answer, f64) {
    let started = Instant::now();
    let answer = SleepHandler.run(context(payload).0).await;
    (answer, started.elapsed().as_secs_f64())
}

#[tokio::test]
async fn the_log_handler_completes_whatever_it_gets() {
    for payload in [None, Some("null"), Some(r#"{"fail": true}"#)] {
        assert_eq!(LogHandler.run(context(payload).0).await, Answer::Completed(None));
    }
}

#[tokio::test(start_paused = true)]
async fn the_sleeper_sleeps_as_long_as_the_payload_says() {
    for (payload, seconds) in [
        (Some(r#"{"seconds": 2}"#), 2.0),
        (Some(r#"{"seconds": 0.75, "fail": false}"#), 0.75),
        (Some(r#"{"seconds": 86400}"#), 86_400.0),
        (Some(r#"{"seconds": 0}"#), 0.0),
        (Some(r#"{"seconds": null}"#), 0.0),
        (Some("{}"), 0.0),
        (Some("null"), 0.0),
        (Some("[1]"), 0.0),
        (None, 0.0),
    ] {
        let (answer, took) = sleeps(payload).await;
        assert_eq!(answer, Answer::Completed(None), "{payload:?}");
        // The runtime's timers count whole milliseconds, and a day of naps rounds each one up.
        let slack = 0.002 + seconds * 0.003;
        assert!((seconds..=seconds + slack).contains(&took), "{payload:?} took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sleeper_fails_when_it_is_asked_to() {
    let (answer, took) = sleeps(Some(r#"{"seconds": 2, "fail": true}"#)).await;
    assert_eq!(answer, Answer::retry("payload.fail asked for a failure"));
    assert!(took >= 2.0);
}

#[tokio::test(start_paused = true)]
async fn the_sleeper_gives_up_on_a_payload_that_it_cannot_follow() {
    for payload in [
        r#"{"seconds": -1}"#,
        r#"{"seconds": "5"}"#,
        r#"{"seconds": 86401}"#,
        r#"{"seconds": 1e300}"#,
        r#"{"seconds": true}"#,
        r#"{"seconds": [1]}"#,
    ] {
        let (answer, took) = sleeps(Some(payload)).await;
        let expected = Answer::give_up("payload.seconds must be a number from 0 to 86400");
        assert_eq!(answer, expected, "{payload}");
        assert_eq!(took, 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sleeper_reports_how_far_it_is() {
    let (cx, _cancel) = context(Some(r#"{"seconds": 10}"#));
    let watched = cx.clone();
    let sleeping = tokio::spawn(async move { SleepHandler.run(cx).await });
    tokio::time::sleep(Duration::from_millis(5250)).await;
    let percent = watched.take_report().progress.unwrap().percent;
    assert!((45.0..=55.0).contains(&percent), "{percent} % after half the time");
    assert_eq!(sleeping.await.unwrap(), Answer::Completed(None));
    assert_eq!(watched.take_report().progress.unwrap().percent, 100.0);
}

#[tokio::test(start_paused = true)]
async fn the_sleeper_wakes_up_when_it_is_told_to_stop() {
    let (cx, cancel) = context(Some(r#"{"seconds": 3600}"#));
    let sleeping = tokio::spawn(async move { SleepHandler.run(cx).await });
    tokio::time::sleep(Duration::from_millis(1234)).await;
    let stopped = Instant::now();
    cancel.cancel();
    assert_eq!(sleeping.await.unwrap(), Answer::Released);
    assert_eq!(stopped.elapsed(), Duration::ZERO);
}
