//! `If-Match` (RFC 9110, section 13.1.1): guards edits by the version that the ETag shows.

use aide::operation::OperationInput;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::IF_MATCH;
use http::request::Parts;

use super::header;
use crate::problem::Problem;

/// The version that an edit insists on; none for `*` and when the header is missing.
pub(crate) struct IfMatch(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        version(&parts.headers).map(Self)
    }
}

impl OperationInput for IfMatch {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        let about = "Only when the task still has this ETag; `*` for any.";
        let schema = schemars::json_schema!({
            "type": "string",
            "pattern": r#"^(\*|"[0-9]{1,19}")$"#
        });
        header::optional(context, operation, ("If-Match", about), schema);
    }
}

fn version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if value == "*" && values.next().is_none() {
        return Ok(None);
    }
    let digits = value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|digits| digits.parse().ok()), values.next()) {
        (Some(version), None) => Ok(Some(version)),
        _ => Err(Problem::new(
            "invalid-if-match",
            "If-Match must be * or one ETag in double quotes, for example \"3\"",
        )),
    }
}
