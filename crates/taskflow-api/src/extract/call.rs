//! What a worker says of itself in headers: its process (`Worker-Instance`) and its program
//! (`User-Agent`). Headers, because servers that know nothing of them pass over them.

use aide::operation::OperationInput;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;
use taskflow_core::Instance;
use taskflow_core::workers::{Call, kept_version};

use super::header;
use crate::problem::Problem;

/// The header that names the process.
const INSTANCE: &str = "worker-instance";

/// What the caller says of itself.
pub(crate) struct Called(pub Call);

impl<S: Send + Sync> FromRequestParts<S> for Called {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let version = agent.and_then(kept_version);
        Ok(Self(Call { instance: instance(&parts.headers)?, version }))
    }
}

fn instance(headers: &HeaderMap) -> Result<Option<Instance>, Problem> {
    let mut values = headers.get_all(INSTANCE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let at = "/Worker-Instance";
    if values.next().is_some() {
        return Err(Problem::field(at, "repeated", "may be given only once"));
    }
    match Instance::parse(value.to_str().unwrap_or("")) {
        Ok(instance) => Ok(Some(instance)),
        Err(error) => Err(Problem::field(at, "name", error.to_string())),
    }
}

impl OperationInput for Called {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        let about = "Which process of this worker's name calls: made up at its start. A drain is bound to it.";
        let schema = schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
        });
        header::optional(context, operation, ("Worker-Instance", about), schema);
    }
}
