//! What the suite needs from whoever wants a store tested. It knows no case.

use std::sync::Arc;

use async_trait::async_trait;

use crate::Store;

/// Makes the stores that the cases run on. Declares what differs between stores; nothing is skipped
/// by name.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An empty store that nobody else uses.
    async fn fresh(&self) -> Arc<dyn Store>;

    /// Closes `store`, the last handle on it, and opens the same database again.
    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;

    /// Whether several processes can share one database of this kind.
    fn cross_process(&self) -> bool;

    /// Whether a search reads a part of the texts and goes on in another page, with sketches of the others.
    fn sketches(&self) -> bool {
        true
    }
}
