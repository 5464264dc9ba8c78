//! Who may ask: the one key of the earlier service. It checks no request.

use super::fault::Wrong;
use super::reader::Reader;
use super::secret::Secret;

/// Shortest key without a warning, in characters: 16 random ones cannot be guessed over a network.
const KEY_CHARS_MIN: usize = 16;
/// Shortest signing secret without a warning, in characters: as long as a SHA-256.
const SECRET_CHARS_MIN: usize = 32;

/// Settings of section "Access".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// `API_KEY`; `None` asks for no key.
    pub api_key: Option<Secret>,
    /// `SECRET_KEY`; nothing uses it at present.
    pub secret_key: Option<Secret>,
}

impl AuthConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let api_key = reader.read("API_KEY", key)?;
        let secret_key = reader.read("SECRET_KEY", |text| Ok(secret(text)))?;
        warn_if_weak(reader, "API_KEY", api_key.as_ref(), KEY_CHARS_MIN);
        warn_if_weak(reader, "SECRET_KEY", secret_key.as_ref(), SECRET_CHARS_MIN);
        Some(Self { api_key, secret_key })
    }
}

fn secret(text: &str) -> Option<Secret> {
    (!text.is_empty()).then(|| Secret::new(text))
}

/// A key of white space only is refused rather than taken for no key: it would open the service.
fn key(text: &str) -> Result<Option<Secret>, Wrong> {
    if text.trim() != text {
        return Err("begins or ends with white space".into());
    }
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err("holds characters that a header cannot carry".into());
    }
    Ok(secret(text))
}

fn warn_if_weak(reader: &mut Reader, name: &str, secret: Option<&Secret>, chars_min: usize) {
    const PLACEHOLDERS: [&str; 6] = [
        "change-in-production",
        "change_in_production",
        "changeme",
        "change-me",
        "your-",
        "example",
    ];
    let Some(secret) = secret else { return };
    let lower = secret.expose().to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        reader
            .warn(format!("{name} looks like a placeholder: make one with `openssl rand -hex 32`"));
    } else if secret.expose().chars().count() < chars_min {
        reader.warn(format!(
            "{name} is shorter than {chars_min} characters and may be guessed: make one with \
             `openssl rand -hex 32`"
        ));
    }
}
