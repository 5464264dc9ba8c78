//! `taskflow openapi`: prints the OpenAPI document; `openapi.json` in the project is its output.

use taskflow_api::{ApiOptions, Cors};

/// Prints the document. Fails when standard output takes nothing.
pub fn run() -> anyhow::Result<()> {
    Ok(super::print(format!("{}\n", document()?).as_bytes())?)
}

/// The document with the default title and version.
pub fn document() -> anyhow::Result<String> {
    let options = ApiOptions {
        title: "TaskFlow API".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        key: None,
        cors: Cors::Only(Vec::new()),
        public: false,
        request_seed: 0,
    };
    Ok(String::from_utf8(taskflow_api::document_of(&options).to_vec())?)
}
