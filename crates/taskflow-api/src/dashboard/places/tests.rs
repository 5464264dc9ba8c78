//! Where buttons lead back to, and what stands in commands.

use http::HeaderValue;

use super::*;

#[test]
fn what_was_true_once_is_left_out_of_the_way_back() {
    for (from, to) in [
        ("/tasks?queue=mail&did=cancel&changed=3", "/tasks?queue=mail"),
        ("/queues/a?saved=1", "/queues/a"),
        ("/queues?after=b", "/queues?after=b"),
        ("/", "/"),
    ] {
        assert_eq!(lasting(from), to);
    }
}

#[test]
fn a_command_names_the_server_as_it_can_be_reached() {
    for (host, key, address) in [
        ("127.0.0.1:8000", false, "http://127.0.0.1:8000"),
        ("127.0.0.1:8000", true, "http://127.0.0.1:8000"),
        ("localhost:8000", true, "http://localhost:8000"),
        ("[::1]:8000", true, "http://[::1]:8000"),
        ("tasks.example.com", true, "https://tasks.example.com"),
        ("10.0.0.5:8000", false, "http://10.0.0.5:8000"),
        ("a'; reboot", false, "http://127.0.0.1:8000"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        assert_eq!(server(&headers, key), address);
    }
}
