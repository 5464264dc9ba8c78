//! What a store says of itself when it is asked whether it works.

/// A database that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The schema that it has.
    pub schema: i64,
    /// The schema that this program knows.
    pub known: i64,
    /// How far this machine's wall clock is ahead of the database's, in milliseconds; none where they
    /// are the same clock.
    pub clock_lead_ms: Option<i64>,
}
