//! The harness itself: it sees what is wrong with a page that is wrong, can do what tests ask of it, and
//! leaves nothing behind. The pages here are its own.

use fantoccini::key::Key;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::complaints::Request;
use super::driver::assert_gone;
use super::page::{Colours, Page};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src * data:; \
                      form-action 'self'; connect-src 'self'";

const WRONG: &str = "<!doctype html><html lang=en><title>Wrong</title><link rel=icon href='data:,'>
    <style>
        p { color: #000; background: #fff }
        @media (prefers-color-scheme: dark) { p { color: #444; background: #333 } }
    </style>
    <main><h1>Wrong</h1><p>Dark on dark in dark colours</p>
    <img src='http://localhost:PORT/foreign.png' alt=''></main>
    <script>document.title = 'the policy forbids this'</script>
    <script src=/wrong.js></script>";

const WRONG_SCRIPT: &str = "
    console.error('said on the console');
    setTimeout(() => { document.querySelector('h1').textContent = 'Late'; nobody.catches.this() });";

const FORM: &str = "<!doctype html><html lang=en><title>Form</title><link rel=icon href='data:,'>
    <style>
        main { width: 50vw } #narrow { display: none }
        @media (max-width: 400px) { #narrow { display: block } }
        @media (prefers-color-scheme: dark) { html { background: #000; color: #fff } }
        @media (prefers-reduced-motion: reduce) { h1 { text-transform: uppercase } }
    </style>
    <main><h1>Form</h1><p id=narrow>Narrow</p>
    <form><label>Name <input name=name value=old></label>
    <label>Sort <select name=sort><option value=1>One<option value=2>Two</select></label>
    <button disabled>Send</button></form></main>
    <script src=/form.js></script>";

/// The button can be used after a while only.
const FORM_SCRIPT: &str = "
    setTimeout(() => document.querySelector('button').disabled = false, 200);
    new WebSocket(`ws://${location.host}/socket`).onerror = () => document.body.dataset.tried = 'yes'";

/// Answers every request with one of these, until the test ends; answers its own address.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A browser that goes away in the middle is none of ours.
            tokio::spawn(async move { drop(answer(stream, port).await) });
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn answer(stream: TcpStream, port: u16) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::from("head");
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    let path = first.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, sort, body) = match path {
        "/wrong" => {
            ("200 OK", "text/html; charset=utf-8", WRONG.replace("PORT", &port.to_string()))
        }
        "/wrong.js" => ("200 OK", "text/javascript", WRONG_SCRIPT.to_owned()),
        "/form" => ("200 OK", "text/html; charset=utf-8", FORM.to_owned()),
        "/form.js" => ("200 OK", "text/javascript", FORM_SCRIPT.to_owned()),
        _ => ("404 Not Found", "text/plain", "There is no such page".to_owned()),
    };
    let head =
        format!("Content-Type: {sort}\r\nContent-Security-Policy: {POLICY}\r\nConnection: close");
    let answer =
        format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn what_is_wrong_with_a_page_is_seen() {
    let page = Page::of(&serve().await).await;
    page.open("/wrong").await;
    page.until_text("h1", "Late").await;
    let all =
        ["Content Security Policy", "said on the console", "nobody is not defined", "/foreign.png"];
    page.until("all complaints", async || {
        let complaints = page.complaints().await;
        all.iter().all(|one| complaints.iter().any(|complaint| complaint.contains(one)))
    })
    .await;
    page.assert_no_complaints_but(&all).await;

    assert_eq!(page.violations().await, Vec::<String>::new());
    assert_eq!(page.colours(Colours::Dark).await, Colours::Light);
    let violations = page.violations().await;
    assert!(matches!(&violations[..], [one] if one.contains("color-contrast")), "{violations:?}");
}

#[tokio::test]
async fn a_page_can_be_used_and_changed_like_a_persons() {
    let origin = serve().await;
    let page = Page::of(&origin).await;
    page.open("/form").await;
    page.find("body[data-tried]").await;
    assert_eq!(page.value("input").await, "old");
    page.fill("input", "new ü").await;
    page.press(Key::Tab).await;
    assert_eq!(page.run("return document.activeElement.name", &[]).await, "sort");
    page.choose("select", "Two").await;
    page.click("button:enabled").await;
    page.until_path("/form?name=new+%C3%BC&sort=2").await;
    assert_eq!(page.attribute("input", "name").await.as_deref(), Some("name"));

    assert_eq!(
        (page.shown("p").await, page.texts("option").await),
        (0, vec!["One".into(), "Two".into()])
    );
    page.resize(320, 600).await;
    assert_eq!((page.shown("p").await, page.text("#narrow").await), (1, "Narrow".into()));
    page.still(true).await;
    page.until_text("h1", "FORM").await;
    page.assert_accessible().await;

    page.scripts(false).await;
    page.open("/form").await;
    assert_eq!(page.shown("body[data-tried]").await, 0);
    assert_eq!(page.shown("button:disabled").await, 1);
    let folder = TempDir::new().unwrap();
    page.screenshot(&folder.path().join("form.png")).await;
    assert!(std::fs::read(folder.path().join("form.png")).unwrap().starts_with(b"\x89PNG"));

    let asked = |method: &str, url: String| Request { method: method.to_owned(), url };
    let requests = page.requests().await;
    assert!(requests.contains(&asked("GET", format!("{origin}/form.js"))), "{requests:?}");
    let socket = format!("{}/socket", origin.replace("http", "ws"));
    assert!(requests.contains(&asked("WebSocket", socket)), "{requests:?}");
    page.assert_no_complaints_but(&["WebSocket connection"]).await;
}

#[tokio::test]
async fn a_browser_leaves_no_process_and_no_file_behind() {
    let page = Page::of(&serve().await).await;
    page.open("/no-page").await;
    assert_eq!(page.text("body").await, "There is no such page");
    page.assert_no_complaints_but(&["404"]).await;
    let traces = page.driver.traces();
    drop(page);
    assert_gone(traces).await;
}
