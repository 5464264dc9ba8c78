//! Which handler runs which kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use taskflow_core::Kind;

use super::handler::Handler;

/// Kinds and their handlers. A worker claims exactly the kinds that are here.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<Kind, Arc<dyn Handler>>,
}

impl Registry {
    /// Adds a handler; the latest one for a kind counts. `manual` cannot have one and is refused.
    #[must_use]
    pub fn with(mut self, kind: Kind, handler: impl Handler + 'static) -> Self {
        if kind.as_str() != Kind::MANUAL {
            self.handlers.insert(kind, Arc::new(handler));
        }
        self
    }

    /// The handler of a kind.
    pub fn get(&self, kind: &str) -> Option<Arc<dyn Handler>> {
        let kind = Kind::parse(kind).ok()?;
        self.handlers.get(&kind).cloned()
    }

    /// Every kind that has one.
    pub fn kinds(&self) -> Vec<Kind> {
        self.handlers.keys().cloned().collect()
    }
}
