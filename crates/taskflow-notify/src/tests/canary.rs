//! What is really dialled: a listener on loopback that must hear nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Canary, Server};
use super::{allow, answers, completed, given_up, run};
use crate::Outbound;
use crate::guard::Guard;

/// URLs that would reach the canary if a rule were missing. Names resolve to loopback.
const TO_LOOPBACK: &[&str] = &[
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://017700000001:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://x.localhost:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://rebound.example:{port}/",
    "http://rebound.example.:{port}/",
    "https://rebound.example:{port}/",
    "http://metadata.google.internal:{port}/",
    "http://localtest.me:{port}/",
];

fn payload(url: &str) -> String {
    serde_json::json!({ "url": url }).to_string()
}

/// No allow-list; the canary's port is a web port, so only the address rule is in the way.
fn strict(canary: &Canary, addresses: &[&str]) -> Outbound {
    let guard = Guard::new(Vec::new()).unwrap().with_port(canary.address.port());
    Outbound::with(guard, answers(addresses))
}

#[tokio::test]
async fn no_spelling_of_loopback_is_dialled() {
    let canary = Canary::start().await;
    for url in TO_LOOPBACK {
        let url = url.replace("{port}", &canary.address.port().to_string());
        let error = given_up(run(strict(&canary, &["127.0.0.1"]), &payload(&url)).await);
        assert!(error.starts_with("payload.url"), "{url}: {error}");
    }
    assert_eq!(canary.visitors().await, 0);
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_refused_whole() {
    let canary = Canary::start().await;
    let url = format!("http://mixed.example:{}/", canary.address.port());
    // Documentation addresses stand for public ones here: allowed, yet nobody answers there, and
    // nobody is asked, because one of the others is forbidden.
    for addresses in [
        &["192.0.2.1", "127.0.0.1"][..],
        &["127.0.0.1", "192.0.2.1"],
        &["192.0.2.1", "::1"],
        &["192.0.2.1", "::ffff:127.0.0.1"],
    ] {
        let guard = Guard::new(allow(&["192.0.2.0/24"])).unwrap().with_port(canary.address.port());
        let outbound = Outbound::with(guard, answers(addresses));
        let error = given_up(run(outbound, &payload(&url)).await);
        assert!(error.contains("refused unless"), "{error}");
        assert!(!error.contains("127.0.0.1") && !error.contains("::1"), "{error}");
    }
    assert_eq!(canary.visitors().await, 0);
}

#[tokio::test]
async fn the_checked_address_is_the_dialled_one() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    // The second lookup of this name would lead elsewhere: there must not be one.
    let (lookups, fixed) = (Arc::new(AtomicUsize::new(0)), answers(&["127.0.0.1"]));
    let counter = Arc::clone(&lookups);
    let rebinding: crate::client::Lookup =
        Arc::new(move |name| match counter.fetch_add(1, Ordering::SeqCst) {
            0 => fixed(name),
            _ => answers(&["127.9.9.9"])(name),
        });
    let outbound = Outbound::with(Guard::new(allow(&["127.0.0.1/32"])).unwrap(), rebinding);
    let url = format!("http://rebinding.example:{}/", server.address.port());
    assert_eq!(completed(run(outbound, &payload(&url)).await), r#"{"status":204,"body":null}"#);
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_odd_port_needs_an_address_in_the_allow_list() {
    let canary = Canary::start().await;
    let url = format!("http://named.example:{}/", canary.address.port());
    let guard = || Guard::new(allow(&["192.0.2.0/24"])).unwrap();
    let error =
        given_up(run(Outbound::with(guard(), answers(&["127.0.0.1"])), &payload(&url)).await);
    assert!(error.contains("loopback"), "{error}");
    let error = given_up(run(Outbound::with(guard(), answers(&["8.8.8.8"])), &payload(&url)).await);
    assert!(error.contains("port"), "{error}");
    assert_eq!(canary.visitors().await, 0);
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_place_is_not_followed() {
    let canary = Canary::start().await;
    for status in ["301", "302", "303", "307", "308"] {
        let server = Server::answering(format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://{}/\r\nrefresh: 0\r\ncontent-length: 0\r\n\r\n",
            canary.address
        ))
        .await;
        let (error, _) =
            super::retried(run(super::loopback_allowed(), &payload(&server.url("/"))).await);
        assert!(error.contains("redirects are not followed"), "{error}");
    }
    assert_eq!(canary.visitors().await, 0);
}

#[test]
fn proxies_from_the_environment_are_ignored() {
    // The same test binary runs one ordinary case with a proxy in its environment that only listens.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        child.env(name, &url);
    }
    child.env_remove("no_proxy").env_remove("NO_PROXY");
    child.args(["--exact", "tests::outcomes::a_json_answer_completes_with_its_value"]);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(proxy.accept().is_err(), "somebody asked the proxy");
}
