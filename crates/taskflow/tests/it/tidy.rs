//! What must never happen in the source: an arrow that points up, a dependency beyond its fence, a
//! file that does not say what it is for, a migration that changed. It reads files only; what the
//! documents say is in `documents.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::server::project;

/// Which of our crates each one may depend on, and which ones besides in its tests.
const ARROWS: [(&str, &[&str], &[&str]); 9] = [
    ("core", &[], &[]),
    ("store", &["core"], &[]),
    ("sqlite", &["store", "core"], &[]),
    ("postgres", &["store", "core"], &[]),
    ("service", &["store", "core"], &["sqlite"]),
    ("notify", &["service", "core"], &[]),
    ("api", &["service", "core"], &["sqlite"]),
    ("torture", &[], &[]),
    ("", &["api", "notify", "service", "sqlite", "postgres", "store", "core"], &["torture"]),
];

/// Dependencies that only some crates may have ("" is the program), tests included.
const FENCES: [(&[&str], &[&str]); 9] = [
    // The program passes on a router that it does not look into.
    (&["axum"], &["api", ""]),
    (&["aide", "hyper", "tower", "tower-http"], &["api"]),
    // The program drives a browser in tests only.
    (&["hyper-util"], &["api", ""]),
    (&["fantoccini"], &[""]),
    (&["rusqlite", "rusqlite_migration"], &["sqlite"]),
    // The program speaks to PostgreSQL in tests only.
    (&["tokio-postgres", "deadpool-postgres", "refinery"], &["postgres", ""]),
    (&["clap", "clap_complete"], &["", "torture"]),
    (&["reqwest"], &["notify", "", "torture"]),
    (&["anyhow"], &["", "torture"]),
];

/// The law is pure: nothing that waits, rolls dice or logs.
const NOT_IN_CORE: [&str; 6] =
    ["async-trait", "futures-util", "parking_lot", "rand", "tokio", "tracing"];

/// Names that say nothing.
const NOT_A_NAME: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// A file of the project.
pub(crate) struct File {
    /// From the root of the project, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Every text file below `folder` of the project, in order; what builds leave behind is none.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let root = project();
    let mut files = Vec::new();
    walk(&root, &root.join(folder), &mut files);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        if matches!(&*name, "target" | ".git" | ".env") || name.contains("__pycache__") {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            files.push(File { name, text });
        }
    }
}

fn rust_files() -> Vec<File> {
    let mut files = files("crates");
    files.retain(|file| file.name.ends_with(".rs"));
    assert!(files.len() > 100, "only {} source files were found", files.len());
    files
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs")
}

/// `taskflow-api` is "api", `taskflow` is "".
fn short(name: &str) -> Option<&str> {
    name.strip_prefix("taskflow").map(|rest| rest.trim_start_matches('-'))
}

