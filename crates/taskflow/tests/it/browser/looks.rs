//! What tests ask of every page: that it is the same one as before, that it fits its window, what it says.

use serde_json::{Value, json};

use super::page::Page;

/// What sticks out of a window that had to be scrolled sideways; nothing otherwise. What lies in a box with a
/// scroll bar of its own does not count.
const STICKS_OUT: &str = "
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const boxed = e => e.parentElement && (getComputedStyle(e.parentElement).overflowX !== 'visible' || boxed(e.parentElement));
    const out = [...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > width + 0.5 && !boxed(e));
    return [`${document.documentElement.scrollWidth} > ${width}`, ...out.slice(-5).map(e => e.outerHTML.slice(0, 200))]";

/// The content as it stands in the document, apart from how long ago things were, what was just lit up, and what
/// people open and close.
const CONTENT: &str = "
    const copy = document.getElementById('main').cloneNode(true);
    for (const time of copy.querySelectorAll('time[data-ago]')) time.textContent = '';
    for (const one of copy.querySelectorAll('details')) one.removeAttribute('open');
    for (const one of copy.querySelectorAll('[class]')) {
        one.classList.remove('fresh');
        if (!one.classList.length) one.removeAttribute('class');
    }
    return copy.innerHTML";

impl Page {
    /// Opens a path and marks the page, so that a reload is noticed.
    pub(crate) async fn open_marked(&self, path: &str) {
        self.open(path).await;
        self.mark().await;
    }

    /// Marks the page as it is.
    pub(crate) async fn mark(&self) {
        self.run("window.marker = 1", &[]).await;
    }

    /// Fails when the page was loaded anew since it was marked.
    pub(crate) async fn assert_marked(&self) {
        assert_eq!(self.run("return window.marker", &[]).await, 1, "the page was loaded anew");
    }

    /// Fails when the page was loaded anew since it was marked, or differs from what it is when it is loaded anew now.
    pub(crate) async fn assert_as_loaded(&self) {
        self.assert_marked().await;
        let followed = self.run(CONTENT, &[]).await;
        self.client.refresh().await.unwrap();
        assert_eq!(followed, self.run(CONTENT, &[]).await, "{}", self.path().await);
        self.mark().await;
    }

    /// Fails when the page has to be scrolled sideways.
    pub(crate) async fn assert_fits(&self) {
        let out = self.run(STICKS_OUT, &[]).await;
        assert_eq!(out, json!([]), "{} is too wide", self.path().await);
    }

    /// The texts of all these elements as they stand in the document, character by character.
    pub(crate) async fn exact_texts(&self, css: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)";
        serde_json::from_value(self.run(script, &[json!(css)]).await).unwrap()
    }

    /// Waits until at least one of these elements is there.
    pub(crate) async fn until_there(&self, css: &str) {
        self.until(css, async || !self.exact_texts(css).await.is_empty()).await;
    }

    /// Waits until none of these elements is there.
    pub(crate) async fn until_gone(&self, css: &str) {
        let none = async || self.exact_texts(css).await.is_empty();
        self.until(&format!("without {css}"), none).await;
    }

    /// A value of the element that has the focus.
    pub(crate) async fn focused(&self, name: &str) -> Value {
        self.run("return document.activeElement[arguments[0]]", &[json!(name)]).await
    }

    /// Whether the element that has the focus is one of these.
    pub(crate) async fn is_focused(&self, css: &str) -> bool {
        self.run("return document.activeElement.matches(arguments[0])", &[json!(css)]).await == true
    }
}
