//! Whose requests are a page's own, and where a sign-in may lead.

use http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn only_pages_of_this_server_may_begin_an_act() {
    for (given, own) in [
        (&[("sec-fetch-site", "same-origin")][..], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "http://a:80"), ("host", "a:80")], false),
        (&[("origin", "http://a:8000"), ("host", "a:8000")], true),
        (&[("origin", "https://a"), ("host", "a")], true),
        (&[("origin", "http://b"), ("host", "a")], false),
        (&[("origin", "null"), ("host", "a")], false),
        (&[("host", "a")], false),
        (&[], false),
    ] {
        assert_eq!(is_own(&headers(given)), own, "{given:?}");
    }
}

#[test]
fn a_sign_in_leads_to_places_of_this_server_only() {
    for (next, place) in [
        (Some("/tasks?status=failed"), "/tasks?status=failed"),
        (None, "/"),
        (Some("//evil.example"), "/"),
        (Some("/\\evil.example"), "/"),
        (Some("https://evil.example"), "/"),
        (Some("javascript:alert(1)"), "/"),
        (Some("/a b"), "/"),
        (Some("/sign-in"), "/"),
    ] {
        assert_eq!(local(next), place, "{next:?}");
    }
}

#[test]
fn a_session_is_read_from_its_own_cookie_only() {
    let read = |cookies| session(&headers(&[("cookie", cookies)]));
    assert_eq!(read("a=b; __Host-taskflow=t; c=d").as_deref(), Some("t"));
    assert_eq!(read("taskflow=t"), None);
    assert_eq!(read("__Host-taskflow=t; __Host-taskflow=u"), None);
}
