//! Pages that follow what happens without being loaded anew, and leave alone what a person does meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use super::page::Page;
use super::scene::{KIND, fail_next, report};
use crate::server::Server;

/// Without events a page reads itself anew every 15 seconds; with them it takes one, on a machine with time.
const SOONER: Duration = Duration::from_secs(10);

/// Fails when the list, which has just read itself anew, follows by time only.
async fn assert_events_come(server: &Server, page: &Page) {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        let id = server.create(json!({"title": "News", "kind": KIND})).await;
        page.until_there(&format!("tr[data-key='task-{id}']")).await;
        fastest = fastest.min(begin.elapsed());
        if fastest < SOONER {
            return;
        }
    }
    panic!("the fastest of three new tasks was shown after {fastest:?}");
}

#[tokio::test]
async fn a_task_from_the_form_appears_runs_and_completes_on_its_page() {
    let server = Server::start(&[]).await;
    let page = Page::of(&server.url).await;
    page.open("/tasks/new").await;
    page.fill("#field-title", "Sleep a little").await;
    page.fill("#field-kind", "sleep").await;
    page.fill("#field-payload", r#"{"seconds": 6}"#).await;
    page.click("form.create button[type=submit]").await;
    page.mark().await;
    page.until_text("h1", "#1 Sleep a little").await;
    page.until_text("#head .chip", "in progress").await;
    // It reports every half second.
    page.until("some progress", async || {
        let script =
            "const bar = document.querySelector('#head progress'); return bar ? bar.value : 0";
        page.run(script, &[]).await.as_f64().is_some_and(|value| value > 0.0)
    })
    .await;
    page.until_text("#head .chip", "completed").await;
    page.until_there("#attempts tr[data-key=attempt-1]").await;
    page.until_gone("#head progress").await;
    page.until_there("#acts form[action$='/retry']").await;
    page.assert_as_loaded().await;
    page.assert_no_complaints().await;
}

#[tokio::test]
async fn a_list_follows_what_happens_and_leaves_a_person_alone() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let mine = |n: u32| json!({"title": format!("Task {n}"), "kind": KIND});
    let first = server.create(mine(1)).await;
    let second = server.create(mine(2)).await;
    let page = Page::of(&server.url).await;
    let row = |id: i64| format!("tr[data-key='task-{id}']");
    page.open_marked("/tasks").await;
    page.click("#filter summary").await;
    page.fill("#field-tag", "half a wo").await;
    page.choose("#field-status", "failed").await;
    page.fill("#field-q", "what I look for").await;
    page.run("document.activeElement.setSelectionRange(5, 6)", &[]).await;

    let third = server.create(mine(3)).await;
    page.until_there(&row(third)).await;
    assert_eq!(page.value("#field-q").await, "what I look for");
    assert_eq!(page.value("#field-tag").await, "half a wo");
    assert_eq!(page.value("#field-status").await, "failed");
    assert_eq!(page.attribute("#filter details", "open").await.as_deref(), Some("true"));
    assert_eq!(page.focused("id").await, "field-q");
    assert_eq!(
        (page.focused("selectionStart").await, page.focused("selectionEnd").await),
        (5.into(), 6.into())
    );

    // The row that has the focus keeps it while others come, change and go around it.
    page.run("document.querySelector(arguments[0]).focus()", &[json!(row(second) + " th a")]).await;
    fail_next(&server, "it broke").await;
    server.delete(&format!("/api/v1/tasks/{third}")).await.is(204);
    let fourth = server.create(mine(4)).await;
    page.until_there(&row(fourth)).await;
    page.until_gone(&row(third)).await;
    page.until_text(&format!("{} .chip", row(first)), "failed").await;
    assert_eq!(page.text(&format!("{} .error", row(first))).await, "it broke");
    assert_eq!(page.texts("#tasks .id").await, [fourth, second, first].map(|id| format!("#{id}")));
    assert_eq!(page.focused("href").await, format!("{}/tasks/{second}", server.url));
    page.assert_as_loaded().await;

    // The list of a filter loses what no longer fits.
    page.open_marked(&format!("/tasks?status=pending&kind={KIND}")).await;
    page.until_there(&row(fourth)).await;
    let claimed = server.claim(KIND, 60).await;
    assert_eq!(claimed["id"], second);
    page.until_gone(&row(second)).await;
    assert_eq!(page.texts("#tasks .id").await, [format!("#{fourth}")]);
    assert_events_come(&server, &page).await;
    page.assert_marked().await;
    page.assert_no_complaints().await;
}

