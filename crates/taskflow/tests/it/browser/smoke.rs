//! The start page of the real program.

use super::page::Page;
use crate::server::Server;

#[tokio::test]
async fn the_start_page_has_a_heading_and_nothing_to_complain_about() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let page = Page::of(&server.url).await;
    page.open("/").await;
    assert!(!page.text("h1").await.is_empty());
    page.assert_no_complaints().await;
}
