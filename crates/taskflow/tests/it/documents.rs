//! What the documents say of the project is so: files that they name and links that they make exist,
//! and ARCHITECTURE.md leaves out no crate and no folder. Whether they say enough is for readers.

use std::collections::BTreeSet;
use std::path::Path;

use taskflow::config::settings::Setting;

use crate::server::project;
use crate::tidy::{File, crates, files};

fn documents() -> Vec<File> {
    let mut documents = files("");
    documents.retain(|file| file.name.ends_with(".md"));
    documents
}

fn document(name: &str) -> String {
    std::fs::read_to_string(project().join(name))
        .unwrap_or_else(|error| panic!("{name} cannot be read ({error}); it must be there"))
}

/// The text without fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// What stands between single backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target)).collect()
}

/// A heading's anchor, as forges make it.
fn anchor(heading: &str) -> String {
    let kept =
        heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for file in documents() {
        for link in links(&prose(&file.text)).into_iter().filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&file.name).parent().unwrap();
            let name = if path.is_empty() { file.name.clone() } else { joined(folder, path) };
            let target = project().join(&name);
            assert!(target.exists(), "{}: the link {link} leads nowhere", file.name);
            if !fragment.is_empty() {
                let there = anchors(&document(&name)).contains(fragment);
                assert!(there, "{}: {name} has no heading for #{fragment}", file.name);
            }
        }
    }
}

fn joined(folder: &Path, path: &str) -> String {
    folder.join(path).to_str().unwrap().to_owned()
}

#[test]
fn the_readme_links_to_the_documents_that_a_user_needs() {
    let readme = document("README.md");
    let links = links(&readme);
    let needed = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"];
    let docs = ["docs/README.md", "docs/configuration.md", "docs/handlers.md"];
    for name in needed.into_iter().chain(docs) {
        assert!(links.contains(&name), "README.md does not link to {name}");
    }
}

#[test]
fn the_readmes_settings_are_settings() {
    let readme = document("README.md");
    let is_one = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_uppercase())
    };
    let prose = prose(&readme);
    let settings: BTreeSet<&str> = quoted(&prose).filter(is_one).collect();
    assert!(settings.len() > 5, "{settings:?}");
    for name in settings {
        assert!(Setting::find(name).is_some(), "README.md names {name}, which is no setting");
    }
}

#[test]
fn architecture_names_every_crate_and_every_folder() {
    let architecture = document("ARCHITECTURE.md");
    assert!(architecture.lines().count() <= 300, "ARCHITECTURE.md has more than 300 lines");
    for name in crates() {
        let named = architecture.contains(&format!("`crates/{name}`"));
        assert!(named, "ARCHITECTURE.md does not tell of `crates/{name}`");
    }
    for entry in std::fs::read_dir(project()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !matches!(&*name, "target" | ".git" | ".github") {
            let named =
                quoted(&prose(&architecture)).any(|word| word.starts_with(&format!("{name}/")));
            assert!(named, "ARCHITECTURE.md does not tell of `{name}/`");
        }
    }
}

#[test]
fn what_architecture_names_exists() {
    let architecture = document("ARCHITECTURE.md");
    let text = prose(&architecture);
    for word in quoted(&text).filter(|word| word.starts_with("crates/")) {
        assert!(project().join(word).exists(), "ARCHITECTURE.md names {word}, which is not there");
    }
    // In the section of a crate, paths start at the crate.
    for section in text.split("\n### ").skip(1) {
        let Some(name) = quoted(section).next().filter(|name| name.starts_with("crates/")) else {
            continue;
        };
        let section = section.split("\n## ").next().unwrap_or(section);
        for word in quoted(section) {
            let begins = ["src/", "tests/", "examples/", "migrations/", "static/"];
            if begins.iter().any(|begin| word.starts_with(begin)) {
                let path = project().join(name).join(word);
                assert!(
                    path.exists(),
                    "ARCHITECTURE.md names {word} in {name}, which is not there"
                );
            }
        }
    }
}
