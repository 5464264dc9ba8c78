//! Texts that want to be something else are shown as the texts that they are, and break no layout.

use serde_json::{Value, json};

use super::page::Page;
use super::scene::{KIND, report};
use crate::server::Server;

/// What a page must never have because of a text.
const FOREIGN: &str = "#main script, #main img, #main iframe, #main [onerror], #main [onload], #main b, #main [href^='javascript:']";

/// The texts.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<script>window.hacked = 1; alert(1)</script>",
        "\"><img src=x onerror=\"window.hacked = 2; alert(1)\">",
        "'><b onload=alert(1)>bold</b><!-- ",
        "</title></textarea></script><iframe src=javascript:alert(1)>",
        "{{7*7}} ${7*7} <%= 7*7 %> #{7*7} %s %n",
        "javascript:alert(1)",
        "&lt;b&gt; &amp;amp; &#60;",
        "right \u{202E}to left\u{202C} and \u{2066}isolated",
        "zero\u{200B}width\u{FEFF} and \u{200D}joined \u{00AD}soft",
        "\u{1B}[31mred\u{1B}[0m \u{1B}]8;;http://evil.example\u{7}link\u{1B}]8;;\u{7}",
        "Z\u{0351}\u{036B}\u{0343}a\u{0489}\u{0325}\u{033A}l\u{0334}\u{0360}g\u{0338}\u{0489}o \u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{FDFD}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("W".repeat(255));
    texts
}

/// Without the characters that tags and messages of a progress may not have.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != ',').take(100).collect()
}

/// A task with the text in each of its places, failed with it; answers its id.
async fn failed(server: &Server, text: &str) -> i64 {
    let payload = json!({text: [text, {text: text}]});
    let id = server.create(json!({
        "title": text, "description": text, "kind": KIND, "queue": "javascript:alert", "tags": [plain(text)],
        "payload": payload, "metadata": {text: text},
    })).await;
    let claimed = claim(server).await;
    assert_eq!(claimed["id"], id);
    let fault = json!({"error": format!("{text}\n{text}"), "retryable": false});
    report(server, id, "fail", &claimed["lease_token"], fault).await;
    id
}

/// By a worker whose name is as strange as it may be.
async fn claim(server: &Server) -> Value {
    let wish = json!({"worker": "javascript:alert/../@1", "kinds": [KIND], "lease_seconds": 3600});
    server.post("/api/v1/tasks/claim", wish).await.is(200)["tasks"][0].clone()
}

async fn assert_harmless(page: &Page) {
    for width in [390, 1280] {
        page.resize(width, 800).await;
        page.assert_fits().await;
    }
    assert_eq!(page.exact_texts(FOREIGN).await, Vec::<String>::new(), "{}", page.path().await);
    assert_eq!(page.run("return typeof window.hacked", &[]).await, "undefined");
}

#[tokio::test]
async fn hostile_texts_are_texts_on_lists_that_they_come_to_later() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let page = Page::of(&server.url).await;
    let texts = texts();
    page.open_marked("/failed").await;
    for text in &texts {
        failed(&server, text).await;
    }
    // Sorts of errors differ from errors in their digits only, and none of these is empty.
    page.until("every group", async || {
        page.exact_texts("#failed tbody tr").await.len() == texts.len()
    })
    .await;
    let shown = page.exact_texts("#failed tbody th").await;
    for text in texts.iter().filter(|text| !text.contains(|c: char| c.is_ascii_digit())) {
        assert!(shown.iter().any(|one| one.contains(text.trim())), "{text:?}: {shown:#?}");
    }
    page.assert_marked().await;
    assert_harmless(&page).await;

    page.open_marked("/tasks").await;
    let reason: String = texts.iter().map(|text| plain(text)).collect();
    let pause = json!({"reason": reason.chars().take(500).collect::<String>()});
    server.post("/api/v1/queues/javascript:alert/pause", pause).await.is(200);
    server
        .create(json!({"title": "The last one", "queue": "javascript:alert", "kind": KIND}))
        .await;
    page.until("the last one", async || {
        page.texts("#tasks th a").await.contains(&"The last one".into())
    })
    .await;
    let mut titles = page.exact_texts("#tasks th a").await;
    titles.reverse();
    titles.pop();
    assert_eq!(titles, texts);
    page.assert_marked().await;
    for path in [
        "/tasks",
        "/",
        "/queues",
        "/queues/javascript:alert",
        "/workers",
        "/tasks/many?do=cancel&q=%3Cimg%20src=x%20onerror=alert(1)%3E",
    ] {
        page.open(path).await;
        assert_harmless(&page).await;
    }
    page.open("/workers").await;
    page.click("#workers tbody th a").await;
    assert_eq!(page.text("h1").await, "javascript:alert/../@1");
    assert_harmless(&page).await;
    page.assert_no_complaints().await;
}

#[tokio::test]
async fn hostile_texts_are_texts_on_the_page_of_their_task_and_in_addresses() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let page = Page::of(&server.url).await;
    for text in texts() {
        let id = failed(&server, &text).await;
        page.open(&format!("/tasks/{id}")).await;
        let shown = |css: &'static str| page.exact_texts(css);
        assert_eq!(shown("h1").await, [format!("#{id} {text}")]);
        assert_eq!(shown("#facts .prose").await, [text.as_str()]);
        assert_eq!(shown("#facts .tag").await, [plain(&text)]);
        assert_eq!(shown("#attempts pre.error").await, [format!("{text}\n{text}")]);
        assert_eq!(shown("#payload .k").await[0], text);
        assert_eq!(shown("#metadata .k").await, [text.as_str()]);
        assert_eq!(serde_json::from_str::<Value>(&shown("#payload .text").await[0]).unwrap(), text);
        let title = page.run("return document.title", &[]).await;
        assert!(title.as_str().unwrap().starts_with(&format!("#{id} ")), "{title}");
        assert_harmless(&page).await;
        page.click(&format!("#acts a[href='/tasks/{id}/edit']")).await;
        assert_eq!(page.value("#field-title").await, text);
        assert_eq!(page.value("#field-description").await, text);
        assert_harmless(&page).await;
    }
    messages_of_a_progress_are_texts(&server, &page).await;
    addresses_are_texts(&page).await;
    page.assert_no_complaints_but(&["422"]).await;
}

async fn messages_of_a_progress_are_texts(server: &Server, page: &Page) {
    let id = server.create(json!({"title": "Running", "kind": KIND})).await;
    let claimed = claim(server).await;
    page.open_marked(&format!("/tasks/{id}")).await;
    for (n, text) in texts().iter().enumerate() {
        let message = format!("{n} {}", plain(text));
        let news = json!({"progress": {"percent": 50, "message": message}});
        report(server, id, "heartbeat", &claimed["lease_token"], news).await;
        // Updates come once a second at most; not each is waited for.
        if n % 4 == 1 {
            page.until("the message", async || {
                page.exact_texts("#head .progress .quiet").await == [message.clone()]
            })
            .await;
            assert_harmless(page).await;
        }
    }
    page.assert_marked().await;
}

async fn addresses_are_texts(page: &Page) {
    let text = "%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in [
        format!("/tasks?q={text}&tag={text}&queue={text}&after={text}"),
        format!("/tasks/new?title={text}&payload={text}&kind={text}"),
    ] {
        page.open(&path).await;
        assert_harmless(page).await;
    }
    page.open(&format!("/tasks/{text}")).await;
    assert_harmless(page).await;
}
