//! How the service calls itself. Not what the API does: that is the API's own.

use super::reader::Reader;
use super::value::line;

/// Settings of section "Service".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// `API_TITLE`.
    pub title: String,
    /// `API_VERSION`.
    pub version: String,
}

impl ApiConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let title = reader.read("API_TITLE", line);
        let version = reader.read("API_VERSION", |text| match text {
            "" => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            text => line(text),
        });
        Some(Self { title: title?, version: version? })
    }
}
