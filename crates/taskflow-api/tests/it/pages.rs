//! The pages for people: HTML that loads nothing from another host.

use taskflow_api::ApiOptions;
use taskflow_api::problem::CODES;

use crate::app::{TestApp, options};

#[tokio::test]
async fn pages_are_html_and_load_nothing_from_elsewhere() {
    let app = TestApp::new();
    for path in ["/", "/docs", "/redoc"] {
        let page = app.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(page.text.trim_start().to_lowercase().starts_with("<!doctype html>"), "{path}");
        let text = page.text.replace('\'', "\"").to_lowercase();
        let loads = [
            "src=\"http",
            "src=\"//",
            "href=\"http",
            "href=\"//",
            "@import",
            "url(http",
            "url(\"http",
            "url(//",
        ];
        for load in loads {
            assert!(!text.contains(load), "{path} has {load}");
        }
    }
}

#[tokio::test]
async fn browsers_are_told_to_load_nothing_from_elsewhere() {
    // Scripts may build addresses where no search finds them.
    let app = TestApp::new();
    for path in ["/", "/docs", "/redoc"] {
        let page = app.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src "), "{path}: {policy:?}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy:?}");
        for source in policy.split([' ', ';']) {
            let inside = !source.contains('.') && !source.contains('*');
            assert!(inside && !source.starts_with("http"), "{path}: {policy:?}");
        }
    }
}

#[tokio::test]
async fn both_documentations_read_the_document_of_this_server() {
    let app = TestApp::new();
    for path in ["/docs", "/redoc"] {
        assert!(app.get(path).await.text.contains("/openapi.json"), "{path}");
    }
}

#[tokio::test]
async fn the_title_is_shown_as_text() {
    let app = TestApp::with(ApiOptions { title: "R&D <script>x</script>".into(), ..options() });
    for path in ["/docs", "/redoc"] {
        let page = app.get(path).await.text;
        let title = "<title>R&amp;D &lt;script&gt;x&lt;/script&gt;</title>";
        assert!(page.contains(title), "{path}");
        assert!(!page.contains("<script>x</script>"), "{path}");
    }
}

#[tokio::test]
async fn every_code_has_a_page_behind_its_type() {
    let app = TestApp::new();
    for code in std::iter::once("").chain(CODES.iter().map(|row| row.0)) {
        let path = format!("/errors/{code}");
        let page = app.get(path.trim_end_matches('/')).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(page.text.contains(code), "{path}");
        assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{path}");
    }
    app.get("/errors/no-such-code").await.refused(404, "not-found");
}
