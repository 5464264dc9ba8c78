//! The OpenAPI document: the one in the project is the one that is served, and it does not lie.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{DOCUMENT, TestApp, allowed, options};
use crate::operations::{self, described};

/// Calls `see` with every value below `value`.
fn walk<'v>(value: &'v Value, see: &mut impl FnMut(&'v Value)) {
    see(value);
    match value {
        Value::Object(object) => object.values().for_each(|v| walk(v, see)),
        Value::Array(array) => array.iter().for_each(|v| walk(v, see)),
        _ => {}
    }
}

#[test]
fn the_document_in_the_project_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let made = taskflow_api::document_of(&options());
    let made = std::str::from_utf8(&made).expect("UTF-8");
    assert!(
        kept.trim_end() == made.trim_end(),
        "openapi.json is not what the API is: run `cargo run -p taskflow -- openapi > openapi.json` \
         and look at the difference"
    );
}

#[tokio::test]
async fn the_document_that_is_served_is_the_same() {
    let answer = TestApp::new().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text.as_bytes(), &taskflow_api::document_of(&options())[..]);
}

#[test]
fn the_document_is_openapi_3_1_with_title_and_version() {
    let version = DOCUMENT["openapi"].as_str().expect("a version");
    assert!(version.starts_with("3.1."), "{version}");
    assert_eq!(DOCUMENT["info"]["title"], "TaskFlow API");
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_title_and_the_version_are_those_of_the_options() {
    let mut options = options();
    options.title = "Mine".into();
    options.version = "9.9".into();
    let document: Value =
        serde_json::from_slice(&taskflow_api::document_of(&options)).expect("JSON");
    assert_eq!(document["info"]["title"], "Mine");
    assert_eq!(document["info"]["version"], "9.9");
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_tag() {
    let mut names = BTreeSet::new();
    for (path, method, operation) in described() {
        let name = operation["operationId"].as_str().expect("an operationId");
        assert!(names.insert(name), "{name} stands twice: {method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
    }
    assert!(names.len() >= 15, "{names:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let mut count = 0;
    walk(&DOCUMENT, &mut |value| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference} leads nowhere");
        count += 1;
    });
    assert!(count > 20, "only {count} references: are they looked for rightly?");
}

#[test]
fn every_schema_is_used() {
    let mut used = BTreeSet::new();
    walk(&DOCUMENT, &mut |value| {
        used.extend(value.get("$ref").and_then(Value::as_str));
    });
    for name in DOCUMENT["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(format!("#/components/schemas/{name}").as_str()), "{name}");
    }
}

#[test]
fn every_security_scheme_that_is_asked_for_is_described() {
    let schemes = DOCUMENT["components"]["securitySchemes"].as_object().expect("schemes");
    let asked = described().into_iter().map(|(_, _, operation)| &operation["security"]);
    let mut asked: Vec<&Value> = asked.collect();
    asked.push(&DOCUMENT["security"]);
    for requirement in asked.into_iter().filter_map(Value::as_array).flatten() {
        for name in requirement.as_object().expect("an object").keys() {
            assert!(schemes.contains_key(name), "{name} is described nowhere");
        }
    }
    assert_eq!(DOCUMENT["security"], json!([{"api_key": []}, {"bearer": []}]));
}

#[test]
fn only_health_can_be_asked_without_a_key() {
    for (path, method, operation) in described() {
        let open = operation.get("security").is_some();
        assert_eq!(open, path.starts_with("/api/v1/health"), "{method} {path}");
        let refuses = operation["responses"].get("401").is_some();
        assert_eq!(refuses, !open, "{method} {path}");
    }
}

#[test]
fn every_refusal_is_a_problem_document() {
    for (path, method, operation) in described() {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let content = response.get("content").and_then(Value::as_object);
            let types: Vec<&str> =
                content.into_iter().flat_map(|c| c.keys().map(String::as_str)).collect();
            let expected = match status.as_str() {
                "204" => &[][..],
                s if s.starts_with('2') => &["application/json"],
                _ => &["application/problem+json"],
            };
            assert_eq!(types, expected, "{method} {path} {status}");
        }
    }
}

#[test]
fn every_operation_with_a_path_parameter_describes_it() {
    for (path, method, operation) in described() {
        let in_path = operation["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<&str> = in_path
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let named: BTreeSet<&str> =
            path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(described, named, "{method} {path}");
    }
}

#[tokio::test]
async fn every_operation_of_the_document_exists() {
    for operation in operations::operations() {
        let app = TestApp::new();
        app.titled("a").await;
        app.post("/api/v1/workers/w1/sync", &json!({})).await.ok(200);
        let answer = operation.call(&app, &[]).await;
        assert!(![404, 405].contains(&answer.status), "{}: {}", operation.name, answer.text);
    }
}

#[tokio::test]
async fn every_other_method_is_refused_and_told_which_ones_exist() {
    let app = TestApp::new();
    let operations = operations::operations();
    for operation in &operations {
        let path = operation.path();
        let same = operations.iter().filter(|other| other.template == operation.template);
        let mut known: Vec<String> = same.map(|other| other.method.to_ascii_lowercase()).collect();
        if known.contains(&"get".to_owned()) {
            known.push("head".into());
        }
        known.sort();
        for method in ["get", "head", "post", "put", "delete", "patch", "options", "trace"] {
            if known.contains(&method.to_owned()) {
                continue;
            }
            let answer = app.json(&method.to_uppercase(), &path, "{}").await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
            assert_eq!(allowed(&answer), known, "{method} {path}");
        }
    }
}

#[test]
fn no_field_claims_to_be_null_when_it_is_missing() {
    // Most of them refuse null.
    walk(&DOCUMENT, &mut |value| {
        assert!(value.get("default") != Some(&Value::Null), "{value}");
    });
}

/// The schema of `name` without references at its top.
fn schema(name: &str) -> &'static serde_json::Map<String, Value> {
    let schema = &DOCUMENT["components"]["schemas"][name];
    schema["properties"].as_object().unwrap_or_else(|| panic!("{name} has properties"))
}

#[tokio::test]
async fn a_task_has_exactly_the_documented_fields() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    let answered: BTreeSet<&String> = task.as_object().expect("an object").keys().collect();
    let documented: BTreeSet<&String> = schema("Task").keys().collect();
    assert_eq!(answered, documented);
}

#[tokio::test]
async fn every_documented_field_of_a_new_task_is_known() {
    let app = TestApp::new();
    for field in schema("NewTask").keys() {
        // Wrong for every field, but never unknown.
        let answer = app.post("/api/v1/tasks", &json!({"title": "", field: [[]]})).await;
        assert!(!answer.text.contains("unknown-field"), "{field}: {}", answer.text);
    }
    for field in schema("TaskUpdate").keys() {
        let answer = app.put("/api/v1/tasks/1", &json!({field: [[]]})).await;
        assert!(!answer.text.contains("unknown-field"), "{field}: {}", answer.text);
    }
}
