//! Why a store could not do a batch. What it answers to single items is not here.

/// The batch was not done, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much waits already, or another process holds the database; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// The database cannot be reached or is shutting down; nothing was done.
    #[error("the store is unavailable")]
    Unavailable,
    /// The disk is full; nothing was done.
    #[error("the store's disk is full")]
    Full,
    /// The commit failed in a way that leaves open whether it is on disk.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The page is heavier than `limits::PAGE_BYTES_MAX`; fewer tasks at a time fit.
    #[error("the page is too large")]
    PageTooLarge,
    /// The database holds something that it must not.
    #[error("the store's data is not what it should be: {0}")]
    Corrupt(String),
    /// The database failed; nothing was done.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
