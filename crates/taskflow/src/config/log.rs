//! What is logged, and how. `logging.rs` does it.

use tracing::Level;

use super::fault::Wrong;
use super::reader::Reader;
use super::value::quote;

/// Settings of section "Log".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_LEVEL`.
    pub level: Level,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let level = reader.read("LOG_LEVEL", level);
        let format = reader.read("LOG_FORMAT", format);
        Some(Self { level: level?, format: format? })
    }
}

/// Python's names and Rust's. There is nothing above ERROR here, so CRITICAL is ERROR.
fn level(text: &str) -> Result<Level, Wrong> {
    match text.to_ascii_uppercase().as_str() {
        "TRACE" | "NOTSET" => Ok(Level::TRACE),
        "DEBUG" => Ok(Level::DEBUG),
        "INFO" => Ok(Level::INFO),
        "WARNING" | "WARN" => Ok(Level::WARN),
        "ERROR" | "CRITICAL" | "FATAL" => Ok(Level::ERROR),
        _ => Err(format!("{} is no level", quote(text)).into()),
    }
}

fn format(text: &str) -> Result<LogFormat, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{} is no format", quote(text)).into()),
    }
}
