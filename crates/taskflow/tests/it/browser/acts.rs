//! What people do with buttons and forms, and that it happens.

use serde_json::json;

use super::page::Page;
use super::scene::{KIND, fail_next};
use crate::server::{Server, client};

const WORKER_OFF: (&str, &str) = ("WORKER_ENABLED", "false");

/// The payload of a task as the API writes it, byte by byte.
async fn payload(server: &Server, id: i64) -> String {
    let answer = client().get(format!("{}/api/v1/tasks/{id}", server.url)).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let after = text.split_once(r#""payload":"#).unwrap().1;
    after.split_once(r#","run_at":"#).unwrap().0.to_owned()
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed_by_buttons_and_set_by_its_form() {
    let server = Server::start(&[]).await;
    let task = |queue: &str| json!({"title": "Letter", "queue": queue});
    let first = server.create(task("mail")).await;
    server.until(first, "completed").await;
    let page = Page::of(&server.url).await;
    page.open("/queues").await;
    page.click("tr[data-key=queue-mail] form[action$='/pause'] button").await;
    page.until_path("/queues").await;
    page.until_text("tr[data-key=queue-mail] .label.warn", "paused").await;

    let held = server.create(task("mail")).await;
    let other = server.create(task("default")).await;
    server.until(other, "completed").await;
    assert_eq!(server.task(held).await["attempt"], 0);
    page.open_marked(&format!("/tasks/{held}")).await;
    page.until_there("#head .chip.pending").await;
    assert_eq!(page.text("#why .label").await, "paused");
    server.post("/api/v1/queues/mail/resume", json!({})).await.is(200);
    page.until_text("#head .chip", "completed").await;
    page.assert_marked().await;

    // The same on the queue's own page, with a reason.
    page.open("/queues/mail").await;
    page.fill("#turn input[name=reason]", "the mail server moves").await;
    page.click("#turn form[action$='/pause'] button").await;
    page.until_there("#turn form[action$='/resume']").await;
    assert!(page.text("#queue").await.contains("the mail server moves"));
    let held = server.create(task("mail")).await;
    page.until_text("#queue td a[href*='status=pending']", "1").await;
    assert_eq!(server.task(held).await["attempt"], 0);
    page.click("#turn form[action$='/resume'] button").await;
    page.until_there("#turn form[action$='/pause']").await;
    server.until(held, "completed").await;
    settings_are_saved_or_refused_beside_their_fields(&server, &page).await;
    page.assert_no_complaints_but(&["422"]).await;
}

async fn settings_are_saved_or_refused_beside_their_fields(server: &Server, page: &Page) {
    page.open("/queues/mail").await;
    page.fill("#field-concurrency_limit", "3").await;
    page.fill("#field-max_attempts", "1000").await;
    page.click("#settings button[type=submit]").await;
    page.until_there("#field-max_attempts[aria-invalid=true]").await;
    assert_eq!(page.value("#field-concurrency_limit").await, "3");
    page.fill("#field-max_attempts", "7").await;
    page.click("#settings button[type=submit]").await;
    page.until_there(".notice.good").await;
    let queue = server.get("/api/v1/queues/mail").await.is(200);
    assert_eq!(queue["concurrency_limit"], 3);
    assert_eq!(queue["defaults"]["max_attempts"], 7);
}

#[tokio::test]
async fn a_task_is_retried_and_edited_and_what_was_not_touched_stays_digit_by_digit() {
    let server = Server::start(&[]).await;
    let task = json!({"title": "Broken", "kind": "sleep", "payload": {"seconds": 0, "fail": true}, "max_attempts": 1});
    let id = server.create(task).await;
    server.until(id, "failed").await;
    let page = Page::of(&server.url).await;
    page.open(&format!("/tasks/{id}")).await;
    page.until_text("#attempts pre.error", "payload.fail asked for a failure").await;
    page.click("#acts form[action$='/retry'] button").await;
    page.until_there("#attempts tr[data-key=attempt-2]").await;
    page.until_text("#head .chip", "failed").await;

    page.click("#acts a[href$='/edit']").await;
    page.fill("#field-payload", r#"{"seconds": 0,}"#).await;
    page.click("button[value=retry]").await;
    // The browser itself holds back what is no JSON.
    assert_eq!(page.texts("#field-payload:invalid").await.len(), 1);
    page.fill("#field-payload", r#"{"seconds": 0}"#).await;
    page.click("button[value=retry]").await;
    page.until_path(&format!("/tasks/{id}")).await;
    page.until_text("#head .chip", "completed").await;
    assert_eq!(server.outcomes(id).await, ["failed", "failed", "completed"]);
    assert_eq!(server.task(id).await["payload"], json!({"seconds": 0}));
    a_payload_survives_an_edit_of_the_title(&server, &page).await;
    page.assert_no_complaints().await;
}

async fn a_payload_survives_an_edit_of_the_title(server: &Server, page: &Page) {
    let numbers = r#"{"big": 123456789012345678901234567890, "price": 1.50, "tiny": 1E-400, "text": "a\u0041\r\n\/"}"#;
    let body = format!(r#"{{"title": "Count", "kind": "manual", "payload": {numbers}}}"#);
    let request = client().post(format!("{}/api/v1/tasks", server.url));
    let request = request.header("Content-Type", "application/json").body(body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 201);
    let before = payload(server, 2).await;
    assert!(before.contains("123456789012345678901234567890"), "{before}");

    page.open("/tasks/2").await;
    let shown = page.texts("#payload .number").await;
    assert_eq!(shown, ["123456789012345678901234567890", "1.50", "1E-400"]);
    page.click("#acts a[href$='/edit']").await;
    page.fill("#field-title", "Count again").await;
    page.click("button[value=save]").await;
    page.until_text("h1", "#2 Count again").await;
    assert_eq!(payload(server, 2).await, before);
    page.click("a[href$='/2/payload']").await;
    assert_eq!(page.text("body").await, before);
    page.open("/tasks/new?from=2").await;
    assert_eq!(page.value("#field-payload").await, before);
    page.click("form.create button[type=submit]").await;
    page.until_path("/tasks/3").await;
    assert_eq!(payload(server, 3).await, before);
}

#[tokio::test]
async fn many_tasks_are_cancelled_deleted_and_retried_after_a_look_at_their_count() {
    let server = Server::start(&[WORKER_OFF]).await;
    let task = |tag: &str| json!({"title": "Letter", "kind": "manual", "tags": [tag]});
    let mut tagged = Vec::new();
    for _ in 0..3 {
        tagged.push(server.create(task("wrong")).await);
    }
    let other = server.create(task("right")).await;
    let page = Page::of(&server.url).await;
    page.open("/tasks?tag=wrong").await;
    assert_eq!(page.texts("#tasks tbody tr").await.len(), 3);
    page.click("#many a[href*='do=cancel']").await;
    assert_eq!(page.text(".big").await, "3 tasks");
    for id in &tagged {
        assert_eq!(server.task(*id).await["status"], "pending", "a preview changes nothing");
    }
    page.click("#main form button[type=submit]").await;
    page.until_there(".notice.good").await;
    assert!(page.text(".notice.good").await.starts_with("3 tasks "));
    assert_eq!(page.texts("#tasks .chip").await, ["cancelled"; 3]);
    for id in &tagged {
        assert_eq!(server.task(*id).await["status"], "cancelled");
    }
    assert_eq!(server.task(other).await["status"], "pending");

    // What cannot be taken back wants a tick.
    page.click("#many a[href*='do=delete']").await;
    assert_eq!(page.text(".big").await, "3 tasks");
    page.click("#main form button[type=submit]").await;
    assert_eq!(page.texts("input[name=sure]:invalid").await.len(), 1);
    page.click("input[name=sure]").await;
    page.click("#main form button[type=submit]").await;
    page.until_there(".notice.good").await;
    page.until_there("#tasks .empty").await;
    server.get(&format!("/api/v1/tasks/{}", tagged[0])).await.is(404);
    assert_eq!(server.task(other).await["status"], "pending");
    a_group_of_failures_shows_up_and_is_run_once_more(&server, &page).await;
    page.assert_no_complaints().await;
}

async fn a_group_of_failures_shows_up_and_is_run_once_more(server: &Server, page: &Page) {
    for n in 0..3 {
        server.create(json!({"title": format!("Letter {n}"), "kind": KIND})).await;
    }
    page.open_marked("/failed").await;
    page.until_there("#failed .empty").await;
    let mut alike = Vec::new();
    for n in 0..2 {
        alike.push(fail_next(server, &format!("no answer from host {n}: 100 % & <more>")).await);
    }
    let other = fail_next(server, "something else").await;
    page.until("two groups", async || {
        page.texts("#failed tbody td:first-child").await == ["2", "1"]
    })
    .await;
    page.assert_marked().await;
    page.click("#failed tbody tr:first-child td.acts a").await;
    assert_eq!(page.text(".big").await, "2 tasks");
    page.click("#main form button[type=submit]").await;
    page.until_there(".notice.good").await;
    assert_eq!(page.texts("#failed tbody td:first-child").await, ["1"]);
    for id in alike {
        assert_eq!(server.task(id).await["status"], "pending");
    }
    assert_eq!(server.task(other).await["status"], "failed");
}

#[tokio::test]
async fn a_task_is_moved_by_hand_and_a_worker_is_drained_and_released() {
    let server = Server::start(&[WORKER_OFF]).await;
    let id = server.create(json!({"title": "Sign", "kind": "manual"})).await;
    let page = Page::of(&server.url).await;
    page.open(&format!("/tasks/{id}")).await;
    page.click("#acts button[value=in_progress]").await;
    page.until_text("#head .chip", "in progress").await;
    page.click("#acts button[value=completed]").await;
    page.until_text("#head .chip", "completed").await;
    page.click("#acts .confirm summary").await;
    page.click("#acts form[action$='/delete'] button").await;
    page.until_there("#tasks .empty").await;
    server.get(&format!("/api/v1/tasks/{id}")).await.is(404);

    let held = server.create(json!({"title": "Held", "kind": KIND})).await;
    server.claim(KIND, 3600).await;
    page.open("/workers").await;
    page.click("tr[data-key=worker-test] form[action$='/drain'] button").await;
    page.until_text("tr[data-key=worker-test] .label", "draining").await;
    page.click("tr[data-key=worker-test] th a").await;
    page.until_there(&format!("#holds tr[data-key=held-{held}]")).await;
    page.click("#turn .confirm summary").await;
    page.click("#turn form[action$='/release'] button").await;
    page.until_there(".notice.good").await;
    page.until_text("#worker .label", "drained").await;
    assert_eq!(server.task(held).await["status"], "pending");
    page.click("#turn form[action$='/resume'] button").await;
    page.until_text("#worker .label", "idle").await;
    page.assert_no_complaints().await;
}
