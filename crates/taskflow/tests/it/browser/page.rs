//! What a person does with a page, as calls that wait for what they need and fail with what they saw.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use super::complaints::Seen;
use super::driver::{Driver, Extra};
use crate::server::PATIENCE;

/// How often a page is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What the person's system asks pages for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Colours {
    Light,
    Dark,
}

/// A browser with one page in it. At most two are open at a time, so a test takes one; two tests that
/// waited for a second one would wait for ever. The page starts blank, light and 1280 x 800, and what it
/// loads may come from `origin` only.
///
/// `client` does what has no helper here.
pub(crate) struct Page {
    pub(crate) client: Client,
    pub(super) origin: String,
    pub(super) seen: RefCell<Seen>,
    colours: Cell<Colours>,
    still: Cell<bool>,
    pub(super) driver: Driver,
}

impl Page {
    /// A new browser for the server at this address (`http://127.0.0.1:port`).
    pub(crate) async fn of(origin: &str) -> Self {
        let driver = Driver::start().await;
        let client = driver.session().await;
        let (colours, still) = (Cell::new(Colours::Light), Cell::new(false));
        let (origin, seen) = (origin.to_owned(), RefCell::default());
        let page = Self { client, origin, seen, colours, still, driver };
        // The browser's own first page, and all that it loaded, is none of the test's business.
        let blank = page.client.goto("about:blank").await;
        page.fine(blank, "open a blank page").await;
        page.requests().await;
        page.seen.take();
        page.resize(1280, 800).await;
        page.colours(Colours::Light).await;
        page
    }

    /// Goes to a path of the server and waits until the page is loaded.
    pub(crate) async fn open(&self, path: &str) {
        let opened = self.client.goto(&format!("{}{path}", self.origin)).await;
        self.fine(opened, &format!("open {path}")).await;
    }

