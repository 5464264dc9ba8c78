//! Signing in and out where a key is set, and what becomes of open pages when a session is over.

use serde_json::json;

use super::page::Page;
use super::pages::assert_sound;
use crate::server::{Server, client};

const KEY: &str = "a-key-of-the-tests";
const SETTINGS: [(&str, &str); 2] = [("API_KEY", KEY), ("WORKER_ENABLED", "false")];

async fn sign_in(page: &Page, key: &str) {
    page.fill("input[name=key]", key).await;
    page.click("form[action='/sign-in'] button").await;
}

/// A task that comes by the API shows up without a reload.
async fn assert_live(server: &Server, page: &Page) {
    page.mark().await;
    let id = server.create(json!({"title": "News"})).await;
    page.until_there(&format!("tr[data-key=task-{id}]")).await;
    page.assert_marked().await;
}

#[tokio::test]
async fn a_session_begins_with_the_key_and_shows_nothing_after_its_end() {
    let server = Server::start(&SETTINGS).await;
    let page = Page::of(&server.url).await;
    assert_sound(&page, "/sign-in", "Sign in").await;
    page.assert_no_complaints().await;
    page.open("/").await;
    page.until_path("/sign-in?next=%2F").await;
    page.open("/tasks?status=pending").await;
    page.until_path("/sign-in?next=%2Ftasks%3Fstatus%3Dpending").await;
    assert_eq!(page.focused("name").await, "key");
    assert_eq!(page.shown("nav").await, 0, "nobody is led to pages that they may not see");
    sign_in(&page, "another-key-than-that").await;
    page.until_there(".notice.bad[role=alert]").await;
    page.assert_accessible().await;
    page.assert_no_complaints_but(&["401"]).await;
    sign_in(&page, KEY).await;
    page.until_path("/tasks?status=pending").await;
    assert_live(&server, &page).await;
    let script =
        "return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)";
    assert_eq!(page.run(script, &[]).await, "{}{}", "no script reads the session");
    assert!(!page.client.source().await.unwrap().contains(KEY));

    page.click("form[action='/sign-out'] button").await;
    page.until_path("/sign-in").await;
    page.open("/tasks").await;
    page.until_path("/sign-in?next=%2Ftasks").await;
    page.client.back().await.unwrap();
    page.client.back().await.unwrap();
    page.until("at a sign-in", async || page.path().await.starts_with("/sign-in")).await;
    an_open_page_leads_to_the_sign_in_at_the_next_news(&server, &page).await;
    page.assert_no_complaints_but(&["401"]).await;
}

async fn an_open_page_leads_to_the_sign_in_at_the_next_news(server: &Server, page: &Page) {
    page.open("/tasks").await;
    sign_in(page, KEY).await;
    page.until_path("/tasks").await;
    assert_live(server, page).await;

    let cookies = page.client.get_all_cookies().await.unwrap();
    let cookies: Vec<String> =
        cookies.iter().map(|c| format!("{}={}", c.name(), c.value())).collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let request = client().post(format!("{}/sign-out", server.url)).header("Cookie", &cookies[0]);
    let answer = request.header("Sec-Fetch-Site", "same-origin").send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    server.create(json!({"title": "Not for them"})).await;
    page.until_path("/sign-in?next=%2Ftasks").await;

    // What a page that was left open still sends is refused, and says why.
    sign_in(page, KEY).await;
    page.until_path("/tasks").await;
    page.open("/tasks/1").await;
    page.client.delete_all_cookies().await.unwrap();
    page.click("#acts form[action$='/cancel'] button").await;
    page.until_there("#main a[href='/sign-in']").await;
    assert_eq!(server.task(1).await["status"], "pending");
}
