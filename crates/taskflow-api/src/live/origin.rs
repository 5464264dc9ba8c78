//! Which web pages may listen. A browser opens a WebSocket to anywhere and reads it, whatever the rules of
//! CORS; only the `Origin` header tells whose page it is (RFC 6455, 10.2). What is no browser sends none.

use http::{HeaderMap, header};

use crate::problem::Problem;
use crate::state::Cors;

/// Refuses pages of other origins than this server's own and those that may call the API.
pub(super) fn check(headers: &HeaderMap, cors: &Cors) -> Result<(), Problem> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return Ok(()),
        (Some(origin), None) => origin.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    let allowed = match cors {
        Cors::Any => !origin.is_empty(),
        Cors::Only(listed) => listed.iter().any(|one| one == origin) || is_own(origin, headers),
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::new(
        "foreign-origin",
        "pages of this origin may not listen; CORS_ORIGINS lists those that may",
    ))
}

/// Whether the page came from the host that it asks.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of.is_some() && of == host
}

#[cfg(test)]
mod tests {
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
        let good =
            ["https://app.example", "http://queue.example:8000", "https://queue.example:8000"];
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
}
