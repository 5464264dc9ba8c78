//! Sets up the log: lines to standard error, text for people on a terminal, JSON elsewhere.
//! It reads no environment (`config/log.rs` does) and decides nothing about what is worth a line.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FmtSpan, Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Sends events of at least `level` to standard error. Returns whether it did: the first call in a
/// process wins, later ones change nothing.
pub fn init(level: Level, format: LogFormat) -> bool {
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    subscriber(level, json, terminal, io::stderr).try_init().is_ok()
}

fn subscriber<W>(level: Level, json: bool, terminal: bool, writer: W) -> impl Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer =
        tracing_subscriber::fmt::layer().with_writer(writer).with_span_events(FmtSpan::NONE);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if json {
        Box::new(layer.json().flatten_event(true).with_span_list(false))
    } else {
        // Left alone, colours follow NO_COLOR; they make no sense in a file.
        let layer = if terminal { layer } else { layer.with_ansi(false) };
        Box::new(layer.with_target(false).with_timer(ShortTime).fmt_fields(fields()))
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(level)))
}

/// `level` for TaskFlow's own crates. Others (hyper, rusqlite …) may only warn, unless the reader is
/// looking for something.
fn filter(level: Level) -> Targets {
    let others = if level >= Level::DEBUG { level } else { level.min(Level::WARN) };
    Targets::new()
        .with_default(LevelFilter::from_level(others))
        // A prefix: every crate of ours begins with it.
        .with_target("taskflow", level)
}

/// Fields as `name=value`, on one line whatever they hold: a title with a line break must not be
/// able to forge a line of the log, nor an escape sequence reach the terminal.
fn fields() -> impl for<'w> tracing_subscriber::fmt::FormatFields<'w> + Send + Sync + 'static {
    use tracing_subscriber::field::MakeExt;
    debug_fn(|writer, field, value| {
        let mut one_line = OneLine(writer);
        match field.name() {
            "message" => fmt::write(&mut one_line, format_args!("{value:?}")),
            name if name.starts_with("log.") => Ok(()),
            name => fmt::write(
                &mut one_line,
                format_args!("{}={value:?}", name.trim_start_matches("r#")),
            ),
        }
    })
    .delimited(" ")
}

/// Escapes control characters, and the two separators that some viewers break lines at.
struct OneLine<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// The time of day in UTC, to the millisecond: `12:34:56.789Z`. Who reads a terminal knows the date.
struct ShortTime;

impl FormatTime for ShortTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let mut full = String::new();
        SystemTime.format_time(&mut Writer::new(&mut full))?;
        // 2026-01-31T12:34:56.789012Z
        match full.get(11..23) {
            Some(time) => write!(w, "{time}Z"),
            None => w.write_str(&full),
        }
    }
}

#[cfg(test)]
mod tests;
