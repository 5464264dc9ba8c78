//! What forms and addresses of pages say: names with texts. An empty text says nothing, as browsers send every field
//! of a form. What the texts mean is the pages' business.

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use taskflow_core::Fault;
use taskflow_core::limits::FAULTS_MAX;

use crate::extract::body::{BODY_BYTES_MAX, receive};
use crate::extract::query::decode;
use crate::problem::{Problem, of_status};

/// The largest form: a payload, every byte of it percent-encoded.
const FORM_BYTES_MAX: usize = 3 * BODY_BYTES_MAX;
/// The largest form that is read of somebody who is not signed in, in bytes.
const SMALL_BYTES_MAX: usize = 8 * 1024;
/// No form has so many fields: what is sent with more is none of ours.
const FIELDS_MAX: usize = 100;

/// Fields in the order in which they were given.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first text of this name that says anything.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(given, _)| given == name);
        named.find_map(|(_, text)| Some(text.as_str()).filter(|text| !text.is_empty()))
    }

    /// The same without spaces around it.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The text of this name, also an empty one, with the line ends that were typed: forms send two
    /// characters for each.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let given = self.0.iter().find(|(given, _)| given == name);
        given.map(|(_, text)| text.replace("\r\n", "\n"))
    }

    /// A fault for every name that is not among these: a filter that was misspelt would take all tasks.
    pub(super) fn strange(&self, known: &[&str]) -> Vec<Fault> {
        let strange = self.0.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let fault = |(name, _): &(String, String)| {
            let message = format!("{name:?} is not known here; known are {}", known.join(", "));
            Fault::new("", "unknown-field", message)
        };
        strange.take(FAULTS_MAX).map(fault).collect()
    }

    /// The version that a form was shown of; none where the form holds none.
    ///
    /// # Errors
    ///
    /// What is no version: passed over it would let an edit through that was made of another one.
    pub(super) fn version(&self) -> Result<Option<u64>, Problem> {
        let parsed = self.word("version").map(str::parse).transpose();
        parsed.map_err(|_| Problem::field("/version", "type", "must be a whole number"))
    }

    /// Whether a box is ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A query of these names, as far as they say anything.
    pub(super) fn query(&self, names: &[&str]) -> String {
        let given = names.iter().filter_map(|name| Some((*name, self.word(name)?)));
        query(given)
    }
}

/// A query of names and texts, without `?`.
pub(super) fn query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let one = |(name, text): (&str, &str)| format!("{name}={}", encoded(text));
    pairs.map(one).collect::<Vec<_>>().join("&")
}

/// A text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The fields of an address.
pub(super) struct Asked(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        decode(parts.uri.query().unwrap_or("")).map(Fields).map(Self)
    }
}

/// The fields of a form that was sent.
pub(super) struct Sent(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, FORM_BYTES_MAX).await.map(Self)
    }
}

/// The fields of a small form.
pub(super) struct SentSmall(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for SentSmall {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, SMALL_BYTES_MAX).await.map(Self)
    }
}

async fn read(request: Request, bytes_max: usize) -> Result<Fields, Problem> {
    let empty = http_body::Body::is_end_stream(request.body());
    if !empty && !is_form(request.headers()) {
        return Err(of_status(http::StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let bytes = receive(request, bytes_max).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Problem::new("bad-request", "the form is not UTF-8"))?;
    if text.bytes().filter(|byte| *byte == b'&').count() >= FIELDS_MAX {
        return Err(Problem::new("bad-request", "the form has more than 100 fields"));
    }
    decode(text).map(Fields)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
