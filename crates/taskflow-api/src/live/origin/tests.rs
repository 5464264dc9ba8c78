//! Which origins are refused.

use super::*;
use http::HeaderValue;

fn headers(origin: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("queue.example:8000"));
    for one in origin {
        headers.append(header::ORIGIN, HeaderValue::from_str(one).unwrap());
    }
    headers
}

#[test]
fn only_own_and_listed_pages_may_listen() {
    let cors = Cors::Only(vec!["https://app.example".into()]);
    let good = ["https://app.example", "http://queue.example:8000", "https://queue.example:8000"];
    for origin in good {
        assert!(check(&headers(&[origin]), &cors).is_ok(), "{origin}");
    }
    let evil = ["https://evil", "null", "", "https://app.example.evil", "queue.example:8000"];
    for origin in evil {
        let refused = check(&headers(&[origin]), &cors).unwrap_err();
        assert_eq!(refused.code(), "foreign-origin", "{origin}");
    }
    assert!(check(&headers(&["https://app.example", "https://evil"]), &cors).is_err());
    assert!(check(&headers(&[]), &cors).is_ok(), "no browser");
}

#[test]
fn every_page_may_listen_where_every_page_may_call() {
    assert!(check(&headers(&["https://evil"]), &Cors::Any).is_ok());
}
