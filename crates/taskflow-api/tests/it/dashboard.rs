//! The dashboard's pages as a browser gets them. How they look and move is tested in a real browser.

mod acts;
mod forms;
mod session;
mod shown;

use crate::app::{Answer, TestApp};

/// What a browser says of a form of this server's own page.
const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A page.
async fn page(app: &TestApp, path: &str) -> String {
    let answer = app.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    answer.text
}

/// Sends a form from a page of this server.
async fn send(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body: Vec<String> =
        fields.iter().map(|(name, text)| format!("{name}={}", encoded(text))).collect();
    app.call("POST", path, &[OWN, FORM], body.join("&")).await
}

/// The same; it leads to another page, whose path is answered.
async fn sent(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = send(app, path, fields).await;
    assert_eq!(answer.status, 303, "{path}: {}", answer.text);
    answer.header("location").to_owned()
}

/// As forms encode texts, each byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
