//! The OpenAPI 3.1 document, collected from the types that parse and answer, and its two pages.
//! Both pages carry their scripts: nothing is loaded from elsewhere.

use aide::OperationOutput;
use aide::openapi::{Components, Info, OpenApi, ReferenceOr, SecurityScheme};
use aide::transform::TransformOperation;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};

use crate::problem::{Problem, ProblemBody};
use crate::state::ApiOptions;

/// Names an operation that asks for the key. Every one may answer 401, 500 and 503.
pub(crate) fn document<'t>(
    op: TransformOperation<'t>,
    id: &str,
    tag: &str,
    summary: &str,
) -> TransformOperation<'t> {
    problems(op.id(id).tag(tag).summary(summary), &[401, 500, 503])
}

/// A problem document in the description of an operation.
struct ProblemAnswer;

impl OperationOutput for ProblemAnswer {
    type Inner = Problem;

    fn operation_response(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) -> Option<aide::openapi::Response> {
        let mut response = axum::Json::<ProblemBody<'_>>::operation_response(context, operation)?;
        if let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert("application/problem+json".into(), content);
        }
        Some(response)
    }
}

/// Adds the statuses with which an operation may refuse. One that reads a body may have to wait for it in
/// vain.
pub(crate) fn problems<'t>(op: TransformOperation<'t>, statuses: &[u16]) -> TransformOperation<'t> {
    let reads = statuses.contains(&413).then_some(&408);
    statuses.iter().chain(reads).fold(op, |mut op, status| {
        let operation = op.inner_mut();
        let responses = operation.responses.get_or_insert_default();
        aide::generate::in_context(|context| {
            let Some(mut response) =
                ProblemAnswer::operation_response(context, &mut Default::default())
            else {
                return;
            };
            let text = StatusCode::from_u16(*status).ok().and_then(|s| s.canonical_reason());
            response.description = text.unwrap_or("Refused").to_owned();
            responses
                .responses
                .insert(aide::openapi::StatusCode::Code(*status), ReferenceOr::Item(response));
        });
        op
    })
}

/// The frame of the document: title, version, the two ways to send the key.
pub(crate) fn frame(options: &ApiOptions) -> OpenApi {
    let scheme = |json| serde_json::from_value::<SecurityScheme>(json).ok();
    let schemes = [
        (
            "api_key",
            scheme(serde_json::json!({"type": "apiKey", "in": "header", "name": "X-API-Key"})),
        ),
        ("bearer", scheme(serde_json::json!({"type": "http", "scheme": "bearer"}))),
    ];
    OpenApi {
        info: Info {
            title: options.title.clone(),
            version: options.version.clone(),
            description: Some(
                "A task queue that anything able to speak HTTP can use. A 2xx means: on disk."
                    .into(),
            ),
            ..Info::default()
        },
        components: Some(Components {
            security_schemes: schemes
                .into_iter()
                .filter_map(|(name, scheme)| Some((name.to_owned(), ReferenceOr::Item(scheme?))))
                .collect(),
            ..Components::default()
        }),
        security: [("api_key", Vec::new()), ("bearer", Vec::new())]
            .into_iter()
            .map(|(name, scopes): (&str, Vec<String>)| {
                [(name.to_owned(), scopes)].into_iter().collect()
            })
            .collect(),
        ..OpenApi::default()
    }
}

/// The document as text.
pub(crate) fn text(mut document: OpenApi) -> bytes::Bytes {
    for schema in document.components.iter_mut().flat_map(|c| c.schemas.values_mut()) {
        drop_null_defaults(&mut schema.json_schema);
    }
    serde_json::to_vec_pretty(&document).map_or_else(|_| bytes::Bytes::new(), Into::into)
}

/// A derived schema says that a missing field is null; most fields refuse null.
pub(crate) fn drop_null_defaults(schema: &mut Schema) {
    let drop = |schema: &mut Schema| {
        if schema.get("default").is_some_and(serde_json::Value::is_null) {
            schema.remove("default");
        }
    };
    RecursiveTransform(drop).transform(schema);
}

/// `/openapi.json`.
pub(crate) fn json(text: &bytes::Bytes) -> Response {
    let mut response = text.clone().into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `/docs`: Swagger UI.
pub(crate) fn swagger(title: &str) -> Response {
    page(aide::swagger::Swagger::new("/openapi.json").with_title(&escaped(title)).html())
}

/// `/redoc`: ReDoc.
pub(crate) fn redoc(title: &str) -> Response {
    page(aide::redoc::Redoc::new("/openapi.json").with_title(&escaped(title)).html())
}

/// ReDoc would fetch a logo and Swagger UI a badge from their makers: browsers are told not to.
fn page(html: String) -> Response {
    let mut response = Html(html).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    response
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
