//! Text that must not be read in a log, an error or a screen.
//! It does not encrypt anything and does not wipe memory: it only makes showing it an explicit act.

use std::fmt;

/// What is printed in the place of a secret: the same length whatever the secret's.
pub const MASK: &str = "********";

/// A text whose `Debug` and `Display` are [`MASK`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place to look at when a secret got out.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}