#[tokio::test]
async fn what_a_person_opened_or_closed_stays_so_on_a_page_that_changes() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let payload = json!({"list": [1, 2], "other": {"a": 1}});
    let id = server.create(json!({"title": "Task", "kind": KIND, "payload": payload})).await;
    let page = Page::of(&server.url).await;
    let open = async |css: &str| page.attribute(css, "open").await.is_some();

    page.open_marked("/").await;
    let numbers = "#throughput details";
    page.click(&format!("{numbers} summary")).await;
    assert!(open(numbers).await && page.is_focused(&format!("{numbers} summary")).await);
    let claimed = server.claim(KIND, 3600).await;
    page.until_text("a.tile[href$='in_progress'] .count", "1").await;
    page.until_there("tr[data-key=worker-test]").await;
    assert!(open(numbers).await && page.is_focused(&format!("{numbers} summary")).await);
    page.assert_marked().await;

    page.open_marked(&format!("/tasks/{id}")).await;
    let (list, other) = ("[data-key='payload.0']", "[data-key='payload.1']");
    page.click(&format!("{list} > summary")).await;
    page.click("#acts .confirm summary").await;
    assert!(!open(list).await && open(other).await && open("#acts .confirm").await);
    let news = json!({"progress": {"percent": 12.4, "message": "just begun"}});
    report(&server, id, "heartbeat", &claimed["lease_token"], news).await;
    page.until_text("#head .progress .num", "12 %").await;
    assert!(!open(list).await && open(other).await && open("#acts .confirm").await);
    page.assert_marked().await;

    // A task that is deleted elsewhere is told as such.
    server.delete(&format!("/api/v1/tasks/{id}")).await.is(204);
    page.until_text("h1", "Not found").await;
    page.assert_no_complaints_but(&["404"]).await;
}

#[tokio::test]
async fn a_page_that_followed_everything_is_the_page_that_a_reload_shows() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let other = server.create(json!({"title": "Before it", "kind": "manual"})).await;
    let task = json!({"title": "Task", "kind": KIND, "description": "Once", "tags": ["a", "b"], "depends_on": [other],
        "payload": {"a": [1], "b": {}}, "timeout_seconds": 60, "retry": {"base_seconds": 0}});
    let id = server.create(task).await;
    let path = format!("/api/v1/tasks/{id}");
    let page = Page::of(&server.url).await;
    page.open_marked(&format!("/tasks/{id}")).await;
    server.put(&format!("/api/v1/tasks/{other}"), json!({"status": "completed"})).await.is(200);
    page.until_text("#head .chip .reason", "ready").await;
    page.assert_as_loaded().await;
    let claimed = server.claim(KIND, 60).await;
    page.until_text("#head .chip", "in progress").await;
    // The line of the attempts grows with the time.
    page.assert_marked().await;
    let fault = json!({"error": "it broke", "retry_after_seconds": 3600});
    report(&server, id, "fail", &claimed["lease_token"], fault).await;
    page.until_there("#attempts pre.error").await;
    page.assert_marked().await;
    let change = json!({"description": null, "tags": ["c"], "payload": [[], 1, {"b": null}], "priority": "urgent"});
    server.put(&path, change).await.is(200);
    page.until_text("#facts .tag", "c").await;
    server.put(&path, json!({"status": "cancelled"})).await.is(200);
    page.until_text("#head .chip", "cancelled").await;
    page.assert_as_loaded().await;

    server.create(json!({"title": "Held", "kind": KIND})).await;
    server.claim(KIND, 3600).await;
    page.open_marked("/workers/test").await;
    for (act, label) in [("drain", "draining"), ("resume", "working")] {
        server.post(&format!("/api/v1/workers/test/{act}"), json!({})).await.is(200);
        page.until_text("#worker .label", label).await;
        page.assert_as_loaded().await;
    }
    page.assert_no_complaints().await;
}

#[tokio::test]
async fn a_page_tells_that_its_server_is_away_and_goes_on_when_it_is_back() {
    let settings = [("WORKER_ENABLED", "false")];
    let mut server = Server::start(&settings).await;
    let page = Page::of(&server.url).await;
    page.open_marked("/tasks").await;
    page.until_text("#live", "live").await;
    server.kill();
    page.until_text("#live", "no connection").await;
    let server = server.kill_and_restart(&settings).await;
    let id = server.create(json!({"title": "Afterwards"})).await;
    page.until_there(&format!("tr[data-key=task-{id}]")).await;
    page.until_text("#live", "live").await;
    page.assert_as_loaded().await;
    page.assert_no_complaints_but(&["ERR_"]).await;
}
