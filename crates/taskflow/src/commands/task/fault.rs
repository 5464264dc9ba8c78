//! Why a command of the group did not do what was asked, in words and as an exit code. It prints
//! nothing.

use std::fmt;
use std::io;

use crate::commands::table::harmless;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum Fault {
    /// What was given cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The server said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The server said nothing.
    #[error("{0}")]
    Unreachable(String),
    /// The server said something else than TaskFlow does.
    #[error("the server's answer is not understood: {0}")]
    Strange(String),
    /// Standard output takes nothing more.
    #[error("the answer cannot be printed: {0}")]
    Output(#[from] io::Error),
}

impl Fault {
    /// See `EXIT_CODES`.
    pub(in crate::commands) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Strange(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }

    /// The reader of the output went away, as `head` does: nobody is left to be told.
    pub(in crate::commands) fn is_nobody_reads(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The same fault, with what it was about in front.
    pub(super) fn about(self, what: &str) -> Self {
        let before = |text: String| format!("{what}: {text}");
        match self {
            Self::Refused(mut refusal) => {
                refusal.detail = before(refusal.detail);
                Self::Refused(refusal)
            }
            Self::Unreachable(text) => Self::Unreachable(before(text)),
            Self::Strange(text) => Self::Strange(before(text)),
            other => other,
        }
    }
}

/// What a server's problem document says.
#[derive(Debug)]
pub(in crate::commands) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: String,
    /// Pointer and message of every field at fault.
    pub(super) errors: Vec<(String, String)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&self.detail))?;
        for (pointer, message) in &self.errors {
            let error = format!("{pointer} {message}");
            // One fault alone is the detail already.
            if !self.detail.contains(&error) {
                write!(f, "\n  {}", harmless(&error))?;
            }
        }
        Ok(())
    }
}
