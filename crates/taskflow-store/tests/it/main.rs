//! The conformance suite on the model itself, a check that no case is forgotten, and what a claim
//! takes. Run with `cargo test -p taskflow-store --features conformance`.

mod kinds;
mod listed;

use std::sync::Arc;

use async_trait::async_trait;
use taskflow_store::Store;
use taskflow_store::conformance::Harness;
use taskflow_store::model::Model;

/// A model has nothing to close: reopening gives it back.
struct InMemory;

#[async_trait]
impl Harness for InMemory {
    async fn fresh(&self) -> Arc<dyn Store> {
        Arc::new(Model::new())
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1, "a case must not keep the store open");
        store
    }

    fn cross_process(&self) -> bool {
        false
    }
}

taskflow_store::conformance!(InMemory);