pub(crate) fn crates() -> Vec<String> {
    let entries = std::fs::read_dir(project().join("crates")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A manifest's dependencies in sections of this name, those of single targets included.
fn dependencies(name: &str, section: &str) -> Vec<String> {
    fn of(table: &Table, section: &str, found: &mut Vec<String>) {
        if let Some(Value::Table(dependencies)) = table.get(section) {
            for (key, rule) in dependencies {
                let package = rule.get("package").and_then(Value::as_str);
                found.push(package.unwrap_or(key).to_owned());
            }
        }
        if let Some(Value::Table(targets)) = table.get("target") {
            for target in targets.values().filter_map(Value::as_table) {
                of(target, section, found);
            }
        }
    }
    let path: PathBuf = project().join("crates").join(name).join("Cargo.toml");
    let manifest: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some(name), "a crate's folder is its name");
    let mut found = Vec::new();
    of(&manifest, section, &mut found);
    found
}

#[test]
fn our_crates_depend_on_each_other_only_downwards() {
    let names = crates();
    for name in &names {
        let arrows = ARROWS.iter().find(|(from, ..)| Some(*from) == short(name));
        let (_, always, in_tests) =
            arrows.unwrap_or_else(|| panic!("{name} is new: give it its arrows in tidy.rs"));
        for (section, allowed) in [
            ("dependencies", always.to_vec()),
            ("build-dependencies", Vec::new()),
            ("dev-dependencies", [*always, *in_tests].concat()),
        ] {
            for dependency in dependencies(name, section) {
                // A crate may ask its own tests for another feature of what it depends on.
                let fine = short(&dependency).is_none_or(|to| allowed.contains(&to));
                assert!(fine, "{name} must not have {dependency} in [{section}]");
            }
        }
    }
    for (from, ..) in ARROWS {
        assert!(names.iter().any(|name| short(name) == Some(from)), "there is no crate {from:?}");
    }
}

#[test]
fn heavy_dependencies_stay_behind_their_fences() {
    for name in crates() {
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        let all = sections.iter().flat_map(|section| dependencies(&name, section));
        for dependency in all.collect::<BTreeSet<String>>() {
            for (fenced, allowed) in FENCES {
                let fine = !fenced.contains(&&*dependency)
                    || short(&name).is_some_and(|short| allowed.contains(&short));
                assert!(fine, "{name} must not depend on {dependency}");
            }
            let pure = name != "taskflow-core" || !NOT_IN_CORE.contains(&&*dependency);
            assert!(pure, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_program_uses_nothing_of_axum_but_the_router() {
    for file in rust_files().iter().filter(|file| file.name.starts_with("crates/taskflow/src/")) {
        let other = file.text.replace("axum::Router", "");
        assert!(!other.contains("axum::"), "{} looks into axum", file.name);
    }
}

#[test]
fn only_the_composition_root_names_a_store() {
    for file in rust_files().iter().filter(|file| !is_test(&file.name)) {
        let root = file.name == "crates/taskflow/src/wire.rs";
        let stores = ["sqlite", "postgres"];
        let inside = |store| file.name.starts_with(&format!("crates/taskflow-{store}/"));
        let inside = stores.iter().any(inside);
        let named = stores.iter().any(|store| file.text.contains(&format!("taskflow_{store}")));
        assert!(root || inside || !named, "{} names a store; only wire.rs may", file.name);
    }
}

#[test]
fn only_the_configuration_reads_the_environment() {
    for file in rust_files().iter().filter(|file| file.name.contains("/src/")) {
        let allowed = file.name.starts_with("crates/taskflow/src/config/") || is_test(&file.name);
        let reads = ["env::var", "env::set_var", "env::remove_var"];
        let read = reads.iter().find(|read| file.text.contains(*read));
        assert!(allowed || read.is_none(), "{} has {read:?}; only config may", file.name);
    }
}

#[test]
fn every_source_file_begins_with_what_it_is_for() {
    for file in rust_files() {
        let first = file.text.lines().next().unwrap_or("");
        let says = first.strip_prefix("//! ").is_some_and(|text| text.len() > 10);
        assert!(says, "{} must begin with //! and what it is for, not with {first:?}", file.name);
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for file in files("crates") {
        for word in file.name.split('/').map(|part| part.split('.').next().unwrap_or(part)) {
            assert!(!NOT_A_NAME.contains(&word), "{}: call it by what it does", file.name);
        }
    }
}

/// Databases in the field have run them. A new one is added at the end, with its line in the list:
/// `sha256sum crates/*/migrations/*.sql > crates/taskflow/tests/it/migrations.sha256`.
#[test]
fn migrations_are_never_changed_only_added() {
    let list = include_str!("migrations.sha256");
    let listed: Vec<(&str, &str)> =
        list.lines().map(|line| line.split_once("  ").expect("lines of `sha256sum`")).collect();
    let sql: Vec<File> =
        files("crates").into_iter().filter(|file| file.name.contains("/migrations/")).collect();
    for (hash, name) in &listed {
        let file = sql.iter().find(|file| file.name == *name);
        let file = file.unwrap_or_else(|| panic!("{name} is gone; databases were made with it"));
        let now: String =
            Sha256::digest(&file.text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(now == *hash, "{name} was changed; add a new migration instead");
    }
    let mut number = 0;
    let mut folder = "";
    for file in &sql {
        let listed = listed.iter().any(|(_, name)| *name == file.name);
        assert!(listed, "{} is not in migrations.sha256; tidy.rs says how to add it", file.name);
        let (of, name) = file.name.rsplit_once('/').unwrap();
        number = if of == folder { number + 1 } else { 1 };
        folder = of;
        let fits = name.starts_with(&format!("{number:04}_"));
        assert!(fits, "{}: numbers must follow each other", file.name);
    }
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    // Put together here, so that this file holds none of them.
    let traces =
        [("/wo", "rk/"), ("/ro", "ot/"), ("../sha", "red")].map(|(a, b)| format!("{a}{b}"));
    for file in files("") {
        for trace in &traces {
            assert!(!file.text.contains(trace), "{} holds {trace}", file.name);
        }
    }
}
