//! The explanation of every error code, from the one table of `problem.rs`: the page `docs/errors.md`,
//! and the pages behind a problem document's `type` (`/errors`, `/errors/{code}`).
//! It decides nothing about errors, runs no script and needs no key.

use std::fmt::Write;

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use crate::problem::{CODES, Problem};

const INTRODUCTION: &str = "\
# Errors

This page is printed from the code (`crates/taskflow-api/src/problem.rs` and `errors_doc.rs`); do not edit it by hand.
After a change of the code: `cargo run -p taskflow-api --example errors > docs/errors.md`

Every refusal is a problem document (RFC 9457), `application/problem+json`:

```json
{
  \"type\": \"/errors/illegal-transition\",
  \"title\": \"Illegal transition\",
  \"status\": 409,
  \"detail\": \"a task that is completed cannot become failed; allowed: pending\",
  \"code\": \"illegal-transition\",
  \"request_id\": \"5a3c19f000000012\",
  \"allowed\": [\"pending\"]
}
```

- `code` is for programs. It is never renamed.
- `detail` is for people and may change.
- `type` is a path on the same server; it shows this page's line about the code.
- `request_id` is also in the header `X-Request-Id`, and in the log line when the server is at fault.
- `errors` lists fields at fault: `pointer` (JSON pointer into the body, `?name` for a query parameter, `/task_id`, `/worker` or `/queue` for what a path names), `code`, `message`.
- `task_id` is the other task in a conflict; `allowed` lists the statuses that could be set instead.

What a status says about repeating the same request:

| Status | What happened | Repeat it? |
|---|---|---|
| 4xx but 429 | it was refused, nothing was done | only after a change |
| 429, 503 but `outcome-unknown` | nothing was done | yes, after `Retry-After` seconds |
| 500 | a fault of the server; as a rule nothing was done | read first |
| 503 `outcome-unknown` | it was done whole, or not at all | read first |

A connection that breaks before the answer leaves the outcome open too: read first.

## Every code

| `code` | Status | Title | Meaning |
|---|---|---|---|
";

/// `docs/errors.md`.
pub fn errors_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (code, status, title, meaning) in CODES {
        let (status, meaning) = (status.as_u16(), meaning.replace('|', "\\|"));
        // Writing to a string cannot fail.
        writeln!(page, "| `{code}` | {status} | {title} | {meaning} |").expect("a string");
    }
    page
}

/// `/errors` and `/errors/{code}`; an unknown code is 404.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/errors", get(list)).route("/errors/{code}", get(explain))
}

async fn list() -> Response {
    let mut rows = String::new();
    for (code, status, title, _) in CODES {
        let status = status.as_u16();
        writeln!(rows, "<li><a href=\"/errors/{code}\">{code}</a> ({status}): {title}</li>")
            .expect("a string");
    }
    page("Errors", &format!("<h1>Errors</h1>\n<ul>\n{rows}</ul>"))
}

async fn explain(Path(code): Path<String>) -> Response {
    let Some((code, status, title, meaning)) = CODES.iter().find(|row| row.0 == code) else {
        return Problem::new("not-found", "there is no such error code; /errors lists all of them")
            .into_response();
    };
    let body = format!(
        "<h1>{title}</h1>\n<p>Code <code>{code}</code>, HTTP status {}.</p>\n<p>{}</p>\n\
         <p><a href=\"/errors\">All error codes</a></p>",
        status.as_u16(),
        html(meaning)
    );
    page(title, &body)
}

fn page(title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} - TaskFlow</title>\n\
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; \
         padding: 0 1rem }} :root {{ color-scheme: light dark }}</style>\n{body}\n</html>\n"
    );
    let mut response = Html(text).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    );
    response
}

/// The text of a meaning as HTML: what stands in back-quotes is code.
fn html(meaning: &str) -> String {
    let mut out = String::new();
    for (i, part) in meaning.split('`').enumerate() {
        if i > 0 {
            out.push_str(if i % 2 == 1 { "<code>" } else { "</code>" });
        }
        for c in part.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                c => out.push(c),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
