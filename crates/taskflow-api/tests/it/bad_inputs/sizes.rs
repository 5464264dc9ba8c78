//! Bodies that are too long, endless or cut off.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::peopled;
use crate::app::{TestApp, path};
use crate::operations::that_read;

#[tokio::test]
async fn a_body_has_room_for_a_whole_payload_and_not_for_much_more() {
    // 13, 44
    let (app, before) = peopled().await;
    let body = |length: usize| format!(r#"{{"payload":"{}"}}"#, "x".repeat(length));
    let answer = app.json("PUT", "/api/v1/tasks/1", body(1024 * 1024)).await;
    let detail = answer.blames("/payload", "too-large")["detail"].to_string();
    assert!(detail.contains("1048576"), "{detail}");
    for (operation, _, most) in that_read() {
        let answer = app.json(&operation.method, &operation.path(), body(most)).await;
        let detail = answer.refused(413, "body-too-large")["detail"].to_string();
        assert!(detail.contains(&most.to_string()), "{detail}");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    // 13: no length is told beforehand.
    let (app, before) = peopled().await;
    let chunk = bytes::Bytes::from_static(&[b' '; 65536]);
    let endless = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    let request = http::Request::builder()
        .method("POST")
        .uri("/api/v1/tasks")
        .header("content-type", "application/json")
        .body(axum::body::Body::from_stream(endless));
    app.send(request.expect("a request")).await.refused(413, "body-too-large");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    // 16
    let (app, before) = peopled().await;
    let parts = [Ok(bytes::Bytes::from(r#"{"title":"a"}"#)), Err(std::io::Error::other("gone"))];
    let request = http::Request::builder()
        .method("POST")
        .uri("/api/v1/tasks")
        .header("content-type", "application/json")
        .body(axum::body::Body::from_stream(futures_util::stream::iter(parts)));
    app.send(request.expect("a request")).await.refused(400, "bad-request");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_result_that_is_too_large_leaves_the_attempt_open() {
    // 53
    let app = TestApp::new();
    let task = app.running("a").await;
    let before = app.everything().await;
    let complete = async |result: Value| {
        let body = json!({"lease_token": task["lease_token"], "result": result});
        app.post(&path(&task["id"], "/complete"), &body).await
    };
    let ten_megabytes = json!("x".repeat(10_000_000));
    complete(ten_megabytes.clone()).await.refused(413, "body-too-large");
    complete(json!("x".repeat(1024 * 1024))).await.blames("/result", "too-large");
    let body = json!({"lease_token": task["lease_token"], "error": ten_megabytes});
    app.post(&path(&task["id"], "/fail"), &body).await.refused(413, "body-too-large");
    let body = json!({"lease_token": task["lease_token"],
                      "checkpoint": "x".repeat(1024 * 1024)});
    let beat = app.post(&path(&task["id"], "/heartbeat"), &body).await;
    beat.blames("/checkpoint", "too-large");
    assert_eq!(app.everything().await, before);
    complete(json!("less")).await.ok(200);
}

/// Time stands still until nothing else is to be done, so these thirty seconds take none.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_within_half_a_minute_is_not_waited_for() {
    // 10
    let (app, before) = peopled().await;
    let beginning = bytes::Bytes::from_static(br#"{"title":"a","#);
    let silent = futures_util::stream::iter([beginning])
        .chain(futures_util::stream::pending())
        .map(Ok::<_, std::io::Error>)
        .boxed();
    let dripping = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(bytes::Bytes::from_static(b" ")), ()))
    });
    for slow in [silent, dripping.boxed()] {
        let request = http::Request::builder()
            .method("POST")
            .uri("/api/v1/tasks")
            .header("content-type", "application/json")
            .body(axum::body::Body::from_stream(slow));
        let asked = tokio::time::Instant::now();
        let answer = app.send(request.expect("a request")).await;
        assert_eq!(asked.elapsed().as_secs(), 30);
        assert_eq!(answer.header("connection"), "close");
        answer.refused(408, "request-timeout");
    }
    assert_eq!(app.everything().await, before);
}
