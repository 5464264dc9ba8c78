//! The conformance suite on the model itself, a check that no case is forgotten, and what a claim
//! takes. Run with `cargo test -p taskflow-store --features conformance`.

mod kinds;
mod listed;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use taskflow_store::Store;
use taskflow_store::conformance::Harness;
use taskflow_store::model::Model;

/// A model has nothing to close: reopening gives it back.
#[derive(Default)]
struct InMemory {
    made: Mutex<Vec<Weak<Model>>>,
}

#[async_trait]
impl Harness for InMemory {
    async fn fresh(&self) -> Arc<dyn Store> {
        let model = Arc::new(Model::new());
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&model));
        model
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1, "a case must not keep the store open");
        let place: *const () = Arc::as_ptr(&store).cast();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for model in made.iter().filter_map(Weak::upgrade) {
            if Arc::as_ptr(&model).cast() == place {
                model.reopen();
            }
        }
        store
    }

    fn cross_process(&self) -> bool {
        false
    }

    fn sketches(&self) -> bool {
        false
    }
}

taskflow_store::conformance!(InMemory::default());
