//! `taskflow config`: shows the configuration in force, or prints the documents made from the list
//! of settings. It changes nothing and never shows a secret.

use super::print;

use serde::Serialize;

use crate::config::{Config, docs};

/// Prints every setting, its value (secrets masked) and where it came from, then the warnings: a
/// table, or with `json` one object.
///
/// # Errors
///
/// When standard output cannot be written; a reader that went away early is none.
pub fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    let text = if json { render_json(config)? } else { render_table(config) };
    Ok(print(text.as_bytes())?)
}

/// Prints docs/configuration.md.
///
/// # Errors
///
/// As [`run`].
pub fn run_docs() -> anyhow::Result<()> {
    Ok(print(docs::render_docs().as_bytes())?)
}

/// Prints .env.example.
///
/// # Errors
///
/// As [`run`].
pub fn run_env_example() -> anyhow::Result<()> {
    Ok(print(docs::render_env_example().as_bytes())?)
}

fn render_table(config: &Config) -> String {
    let rows = config.effective().iter().map(|setting| {
        let value = if setting.value.is_empty() { "(not set)" } else { &setting.value };
        [setting.name.to_owned(), shown(value), setting.source.to_string()]
    });
    let rows: Vec<_> =
        std::iter::once(["NAME", "VALUE", "FROM"].map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (name, value) = (width(0).unwrap_or(0), width(1).unwrap_or(0).min(60));
    let line = |[a, b, c]: &[String; 3]| format!("{a:name$}  {b:value$}  {c}\n");
    let warnings = config.warnings().iter().map(|warning| format!("\nwarning: {warning}\n"));
    rows.iter().map(line).chain(warnings).collect()
}

/// One line, whatever the value holds.
fn shown(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

#[derive(Serialize)]
struct Shown<'a> {
    settings: Vec<ShownSetting<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct ShownSetting<'a> {
    name: &'a str,
    value: &'a str,
    source: String,
}

fn render_json(config: &Config) -> anyhow::Result<String> {
    let settings = config.effective().iter().map(|setting| ShownSetting {
        name: setting.name,
        value: &setting.value,
        source: setting.source.to_string(),
    });
    let shown = Shown { settings: settings.collect(), warnings: config.warnings() };
    Ok(serde_json::to_string_pretty(&shown)? + "\n")
}

#[cfg(test)]
mod tests;
