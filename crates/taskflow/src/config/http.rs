//! Where the service listens and which web pages may call it. It binds nothing and sends no headers.

use std::net::IpAddr;

use url::Url;

use super::fault::Wrong;
use super::reader::Reader;
use super::value::{list_of, number, quote};

/// Settings of section "HTTP".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `HOST`: an IP address (no brackets) or a host name.
    pub host: String,
    /// `PORT`; 0 asks for a free one.
    pub port: u16,
    /// `CORS_ORIGINS`.
    pub cors_origins: CorsOrigins,
}

/// Which web origins may call the API. Credentials are never allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every one.
    Any,
    /// These, written as a browser sends them; none when empty.
    Only(Vec<String>),
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let host = reader.read("HOST", host);
        let port = reader.read("PORT", |text| number(text, &(0..=u16::MAX)));
        let cors_origins = reader.read("CORS_ORIGINS", origins);
        Some(Self { host: host?, port: port?, cors_origins: cors_origins? })
    }

    /// Whether other machines can reach the address: anything but a loopback address or `localhost`.
    pub fn is_public(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => !address.to_canonical().is_loopback(),
            Err(_) => !self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

fn host(text: &str) -> Result<String, Wrong> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    // A name that ends in a number is a mistyped IPv4 address, not a host.
    let last = bare.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let numeric = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if bare == text && bare.len() <= 253 && !numeric && bare.split('.').all(label) {
        return Ok(bare.to_owned());
    }
    Err(format!("{} is no host", quote(text)).into())
}

fn origins(text: &str) -> Result<CorsOrigins, Wrong> {
    let origins =
        list_of(text, |item| if item == "*" { Ok("*".to_owned()) } else { origin(item) })?;
    if origins.iter().any(|origin| origin == "*") {
        return Ok(CorsOrigins::Any);
    }
    Ok(CorsOrigins::Only(origins))
}

/// `text` as a browser writes it in `Origin`: no path, host in lower case, no default port.
fn origin(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("{} {why}", quote(text));
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no origin ({error})")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an origin holds a user name or a password".to_owned());
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(wrong("has no scheme://host"));
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has more than scheme://host:port"));
    }
    // Url::origin is opaque for schemes that it does not know, such as an extension's.
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{host}{port}", url.scheme()))
}
