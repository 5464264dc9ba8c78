//! The two documents that are printed from the list of settings say what the list says.

use crate::config::docs::{render_docs, render_env_example};
use crate::config::settings::SETTINGS;
use crate::config::{Config, Source, Sources};

const DOCS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md"));
const ENV_EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example"));

#[test]
fn the_page_is_printed_from_the_list() {
    assert!(
        DOCS == render_docs(),
        "docs/configuration.md is out of date: `cargo run -- config --docs > docs/configuration.md`"
    );
    for setting in SETTINGS {
        assert!(DOCS.contains(&format!("\n| `{}` |", setting.name)), "{}", setting.name);
    }
}

#[test]
fn the_example_is_printed_from_the_list() {
    assert!(
        ENV_EXAMPLE == render_env_example(),
        ".env.example is out of date: `cargo run -- config --env-example > .env.example`"
    );
}

#[test]
fn the_example_with_every_line_put_in_force_is_the_defaults() {
    let file: String = ENV_EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
        .flat_map(|line| [line, "\n"])
        .collect();
    let example = Config::load(Sources::default().dotenv(&file)).unwrap();
    let defaults = Config::load(Sources::default()).unwrap();
    assert_eq!(example.api, defaults.api);
    assert_eq!(example.worker, defaults.worker);
    assert_eq!(example.warnings(), defaults.warnings());
    for (ours, theirs) in example.effective().iter().zip(defaults.effective()) {
        if ours.name != "API_VERSION" {
            assert_eq!((ours.name, &ours.value), (theirs.name, &theirs.value));
        }
        assert_eq!(ours.source, Source::DotEnv, "{} is missing", ours.name);
    }
}
