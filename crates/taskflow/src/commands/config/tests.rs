//! What `taskflow config` shows.

use super::{render_json, render_table};
use crate::config::{Config, Sources};

fn config() -> Config {
    let sources = Sources::default()
        .dotenv("API_KEY=hunter2\n")
        .env("DATABASE_URL", "postgresql://u:hunter2@h/d")
        .flag("PORT", "9000");
    Config::load(sources).unwrap()
}

#[test]
fn the_table_shows_value_and_source_and_no_secret() {
    let table = render_table(&config());
    let row = |name: &str| -> Vec<&str> {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    };
    assert_eq!(row("PORT"), ["PORT", "9000", "command line"]);
    assert_eq!(row("API_KEY"), ["API_KEY", "********", ".env"]);
    assert_eq!(row("HOST"), ["HOST", "127.0.0.1", "default"]);
    assert_eq!(row("WORKER_NAME"), ["WORKER_NAME", "(not set)", "default"]);
    assert_eq!(row("DATABASE_URL"), ["DATABASE_URL", "postgresql://u:********@h/d", "environment"]);
    assert!(table.contains("\nwarning: API_KEY is shorter"), "{table}");
    assert!(!table.contains("hunter2"), "{table}");
}

#[test]
fn json_holds_the_same_for_machines() {
    let text = render_json(&config()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let port = json["settings"].as_array().unwrap().iter().find(|s| s["name"] == "PORT").unwrap();
    assert_eq!(port["value"], "9000");
    assert_eq!(port["source"], "command line");
    assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
}
