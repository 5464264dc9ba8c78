//! Every page as it is read: with its heading, for everybody, in light and dark, on a desk and on a telephone.

use super::page::Page;
use super::scene::Scene;
use crate::server::Server;

/// The width of a telephone, in CSS pixels.
const TELEPHONE: u32 = 390;

/// A page with this heading that keeps nobody out and fits its window.
pub(super) async fn assert_sound(page: &Page, path: &str, heading: &str) {
    page.open(path).await;
    assert_eq!(page.texts("h1").await, [heading], "{path}");
    assert!(!page.run("return document.title", &[]).await.as_str().unwrap().is_empty(), "{path}");
    page.resize(TELEPHONE, 800).await;
    page.assert_fits().await;
    // Colours are the same in all widths.
    assert_eq!(page.violations().await, Vec::<String>::new(), "{path} on a telephone");
    page.resize(1280, 800).await;
    page.assert_fits().await;
    page.assert_accessible().await;
}

#[tokio::test]
async fn every_page_of_tasks_is_sound_in_all_colours_and_widths() {
    let scene = Scene::set().await;
    let Scene { server, completed, failed, running, waiting, manual } = &scene;
    let page = Page::of(&server.url).await;
    for (path, heading) in [
        ("/tasks".to_owned(), "Tasks".to_owned()),
        ("/tasks?status=cancelled&tag=none".to_owned(), "Tasks".to_owned()),
        (format!("/tasks/{completed}"), format!("#{completed} Resize a picture")),
        (format!("/tasks/{failed}"), format!("#{failed} Resize a picture that is not there")),
        (format!("/tasks/{running}"), format!("#{running} Import the books")),
        (format!("/tasks/{waiting}"), format!("#{waiting} Write to everybody")),
        (format!("/tasks/{manual}"), format!("#{manual} Sign the papers")),
        ("/tasks/new".to_owned(), "New task".to_owned()),
        (format!("/tasks/new?from={waiting}"), "New task".to_owned()),
        (format!("/tasks/{waiting}/edit"), "Edit".to_owned()),
        (format!("/tasks/{failed}/edit"), "Edit and retry".to_owned()),
    ] {
        assert_sound(&page, &path, &heading).await;
    }
    page.assert_no_complaints().await;
    // A form that was filled in wrongly, with its fault beside the field.
    assert_sound(&page, "/tasks?created_after=yesterday", "Tasks").await;
    assert_eq!(page.texts(".fault").await.len(), 1);
    page.assert_no_complaints_but(&["422"]).await;
}

#[tokio::test]
async fn every_other_page_is_sound_in_all_colours_and_widths() {
    let scene = Scene::set().await;
    let page = Page::of(&scene.server.url).await;
    page.open("/failed").await;
    let group = page.attribute("#failed td.acts a", "href").await.unwrap();
    for (path, heading) in [
        ("/", "Overview"),
        ("/?span=day", "Overview"),
        ("/tasks/many?do=cancel", "Cancel tasks"),
        ("/tasks/many?do=delete&queue=mail&status=pending", "Delete tasks"),
        ("/queues", "Queues"),
        ("/queues/mail", "mail"),
        ("/workers", "Workers"),
        ("/workers/test", "test"),
        ("/failed", "Failed"),
        (&group, "Redrive a group"),
    ] {
        assert_sound(&page, path, heading).await;
    }
    page.assert_no_complaints().await;
    assert_sound(&page, "/tasks/987654321", "Not found").await;
    page.assert_no_complaints_but(&["404"]).await;
}

#[tokio::test]
async fn an_empty_database_is_sound_too() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let page = Page::of(&server.url).await;
    for (path, heading) in [
        ("/", "Overview"),
        ("/tasks", "Tasks"),
        ("/queues", "Queues"),
        ("/workers", "Workers"),
        ("/failed", "Failed"),
        ("/tasks/many?do=retry", "Retry tasks"),
    ] {
        assert_sound(&page, path, heading).await;
    }
    assert!(page.text("#main").await.contains("no task"), "nothing to retry is told");
    page.assert_no_complaints().await;
}