    /// Where the page is: its path with its query.
    pub(crate) async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.origin).unwrap_or(url.as_str()).to_owned()
    }

    /// Waits until this is so; otherwise fails with `never {what}` and what the page shows.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let begin = Instant::now();
        while !condition().await {
            if begin.elapsed() > PATIENCE {
                self.fail(&format!("never {what}")).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the first of these elements shows exactly this text.
    pub(crate) async fn until_text(&self, css: &str, text: &str) {
        let reads = async || self.texts(css).await.first().is_some_and(|first| first == text);
        self.until(&format!("{css} with the text {text:?}"), reads).await;
    }

    /// Waits until the page is at this path, query included.
    pub(crate) async fn until_path(&self, path: &str) {
        self.until(&format!("at {path}"), async || self.path().await == path).await;
    }

    /// The first of these elements, as soon as there is one.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.doing(&format!("find {css}"), async || self.client.find(Locator::Css(css)).await).await
    }

    /// The texts of all these elements as they are shown, at one instant; none is fine.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())";
        serde_json::from_value(self.run(script, &[json!(css)]).await).unwrap()
    }

    /// The text of the first of these elements, as soon as there is one.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await;
        let texts = self.texts(css).await;
        texts.into_iter().next().unwrap_or_else(|| panic!("{css} went away"))
    }

    /// How many of these elements can be seen.
    pub(crate) async fn shown(&self, css: &str) -> usize {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .filter(e => e.checkVisibility({visibilityProperty: true})).length";
        self.run(script, &[json!(css)]).await.as_u64().unwrap().try_into().unwrap()
    }

    /// An attribute of the first of these elements, as soon as there is one.
    pub(crate) async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.doing(&format!("read {name} of {css}"), async || {
            self.client.find(Locator::Css(css)).await?.attr(name).await
        })
        .await
    }

    /// What stands in the first of these fields.
    pub(crate) async fn value(&self, css: &str) -> String {
        let read = async || self.client.find(Locator::Css(css)).await?.prop("value").await;
        self.doing(&format!("read {css}"), read).await.unwrap_or_default()
    }

    /// Clicks the first of these elements, as soon as it is there, seen and not covered. When that opens
    /// another page, it is loaded afterwards.
    pub(crate) async fn click(&self, css: &str) {
        let click = async || self.client.find(Locator::Css(css)).await?.click().await;
        self.doing(&format!("click {css}"), click).await;
    }

    /// Types this into a field, in place of what stands there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.doing(&format!("fill {css}"), async || {
            let field = self.client.find(Locator::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        })
        .await;
    }

    /// Chooses the option with this label in a list.
    pub(crate) async fn choose(&self, css: &str, label: &str) {
        self.doing(&format!("choose {label:?} in {css}"), async || {
            self.client.find(Locator::Css(css)).await?.select_by_label(label).await
        })
        .await;
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: Key) {
        let press = async || self.client.active_element().await?.send_keys(&key).await;
        self.doing(&format!("press {key:?}"), press).await;
    }

    /// Runs a script that no policy of the page keeps from running; `arguments` are its own name for them.
    pub(crate) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let answer = self.client.execute(script, arguments.to_vec()).await;
        self.fine(answer, &format!("run {script:.200}")).await
    }

    /// Makes the page this large, in CSS pixels; smaller than a window can be, too.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The colours that the page is asked for; answers those before.
    pub(crate) async fn colours(&self, colours: Colours) -> Colours {
        let before = self.colours.replace(colours);
        self.tell_media().await;
        before
    }

    /// Whether the page is asked to move less.
    pub(crate) async fn still(&self, still: bool) {
        self.still.set(still);
        self.tell_media().await;
    }

    async fn tell_media(&self) {
        let colours = if self.colours.get() == Colours::Dark { "dark" } else { "light" };
        let motion = if self.still.get() { "reduce" } else { "no-preference" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": colours},
            {"name": "prefers-reduced-motion", "value": motion},
        ]);
        self.tell("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Whether pages that are opened from now on may run scripts. The helpers here work without, too.
    pub(crate) async fn scripts(&self, on: bool) {
        self.tell("Emulation.setScriptExecutionDisabled", json!({"value": !on})).await;
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn tell(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let answer = self.client.issue_cmd(Extra { path: "goog/cdp/execute", body }).await;
        self.fine(answer, command).await
    }

    /// Writes what can be seen of the page to a file, as PNG.
    pub(crate) async fn screenshot(&self, file: &Path) {
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Tries until it works: elements come, move, are replaced and are covered while a page lives.
    async fn doing<T>(&self, what: &str, act: impl AsyncFn() -> Result<T, CmdError>) -> T {
        let begin = Instant::now();
        loop {
            match act().await {
                Ok(done) => return done,
                Err(error) if begin.elapsed() > PATIENCE || !passes(&error) => {
                    self.fail(&format!("cannot {what}: {error}")).await;
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub(super) async fn fine<T>(&self, answer: Result<T, CmdError>, what: &str) -> T {
        match answer {
            Ok(answer) => answer,
            Err(error) => self.fail(&format!("cannot {what}: {error}")).await,
        }
    }

    /// Fails with what the page shows; a picture of it is kept.
    pub(super) async fn fail(&self, why: &str) -> ! {
        let at = self.client.current_url().await.map(String::from).unwrap_or_default();
        let script = "return document.body ? document.body.innerText.slice(0, 4000) : ''";
        let text = self.client.execute(script, Vec::new()).await.unwrap_or_default();
        let complaints = self.complaints().await;
        let mut kept = String::new();
        if let Ok(picture) = self.client.screenshot().await {
            let file = picture_of_failure();
            std::fs::write(&file, picture).unwrap();
            kept = format!("a picture is in {}\n", file.display());
        }
        let text = text.as_str().unwrap_or_default();
        panic!("{why}\nat {at}\ncomplaints: {complaints:#?}\n{kept}the page:\n{text}");
    }
}

/// Whether it may work in a moment.
fn passes(error: &CmdError) -> bool {
    let CmdError::Standard(error) = error else { return false };
    let passing = [
        "no such element",
        "stale element reference",
        "element not interactable",
        "element click intercepted",
        "invalid element state",
    ];
    passing.contains(&&*error.error())
}

/// In the folder that Cargo has for what tests leave, by the name of the test.
fn picture_of_failure() -> PathBuf {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("page").replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"))
}
