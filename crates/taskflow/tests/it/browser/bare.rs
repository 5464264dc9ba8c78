//! Pages without their script, and without a mouse.

use fantoccini::key::Key;
use serde_json::json;

use super::page::Page;
use crate::server::Server;

const WORKER_OFF: (&str, &str) = ("WORKER_ENABLED", "false");

#[tokio::test]
async fn everything_works_without_scripts() {
    let server = Server::start(&[WORKER_OFF]).await;
    let other = server.create(json!({"title": "Another one", "kind": "manual"})).await;
    let page = Page::of(&server.url).await;
    page.scripts(false).await;
    page.open("/").await;
    assert_eq!(page.text("a.tile[href$=pending] .count").await, "1");
    page.click("a.primary[href='/tasks/new']").await;
    page.fill("#field-title", "By hand").await;
    page.fill("#field-kind", "manual").await;
    page.fill("#field-payload", "{").await;
    page.click("form.create button[type=submit]").await;
    // Nobody but the server looked at the payload.
    assert!(!page.text("#fault-payload").await.is_empty());
    assert_eq!(page.value("#field-title").await, "By hand");
    page.fill("#field-payload", r#"{"n": 1}"#).await;
    page.click("form.create button[type=submit]").await;
    page.until_text("h1", "#2 By hand").await;
    assert_eq!(page.shown("button.copy").await, 0, "a button that needs the script");
    page.click("#acts form[action$='/cancel'] button").await;
    page.until_text("#head .chip", "cancelled").await;
    assert_eq!(server.task(2).await["status"], "cancelled");

    page.click("nav a[href='/tasks']").await;
    assert_eq!(page.texts("#tasks .id").await, ["#2", "#1"]);
    page.choose("#field-status", "pending").await;
    page.click("#filter button[type=submit]").await;
    page.until("a filter", async || page.path().await.contains("status=pending")).await;
    assert_eq!(page.texts("#tasks .id").await, [format!("#{other}")]);
    page.click("#many a[href*='do=cancel']").await;
    page.click("#main form button[type=submit]").await;
    page.until_there(".notice.good").await;
    assert_eq!(server.task(other).await["status"], "cancelled");
    page.open(&format!("/tasks/{other}")).await;
    page.click("#acts .confirm summary").await;
    page.click("#acts form[action$='/delete'] button").await;
    page.until_there(".notice.good").await;
    server.get(&format!("/api/v1/tasks/{other}")).await.is(404);
    page.assert_no_complaints_but(&["422"]).await;
}

/// Presses Tab until one of these elements has the focus.
async fn tab_to(page: &Page, css: &str) {
    for _ in 0..40 {
        page.press(Key::Tab).await;
        let outline = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_ne!(page.run(outline, &[]).await, "none", "what has the focus is not seen");
        if page.is_focused(css).await {
            return;
        }
    }
    panic!("no way to {css} with Tab");
}

#[tokio::test]
async fn everything_is_reached_and_done_with_the_keyboard() {
    let server = Server::start(&[WORKER_OFF]).await;
    let id = server.create(json!({"title": "A task", "kind": "manual"})).await;
    let page = Page::of(&server.url).await;
    page.open(&format!("/tasks/{id}")).await;
    page.press(Key::Tab).await;
    assert!(page.is_focused("a.skip").await);
    let top = "return document.activeElement.getBoundingClientRect().top >= 0";
    assert_eq!(page.run(top, &[]).await, true, "the link can be seen when it has the focus");
    page.press(Key::Enter).await;
    page.until_path(&format!("/tasks/{id}#main")).await;
    page.press(Key::Tab).await;
    assert!(page.is_focused("main *").await, "the navigation is skipped");

    tab_to(&page, "#acts form[action$='/cancel'] button").await;
    page.press(Key::Enter).await;
    page.until_text("#head .chip", "cancelled").await;
    tab_to(&page, "#acts .confirm summary").await;
    page.press(Key::Enter).await;
    tab_to(&page, "#acts form[action$='/delete'] button").await;
    page.press(Key::Enter).await;
    page.until_there(".notice.good").await;

    tab_to(&page, "nav a[href='/tasks']").await;
    tab_to(&page, "a[href='/tasks/new']").await;
    page.press(Key::Enter).await;
    page.until_path("/tasks/new").await;
    tab_to(&page, "#field-title").await;
    page.client.active_element().await.unwrap().send_keys("Typed").await.unwrap();
    page.press(Key::Enter).await;
    page.until_text("h1", "#2 Typed").await;
    page.assert_no_complaints().await;
}
