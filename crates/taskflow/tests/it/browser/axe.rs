//! axe-core looks at a page for what keeps people from using it. `scripts/test` fetches it.

use std::path::PathBuf;

use serde_json::Value;

use super::page::{Colours, Page};
use crate::server::project;

/// Where `scripts/test` puts it, for runs without that script.
const FETCHED: &str = "target/axe/node_modules/axe-core/axe.min.js";

/// Colours that are on their way to others are not what people see.
const RUN: &str = "
    const done = arguments[arguments.length - 1];
    const moving = document.getAnimations().filter(one => one instanceof CSSTransition);
    Promise.allSettled(moving.map(one => one.finished))
        .then(() => axe.run(document, {resultTypes: ['violations']}))
        .then(found => done(found.violations), error => done(String(error)))";

impl Page {
    /// Fails when axe-core finds anything serious or critical, in light or in dark colours. A page needs a
    /// background of its own in both: axe-core takes one without for white.
    pub(crate) async fn assert_accessible(&self) {
        let mut found = Vec::new();
        for colours in [Colours::Light, Colours::Dark] {
            let before = self.colours(colours).await;
            let violations = self.violations().await;
            found.extend(violations.iter().map(|violation| format!("{colours:?}: {violation}")));
            self.colours(before).await;
        }
        let path = self.path().await;
        assert!(found.is_empty(), "{path} keeps people out:\n{}", found.join("\n"));
    }

    /// What axe-core finds as the page is now, serious and critical: rule, help, and where.
    pub(crate) async fn violations(&self) -> Vec<String> {
        if self.run("return typeof axe", &[]).await != "object" {
            self.run(&source(), &[]).await;
        }
        let found = self.client.execute_async(RUN, Vec::new()).await;
        let found = self.fine(found, "run axe-core").await;
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core failed: {found}"));
        let grave = |one: &&Value| one["impact"] == "serious" || one["impact"] == "critical";
        found.iter().filter(grave).map(readable).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by scripts/test where it is")]
fn source() -> String {
    let file = std::env::var_os("AXE_CORE").map_or_else(|| project().join(FETCHED), PathBuf::from);
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; these tests need axe-core: run scripts/test", file.display())
    })
}

fn readable(violation: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = violation["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let places = nodes.iter().map(|node| {
        format!("\n    {}  {}", node["target"], text(&node["failureSummary"]).replace('\n', " "))
    });
    let (rule, impact) = (text(&violation["id"]), text(&violation["impact"]));
    format!("{rule} ({impact}): {}{}", text(&violation["help"]), places.collect::<String>())
}
